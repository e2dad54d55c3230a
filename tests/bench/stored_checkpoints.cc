#include "tests/bench/stored_checkpoints.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>

#include "google/protobuf/util/time_util.h"
#include "storage/base/names.h"
#include "storage/base/unique_fd.h"
#include "storage/catalog/catalog.h"
#include "storage/checkpoint_store.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int64_t kBatch = 5000;  // checkpoints in one write
constexpr int64_t kStepSeconds = 60;
constexpr int64_t kFirstSecond = 1'700'000'000;
constexpr int64_t kBytes = 512LL << 20;
constexpr size_t kDigestBytes = 16;

void Check(const absl::Status& status) {
  if (!status.ok()) Fail("checkpoints cannot be stored: " + status.ToString());
}

v1::CheckpointPolicy PolicyOf(const std::string& name) {
  v1::CheckpointPolicy policy;
  policy.set_name(name);
  policy.set_filepath(name + "-{epoch}.bin");
  policy.set_monitor("loss");
  policy.mutable_options()->set_projection(v1::StorageOptions::PROJECTION_COPY);
  return policy;
}

class RunMaker {
 public:
  RunMaker(const std::string& data_dir, std::string run)
      : folder_(data_dir + "/runs/" + run), run_(std::move(run)) {
    std::filesystem::create_directories(folder_);
  }

  v1::Run RunRow() const {
    v1::Run row;
    row.set_name(RunName(run_));
    for (const v1::CheckpointPolicy& policy : policies_) *row.add_policies() = policy;
    *row.mutable_create_time() = TimeUtil::SecondsToTimestamp(kFirstSecond);
    return row;
  }

  // The next checkpoint, with the files of its names.
  v1::Checkpoint Next() {
    const int64_t epoch = epoch_++;
    v1::Checkpoint row;
    row.set_name(CheckpointName(run_, std::to_string(epoch + 1)));
    row.set_state(v1::Checkpoint::STATE_COMMITTED);
    row.set_payload(v1::Checkpoint::PAYLOAD_WEIGHTS);
    row.set_seq(static_cast<uint64_t>(epoch + 1));
    row.set_epoch(epoch);
    row.set_writer_epoch(1);
    const double noise = static_cast<double>(noise_()) / static_cast<double>(noise_.max());
    const double loss = (1 + noise) / (1 + 1e-3 * static_cast<double>(epoch));
    (*row.mutable_metrics())["loss"] = loss;
    (*row.mutable_metrics())["accuracy"] = 1 - noise;
    Place(policies_[0], epoch, loss, row);
    if (epoch % kEverySome == 0) Place(policies_[1], epoch, loss, row);
    v1::Part& part = *row.add_parts();
    part.set_part("weights");
    part.set_size(kBytes);
    part.set_xxh3_128(std::string(kDigestBytes, static_cast<char>(epoch)));
    row.set_size(kBytes);
    const int64_t second = kFirstSecond + epoch * kStepSeconds;
    *row.mutable_create_time() = TimeUtil::SecondsToTimestamp(second);
    *row.mutable_commit_time() = TimeUtil::SecondsToTimestamp(second + 1);
    return row;
  }

 private:
  static constexpr int64_t kEverySome = 100;
  static constexpr int64_t kMaxLinks = 50'000;  // of one file, fewer than any file system allows

  void Place(const v1::CheckpointPolicy& policy, int64_t epoch, double loss, v1::Checkpoint& row) {
    v1::Placement& placement = *row.add_placements();
    placement.set_policy(policy.name());
    placement.set_filepath(fmt::format("{}-{}.bin", policy.name(), epoch));
    *placement.mutable_options() = policy.options();
    placement.set_value(loss);
    MakeFile(folder_ + '/' + placement.filepath());
    v1::PolicyState& state = *row.add_policy_states();
    state.set_policy(policy.name());
    state.set_best(loss);
    state.set_monitor(policy.monitor());
    state.set_current_epoch(epoch);
  }

  // A link to one of few files: a million of their own would take the file system minutes.
  void MakeFile(const std::string& path) {
    if (files_++ % kMaxLinks != 0) return std::filesystem::create_hard_link(linked_, path);
    linked_ = path;
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    if (!file.valid()) Fail("cannot make " + path);
  }

  const std::string folder_;
  const std::string run_;
  const v1::CheckpointPolicy policies_[2] = {PolicyOf("each"), PolicyOf("some")};
  int64_t epoch_ = 0;
  int64_t files_ = 0;
  std::string linked_;
  std::minstd_rand noise_;
};

void StoreRun(storage::Catalog& catalog, const std::string& data_dir, const StoredRun& wanted) {
  RunMaker maker(data_dir, wanted.run);
  storage::RunUpdate update;
  update.run = wanted.run;
  update.run_row = maker.RunRow();
  for (int64_t left = wanted.checkpoints; left > 0; left -= kBatch) {
    update.committed.clear();
    for (int64_t i = 0; i < std::min(left, kBatch); ++i) update.committed.push_back(maker.Next());
    Check(catalog.Apply({&update, 1}).status());
    update.run_row.reset();
  }
}

}  // namespace

void StoreCheckpoints(const std::string& data_dir, const std::vector<StoredRun>& runs) {
  // The store makes the folder, and lets it go again.
  Check(storage::CheckpointStore::Open({.data_dir = data_dir}).status());
  auto catalog = storage::Catalog::Open({.path = data_dir + "/index"});
  Check(catalog.status());
  for (const StoredRun& run : runs) StoreRun(**catalog, data_dir, run);
  // Nothing is due to be verified for a week: the weights are not there.
  v1::ScrubState verified;
  verified.set_begin_unix_nanos(
      std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
  Check((*catalog)->SetScrubState(verified));
}

}  // namespace ckpt::bench
