#include "tests/crash/plan.h"

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <limits>
#include <sstream>
#include <utility>

namespace ckpt::crash {
namespace {

constexpr int64_t kSlots = 6;

// SplitMix64.
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t Hash(const Plan& plan, const Moment& moment, std::string_view salt) {
  uint64_t hash = 0;
  for (const char c : plan.run + '/' + Text(moment) + '/' + std::string(salt)) {
    hash = Mix(hash ^ static_cast<unsigned char>(c));
  }
  return hash;
}

// Some of a few bytes, most of some ten KiB, some above a chunk of an upload.
size_t SizeOf(uint64_t hash) {
  switch (hash % 8) {
    case 0:
      return hash / 8 % 64;
    case 1:
      return (1 << 20) + hash / 8 % (1 << 19);
    case 2:
      return 4096 * (hash / 8 % 16);
    default:
      return hash / 8 % (96 << 10);
  }
}

v1::CheckpointPolicy MakePolicy(const std::string& name, const std::string& filepath,
                                bool best_only, bool weights_only) {
  v1::CheckpointPolicy policy;
  policy.set_name(name);
  policy.set_filepath(filepath);
  policy.set_save_best_only(best_only);
  policy.set_save_weights_only(weights_only);
  return policy;
}

}  // namespace

std::strong_ordering Moment::operator<=>(const Moment& other) const {
  if (epoch != other.epoch) return epoch <=> other.epoch;
  const auto place = [](const Moment& moment) {
    return moment.is_epoch_end() ? std::numeric_limits<int64_t>::max() : moment.batch;
  };
  return place(*this) <=> place(other);
}

std::string Text(const Moment& moment) { return fmt::format("{} {}", moment.epoch, moment.batch); }

const std::vector<std::string>& Kinds() {
  static const auto* const kKinds =
      new std::vector<std::string>{"ring", "latest", "parts", "batches"};
  return *kKinds;
}

Plan PlanOf(const std::string& run) {
  Plan plan{.run = run, .policies = {}, .parts = {"weights"}};
  const std::string kind = run.substr(0, run.find('-'));
  if (kind == "ring") {  // one save for two policies
    plan.policies = {MakePolicy("every", "ring/{slot}.bin", false, true),
                     MakePolicy("best", "best.bin", true, true)};
  } else if (kind == "latest") {  // each better one overwrites the last
    plan.policies = {MakePolicy("best", "latest.bin", true, false)};
  } else if (kind == "parts") {  // two saves of one event, folders as names
    plan.policies = {MakePolicy("every", "every/{slot}", false, false),
                     MakePolicy("best", "best", true, true)};
    plan.parts = {"optimizer", "weights"};
  } else {  // in mid-epoch, copies as names
    plan.policies = {MakePolicy("every", "step/{slot}.bin", false, false)};
    plan.policies[0].mutable_save_freq()->set_number_value(3);
    plan.policies[0].mutable_options()->set_projection(v1::StorageOptions::PROJECTION_COPY);
    plan.batches = 4;
  }
  return plan;
}

double ValLoss(const Plan& plan, const Moment& moment) {
  const double noise = static_cast<double>(Hash(plan, moment, "val_loss") % 4000) / 1000;
  return noise - static_cast<double>(moment.epoch);
}

int64_t Slot(const Plan& plan, const Moment& moment) {
  const int64_t step =
      moment.is_epoch_end() ? moment.epoch : moment.epoch * plan.batches + moment.batch;
  return step % kSlots;
}

std::string PathOf(const Plan& plan, const v1::CheckpointPolicy& policy, const Moment& moment) {
  std::string path = policy.filepath();
  constexpr std::string_view kField = "{slot}";
  if (const size_t at = path.find(kField); at != std::string::npos) {
    path.replace(at, kField.size(), std::to_string(Slot(plan, moment)));
  }
  return path;
}

std::string Content(const Plan& plan, const Moment& moment, std::string_view part) {
  const uint64_t hash = Hash(plan, moment, part);
  std::string bytes = fmt::format("{} {} {}\n", plan.run, Text(moment), part);
  const size_t header = bytes.size();
  bytes.resize(header + SizeOf(hash));
  uint64_t state = hash;
  for (size_t at = header; at < bytes.size(); at += sizeof(state)) {
    state = Mix(state);
    std::memcpy(&bytes[at], &state, std::min(sizeof(state), bytes.size() - at));
  }
  return bytes;
}

std::optional<ContentId> ParseContent(const Plan& plan, std::string_view bytes) {
  std::istringstream header(std::string(bytes.substr(0, bytes.find('\n'))));
  ContentId id;
  std::string run;
  header >> run >> id.moment.epoch >> id.moment.batch >> id.part;
  if (!header || run != plan.run || bytes != Content(plan, id.moment, id.part)) return std::nullopt;
  return id;
}

}  // namespace ckpt::crash
