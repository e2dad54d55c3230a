// How far an upload may go: UploadStarted.window_end and UploadProgress.window_end.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "wire.h"

namespace ckpt::wire {
namespace {

constexpr int64_t kMib = 1 << 20;

class UploadWindowWireTest : public testing::Test {
 protected:
  void StartDaemon(const std::string& limits) {
    std::ofstream(folder_ / "ckptd.yaml") << "limits: {max_chunk_kib: 1024, " << limits << "}\n";
    ASSERT_TRUE(daemon_.Start()) << daemon_.log();
    trainer_.emplace(Channel());
    ASSERT_TRUE(trainer_->Hello());
  }
  // A connection of its own.
  std::shared_ptr<grpc::Channel> Channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(daemon_.server(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }

  integration::ScratchFolder folder_;
  integration::DaemonProcess daemon_{folder_, {"--config", folder_ / "ckptd.yaml"}};
  std::optional<Trainer> trainer_;
};

v1::UploadStart Stage(const std::string& id) {
  v1::UploadStart start;
  start.mutable_staged()->set_run("runs/r");
  start.mutable_staged()->set_stage_id(id);
  return start;
}

// A sender; at the end of the window it waits for a higher one, if it keeps to it.
class Sender {
 public:
  Sender(const std::shared_ptr<grpc::Channel>& channel, const std::string& stage)
      : upload_(channel) {
    v1::UploadRequest request;
    *request.mutable_start() = Stage(stage);
    upload_.Send(request);
  }

  bool AwaitStarted() {
    const auto response = upload_.Read();
    if (!response || !response->has_started()) return false;
    offset_ = response->started().offset();
    window_end_ = response->started().window_end();
    EXPECT_GT(window_end_, offset_);
    return true;
  }
  // Reads until the window has grown; false if the stream ends instead.
  bool AwaitWindow() {
    const int64_t before = window_end_;
    while (window_end_ == before) {
      const auto response = upload_.Read();
      if (!response || !response->has_progress()) return false;
      EXPECT_GE(response->progress().window_end(), window_end_);
      EXPECT_GE(response->progress().persisted(), persisted_);
      EXPECT_LE(response->progress().persisted(), offset_);
      persisted_ = response->progress().persisted();
      window_end_ = response->progress().window_end();
    }
    return true;
  }
  bool Send(const std::string& data) {
    const int64_t at = std::exchange(offset_, offset_ + static_cast<int64_t>(data.size()));
    return upload_.Chunk(at, data);
  }
  // Sends all of `content` and gives the status.
  grpc::Status SendAll(const std::string& content, int64_t chunk_bytes, bool keep_to_window) {
    while (offset_ < static_cast<int64_t>(content.size())) {
      if (keep_to_window && offset_ == window_end_ && !AwaitWindow()) break;
      const int64_t size =
          keep_to_window ? std::min(chunk_bytes, window_end_ - offset_) : chunk_bytes;
      if (!Send(content.substr(static_cast<size_t>(offset_), static_cast<size_t>(size)))) break;
    }
    upload_.FinishWith(content);
    return upload_.Status();
  }

  Upload& upload() { return upload_; }
  int64_t offset() const { return offset_; }
  int64_t window_end() const { return window_end_; }
  int64_t persisted() const { return persisted_; }

