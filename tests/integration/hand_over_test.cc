// The two ways to hand weights over, by gRPC and in shared memory, against the real daemon: the
// same checkpoints, digests, names and errors. See also tests/wire/local_wire_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/errors.h"
#include "ckpt/run.h"
#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Parts = std::map<std::string, std::string>;

enum class Way { kGrpc, kSharedMemory };

std::ostream& operator<<(std::ostream& out, Way way) {
  return out << (way == Way::kGrpc ? "gRPC" : "shared memory");
}

// Bytes that differ from place to place.
std::string Bytes(size_t size, uint32_t seed) {
  std::string bytes(size, '\0');
  uint32_t state = seed * 2'654'435'761U + 1;
  for (char& byte : bytes) {
    state = state * 1'664'525U + 1'013'904'223U;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

v1::CheckpointPolicy EveryEpoch() {
  v1::CheckpointPolicy policy;
  policy.set_name("every");
  policy.set_filepath("epoch{epoch:03d}");
  return policy;
}

class HandOverTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.Start()); }

  RunOptions OptionsOf(Way way) {
    RunOptions options;
    options.server = daemon_.server();
    options.run = "run";
    options.policies = {EveryEpoch()};
    options.shared_memory = way == Way::kSharedMemory;
    options.weights = [this](const v1::Checkpoint&) {
      std::vector<PartBytes> parts;
      for (const auto& [part, bytes] : parts_) parts.push_back(PartBytes::Borrow(part, bytes));
      return parts;
    };
    options.notify = [](std::string_view) {};
    return options;
  }
  void StartRun() {
    auto run = ckpt::Run::Start(options_);
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
  }
  // The next epoch's save.
  void Save(Parts parts) {
    parts_ = std::move(parts);
    const auto decision = run_->OnEpochEnd(epoch_++, {{"val_loss", 1.0}});
    ASSERT_TRUE(decision.ok()) << decision.status();
    // Borrowed bytes may change now.
    for (auto& [part, bytes] : parts_) std::fill(bytes.begin(), bytes.end(), '!');
  }
  std::vector<v1::Checkpoint> List() {
    std::vector<v1::Checkpoint> all;
    Client client({.server = daemon_.server()});
    const absl::Status listed =
        client.ListCheckpoints("run", "", "", 0, [&](const v1::Checkpoint& checkpoint) {
          all.push_back(checkpoint);
          return true;
        });
    EXPECT_TRUE(listed.ok()) << listed;
    return all;
  }
  Parts Read(const v1::Checkpoint& checkpoint) {
    Client client({.server = daemon_.server()});
    Parts parts;
    for (const v1::Part& part : checkpoint.parts()) {
      const std::string id = checkpoint.name().substr(checkpoint.name().rfind('/') + 1);
      auto bytes = client.Read("run", id, part.part());
      EXPECT_TRUE(bytes.ok()) << bytes.status();
      if (bytes.ok()) parts[part.part()] = *std::move(bytes);
    }
    return parts;
  }
  int64_t SlotBytes() {
    Client client({.server = daemon_.server()});
    const auto status = client.GetStatus();
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->slot_bytes() : -1;
  }
  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
  RunOptions options_;
  Parts parts_;
  std::unique_ptr<ckpt::Run> run_;
  int64_t epoch_ = 0;
};

class HandOver : public HandOverTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    HandOverTest::SetUp();
    options_ = OptionsOf(GetParam());
  }
  bool shared() const { return GetParam() == Way::kSharedMemory; }
};

