// A disk that fills up under a real daemon, and gets space again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/run.h"
#include "storage/base/errors.h"
#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kCheckpointBytes = 16 * kMiB;
constexpr int64_t kReserveBytes = 32 * kMiB;

// A disk of 160 MiB that goes with the process. What is in the way, or empty.
std::string MountSmallDisk(const std::string& path) {
  if (geteuid() != 0) return "only root may mount";
  fs::create_directory(path);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", path.c_str(), "tmpfs", 0, "size=160m") != 0) {
    return std::string("no small disk is to be had: ") + std::strerror(errno);
  }
  return "";
}

class DiskFull : public testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = MountSmallDisk(disk_);
    if (!missing.empty()) GTEST_SKIP() << missing;
    std::ofstream(folder_ / "ckptd.yaml") << "limits: {free_space_reserve_mib: 32}\n";
    ASSERT_TRUE(daemon_.Start());
    StartRun();
  }
  void TearDown() override {
    run_.reset();
    umount2(disk_.c_str(), MNT_DETACH);
  }

  void StartRun() {
    v1::CheckpointPolicy every;
    every.set_name("every");
    every.set_filepath("epoch{epoch:02d}.bin");
    RunOptions options;
    options.server = daemon_.server();
    options.run = "full";
    options.policies = {every};
    options.weights = [](const v1::Checkpoint& save) {
      return std::vector{PartBytes::Own("weights", BytesOf(save.epoch()))};
    };
    auto run = ckpt::Run::Start(std::move(options));
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
  }
  static std::string BytesOf(int64_t epoch) {
    return std::string(kCheckpointBytes, static_cast<char>('a' + epoch));
  }
  // Trains one more epoch and waits for its save.
  absl::Status Train() {
    const auto decision = run_->OnEpochEnd(epoch_++, {{"val_loss", 1.0}});
    return decision.ok() ? run_->Flush() : decision.status();
  }
  // Whole checkpoints, by a client that has just come.
  int Readable() {
    int whole = 0;
    Client client({.server = daemon_.server()});
    const absl::Status listed =
        client.ListCheckpoints("full", "", "", 0, [&](const v1::Checkpoint& checkpoint) {
          const std::string id = checkpoint.name().substr(checkpoint.name().rfind('/') + 1);
          const auto bytes = client.Read("full", id);
          EXPECT_TRUE(bytes.ok() && *bytes == BytesOf(checkpoint.epoch())) << bytes.status();
          ++whole;
          return true;
        });
    EXPECT_TRUE(listed.ok()) << listed;
    return whole;
  }
  int64_t FreeBytes() const {
    struct statvfs info = {};
    EXPECT_EQ(statvfs(disk_.c_str(), &info), 0);
    return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
  }

  const ScratchFolder folder_;
  const std::string disk_ = folder_ / "disk";
  DaemonProcess daemon_{folder_, {"--config", folder_ / "ckptd.yaml"}, disk_ + "/data"};
  std::unique_ptr<ckpt::Run> run_;
  int64_t epoch_ = 0;
};

TEST_F(DiskFull, RefusesSavesUntilThereIsSpaceAgain) {
  int kept = 0;
  absl::Status refused = Train();
  for (; refused.ok() && kept < 10; refused = Train()) ++kept;
  EXPECT_GE(kept, 2);
  EXPECT_EQ(ReasonOf(refused), v1::ERROR_REASON_DISK_FULL) << refused;
  EXPECT_THAT(std::string(MessageOf(refused)),
              AllOf(HasSubstr("needs 16777216 bytes"), HasSubstr("kept in reserve"),
                    HasSubstr("ckptctl rm")));
  EXPECT_GE(FreeBytes(), kReserveBytes);
  EXPECT_EQ(Readable(), kept);

  // Neither is the daemon unwell, nor is the trainer sent away.
  Client client({.server = daemon_.server()});
  const auto status = client.GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(status->serving()) << status->not_serving_reason();
  EXPECT_EQ(ReasonOf(Train()), v1::ERROR_REASON_DISK_FULL);

  ASSERT_TRUE(client.DeleteCheckpoint("full", "1").ok());
  const absl::Status saved = Train();
  EXPECT_TRUE(saved.ok()) << saved;
  EXPECT_EQ(Readable(), kept);
}

}  // namespace
}  // namespace ckpt::integration