 private:
  Upload upload_;
  int64_t offset_ = 0;
  int64_t persisted_ = 0;
  int64_t window_end_ = 0;
};

class UploadWindowBudgetTest
    : public UploadWindowWireTest,
      public testing::WithParamInterface<std::pair<int, std::vector<int64_t>>> {};

// One chunk at first, then up to three while half of the budget is left to others.
TEST_P(UploadWindowBudgetTest, TheWindowGrowsAsBytesAreTaken) {
  const auto& [memory_mib, ends] = GetParam();
  StartDaemon("upload_memory_mib: " + std::to_string(memory_mib));
  Sender sender(Channel(), "s");
  ASSERT_TRUE(sender.AwaitStarted());
  std::vector<int64_t> seen = {sender.window_end() / kMib};
  while (seen.size() < ends.size()) {
    ASSERT_TRUE(sender.Send(std::string(kMib, 'x')));
    ASSERT_TRUE(sender.AwaitWindow());
    seen.push_back(sender.window_end() / kMib);
  }
  EXPECT_EQ(seen, ends);
}

INSTANTIATE_TEST_SUITE_P(Budgets, UploadWindowBudgetTest,
                         testing::Values(std::pair{32, std::vector<int64_t>{1, 4, 5, 6}},
                                         std::pair{4, std::vector<int64_t>{1, 3, 4, 5}},
                                         std::pair{2, std::vector<int64_t>{1, 2, 3, 4}}));

TEST_F(UploadWindowWireTest, NoMoreIsPromisedThanTheBudget) {
  constexpr int64_t kBudget = 4 * kMib;
  StartDaemon("upload_memory_mib: 4");
  std::atomic<int64_t> promised = 0;  // and not sent yet
  std::atomic<int64_t> most = 0;
  const auto add = [&](int64_t bytes) {
    const int64_t sum = promised += bytes;
    for (int64_t seen = most; sum > seen && !most.compare_exchange_weak(seen, sum);) {
    }
  };
  std::vector<std::thread> senders;
  for (int i = 0; i < 6; ++i) {
    senders.emplace_back([&, i] {
      Sender sender(Channel(), "s" + std::to_string(i));
      ASSERT_TRUE(sender.AwaitStarted());
      add(sender.window_end());
      std::string content;
      for (int chunk = 0; chunk < 20; ++chunk) {
        if (sender.offset() == sender.window_end()) {
          ASSERT_TRUE(sender.AwaitWindow());
          add(sender.window_end() - sender.offset());
        }
        promised -= kMib;
        content.append(kMib, static_cast<char>('a' + chunk));
        ASSERT_TRUE(sender.Send(content.substr(static_cast<size_t>(sender.offset()))));
      }
      EXPECT_TRUE(sender.upload().FinishWith(content));
      promised -= sender.window_end() - sender.offset();
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_LE(most, kBudget);
}

TEST_F(UploadWindowWireTest, AllKindsOfSendersFinishWithMemoryForTwoChunks) {
  StartDaemon("upload_memory_mib: 2");
  struct Case {
    int64_t chunk_bytes;
    bool keep_to_window;
  };
  const Case cases[] = {{kMib, true},  {kMib, false},  {300'000, true},  {300'000, false},
                        {5'000, true}, {5'000, false}, {kMib - 1, true}, {kMib - 1, false}};
  const std::string content(3 * kMib + 7, 'c');
  std::vector<std::thread> senders;
  for (int round = 0; round < 3; ++round) {
    for (const Case& test : cases) {
      senders.emplace_back([&, id = std::to_string(senders.size())] {
        Sender sender(Channel(), id);
        ASSERT_TRUE(sender.AwaitStarted()) << sender.upload().Status().error_message();
        const grpc::Status status = sender.SendAll(content, test.chunk_bytes, test.keep_to_window);
        EXPECT_TRUE(status.ok()) << test.chunk_bytes << " " << test.keep_to_window << ": "
                                 << status.error_message();
      });
    }
  }
  for (std::thread& sender : senders) sender.join();
}

TEST_F(UploadWindowWireTest, BytesThatAreKnownUseUpNothing) {
  StartDaemon("upload_memory_mib: 2");
  const std::string half(kMib / 2, 'c');
  Sender sender(Channel(), "s");
  ASSERT_TRUE(sender.AwaitStarted());
  ASSERT_TRUE(sender.Send(half));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(sender.upload().Chunk(0, half));
  ASSERT_TRUE(sender.Send(half));
  v1::UploadRequest finish;
  finish.mutable_finish()->set_size(kMib);
  ASSERT_TRUE(sender.upload().Send(finish));
  int64_t window_end = 0;
  auto response = sender.upload().Read();
  for (; response && response->has_progress(); response = sender.upload().Read()) {
    window_end = response->progress().window_end();
  }
  EXPECT_TRUE(response && response->has_finished());
  EXPECT_EQ(window_end, 2 * kMib);
}

TEST_F(UploadWindowWireTest, AnUploadThatResumesIsToldFromItsOffset) {
  StartDaemon("upload_memory_mib: 2");
  std::string content;
  int64_t persisted = 0;
  {
    Sender sender(Channel(), "s");
    ASSERT_TRUE(sender.AwaitStarted());
    while (sender.persisted() == 0) {
      const std::string chunk(static_cast<size_t>(sender.window_end() - sender.offset()), 'c');
      content += chunk;
      ASSERT_TRUE(sender.Send(chunk));
      ASSERT_TRUE(sender.AwaitWindow());
    }
    persisted = sender.persisted();
    EXPECT_EQ(ReasonOf(sender.upload().Status()), "PROTOCOL") << "half-close is no finish";
  }
  content.append(3 * kMib, 'd');
  Sender sender(Channel(), "s");
  ASSERT_TRUE(sender.AwaitStarted());
  EXPECT_EQ(sender.offset(), persisted);
  EXPECT_EQ(sender.window_end(), persisted + kMib);
  EXPECT_TRUE(sender.SendAll(content, kMib, true).ok());
}

// Those that stall are ended and their memory goes to those that wait for it, who are not to blame.
TEST_F(UploadWindowWireTest, TheMemoryOfSendersThatStallGoesToOthers) {
  StartDaemon("upload_memory_mib: 2, upload_idle_seconds: 1");
  std::vector<std::unique_ptr<Sender>> stalled;
  for (const char* id : {"a", "b"}) {
    stalled.push_back(std::make_unique<Sender>(Channel(), id));
    ASSERT_TRUE(stalled.back()->AwaitStarted());
  }
  Sender sender(Channel(), "s");
  ASSERT_TRUE(sender.AwaitStarted()) << sender.upload().Status().error_message();
  EXPECT_TRUE(sender.SendAll(std::string(3 * kMib, 'c'), kMib, true).ok());
  for (const auto& other : stalled) {
    EXPECT_EQ(other->upload().Status().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
}

}  // namespace
}  // namespace ckpt::wire