TEST_P(HandOver, PartsOfEverySizeAreWhatTheyWere) {
  const std::vector<Parts> saves = {
      {{"weights", Bytes(4096, 1)}},
      {{"weights", ""}},
      {{"weights", "x"}},
      {{"optimizer", Bytes(70'001, 2)}, {"weights", Bytes(3'333'333, 3)}, {"zero", ""}},
      {{"weights", Bytes((37 << 20) + 13, 4)}},
      {{"weights", Bytes(5, 5)}},
  };
  StartRun();
  for (const Parts& parts : saves) Save(parts);
  ASSERT_TRUE(run_->Flush().ok());
  EXPECT_EQ(SlotBytes() > 0, shared()) << "the other way was gone";
  ASSERT_TRUE(run_->Close().ok());
  const auto checkpoints = List();
  ASSERT_THAT(checkpoints, SizeIs(saves.size()));
  for (size_t i = 0; i < saves.size(); ++i) EXPECT_TRUE(Read(checkpoints[i]) == saves[i]) << i;
  for (size_t i = 0; i < saves.size(); ++i) {
    const std::string name = daemon_.data_dir() + "/runs/run/epoch00" + std::to_string(i + 1);
    for (const auto& [part, bytes] : saves[i]) {
      std::ifstream file(saves[i].size() == 1 ? name : name + "/" + part);
      const std::string found{std::istreambuf_iterator<char>(file), {}};
      EXPECT_TRUE(found == bytes) << name << ' ' << part;
    }
  }
}

TEST_P(HandOver, AStageBecomesTheCheckpointOfItsEvent) {
  StartRun();
  const Parts parts = {{"optimizer", Bytes(100'000, 1)}, {"weights", Bytes(2'000'000, 2)}};
  std::vector<PartBytes> staged;
  for (const auto& [part, bytes] : parts) staged.push_back(PartBytes::Borrow(part, bytes));
  const auto stage = run_->Stage(std::move(staged));
  ASSERT_TRUE(stage.ok()) << stage.status();
  ASSERT_TRUE(run_->OnEpochEnd(0, {}, *stage).ok());
  ASSERT_TRUE(run_->Close().ok());
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_TRUE(Read(List()[0]) == parts);
}

TEST_P(HandOver, ADaemonThatIsKilledGetsTheSavesAgain) {
  StartRun();
  std::vector<Parts> saves;
  for (uint32_t i = 0; i < 6; ++i) {
    saves.push_back({{"a", Bytes(3 << 20, i)}, {"b", Bytes(100, i + 100)}});
    Save(saves.back());
    if (i % 2 == 0) {  // amid the save
      daemon_.Kill();
      ASSERT_TRUE(daemon_.Start());
    }
  }
  const absl::Status closed = run_->Close();
  ASSERT_TRUE(closed.ok()) << closed;
  const auto checkpoints = List();
  ASSERT_THAT(checkpoints, SizeIs(saves.size()));
  for (size_t i = 0; i < saves.size(); ++i) EXPECT_TRUE(Read(checkpoints[i]) == saves[i]) << i;
  EXPECT_EQ(SlotBytes() > 0, shared()) << "not found again after the restarts";
}

TEST_P(HandOver, ADaemonThatIsStoppedGetsTheSavesAgain) {
  StartRun();
  std::vector<Parts> saves;
  for (uint32_t i = 0; i < 4; ++i) {
    saves.push_back({{"weights", Bytes(3 << 20, i)}});
    Save(saves.back());
    EXPECT_EQ(daemon_.Stop(), 0);
    ASSERT_TRUE(daemon_.Start());
  }
  const absl::Status closed = run_->Close();
  ASSERT_TRUE(closed.ok()) << closed;
  const auto checkpoints = List();
  ASSERT_THAT(checkpoints, SizeIs(saves.size()));
  for (size_t i = 0; i < saves.size(); ++i) EXPECT_TRUE(Read(checkpoints[i]) == saves[i]) << i;
}

TEST_P(HandOver, ErrorsAreTheSame) {
  StartRun();
  Save({{"no/part", "x"}});
  const absl::Status name = run_->Flush();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_NAME_INVALID) << name;
  EXPECT_THAT(std::string(name.message()), HasSubstr("no/part"));
  EXPECT_THAT(List(), SizeIs(0)) << "nothing of it is published";
  Save({{"weights", "good"}});
  EXPECT_TRUE(run_->Close().ok());
  EXPECT_THAT(List(), SizeIs(1));
}

// A newer process of the run ends the saves of this one.
TEST_P(HandOver, ASaveThatIsNotOpenAnyMoreIsRefused) {
  std::unique_ptr<ckpt::Run> newer;
  options_.weights = [&](const v1::Checkpoint&) {
    auto started = ckpt::Run::Start(OptionsOf(GetParam()));
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) newer = *std::move(started);
    return std::vector{PartBytes::Own("weights", "late")};
  };
  StartRun();
  ASSERT_TRUE(run_->OnEpochEnd(0, {}).ok());
  EXPECT_EQ(ReasonOf(run_->Flush()), v1::ERROR_REASON_WRITER_FENCED);
  EXPECT_THAT(List(), SizeIs(0));
}

TEST_P(HandOver, ASaveThatIsSkippedIsGivenUpAndTheOthersAreNot) {
  options_.max_uploads = 1;
  options_.when_busy = RunOptions::WhenBusy::kSkip;
  std::vector<std::string> notices;
  options_.notify = [&](std::string_view text) { notices.emplace_back(text); };
  StartRun();
  constexpr int kSaves = 8;
  // The first keeps the daemon's disk busy while the others come.
  for (uint32_t i = 0; i < kSaves; ++i) Save({{"weights", Bytes(i == 0 ? 256 << 20 : 1000, i)}});
  const absl::Status closed = run_->Close();
  EXPECT_TRUE(closed.ok()) << closed;
  const auto checkpoints = List();
  EXPECT_EQ(checkpoints.size() + notices.size(), size_t{kSaves});
  EXPECT_GE(notices.size(), 1u) << "the first was durable before the second came";
  for (const std::string& notice : notices) EXPECT_THAT(notice, HasSubstr("skipped"));
}

TEST_P(HandOver, GrowingTakesMoreSavesAtOnce) {
  options_.max_uploads = 1;
  options_.when_busy = RunOptions::WhenBusy::kGrow;
  StartRun();
  std::vector<Parts> saves;
  for (uint32_t i = 0; i < 8; ++i) {
    saves.push_back({{"weights", Bytes(8 << 20, i)}});
    Save(saves.back());
  }
  EXPECT_TRUE(run_->Close().ok());
  const auto checkpoints = List();
  ASSERT_THAT(checkpoints, SizeIs(saves.size()));
  for (size_t i = 0; i < saves.size(); ++i) EXPECT_TRUE(Read(checkpoints[i]) == saves[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(, HandOver, testing::Values(Way::kGrpc, Way::kSharedMemory),
                         [](const auto& test) {
                           return test.param == Way::kGrpc ? "Grpc" : "SharedMemory";
                         });

// One run, its saves by turns one way and the other.
TEST_F(HandOverTest, TheSameBytesAreTheSameParts) {
  const Parts parts = {{"optimizer", Bytes(123'457, 1)}, {"weights", Bytes(9'000'001, 2)}};
  for (const Way way : {Way::kGrpc, Way::kSharedMemory}) {
    options_ = OptionsOf(way);
    run_.reset();
    StartRun();
    Save(parts);
    ASSERT_TRUE(run_->Close().ok());
  }
  const auto checkpoints = List();
  ASSERT_THAT(checkpoints, SizeIs(2));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(checkpoints[0].parts(i).SerializeAsString(),
              checkpoints[1].parts(i).SerializeAsString());
  }
}

// What was handed over is the daemon's, whatever becomes of the trainer. To the daemon, a Run that
// is gone without a word is a process that was killed.
TEST_F(HandOverTest, ATrainerThatIsGoneLeavesItsSave) {
  const std::string bytes = Bytes(48 << 20, 1);
  options_ = OptionsOf(Way::kSharedMemory);
  StartRun();
  Save({{"weights", bytes}});
  run_.reset();
  EXPECT_EQ(daemon_.Stop(), 0) << "waits for what is being stored";
  ASSERT_TRUE(daemon_.Start());
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_TRUE(Read(List()[0])["weights"] == bytes);
}

}  // namespace
}  // namespace ckpt::integration
