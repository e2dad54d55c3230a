#include <fmt/format.h>
#include <gmock/gmock.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/bench/machine.h"
#include "tests/load/load.h"

namespace ckpt::load {
namespace {

constexpr int64_t kMib = 1 << 20;

class StreamsTest : public LoadTest {};

v1::TrainRequest BatchEnds(uint64_t first_seq, int count, bool wants_decision) {
  std::vector<v1::Event> events;
  for (int i = 0; i < count; ++i) {
    v1::Event& event = events.emplace_back();
    event.set_seq(first_seq + static_cast<uint64_t>(i));
    event.set_kind(v1::Event::KIND_BATCH_END);
    event.set_batch(static_cast<int64_t>(event.seq()));
    event.add_metric_ids(1);
    event.add_values(0.5);
    event.set_wants_decision(wants_decision);
  }
  return wire::Events(std::move(events));
}

TEST_F(StreamsTest, AThousandTrainersAreServed) {
  constexpr int kTrainers = 1'000;
  constexpr int kPerConnection = 50;
  const int64_t idle = bench::ResidentMemory(pid());
  std::vector<std::unique_ptr<wire::Trainer>> trainers;
  std::shared_ptr<grpc::Channel> channel;
  for (int i = 0; i < kTrainers; ++i) {
    if (i % kPerConnection == 0) channel = Connect();
    trainers.push_back(std::make_unique<wire::Trainer>(channel));
    v1::Hello hello;
    hello.set_run("runs/r" + std::to_string(i));
    *hello.add_policies() = wire::BestPolicy();
    ASSERT_TRUE(trainers.back()->Hello(hello).has_value()) << i;
  }
  EXPECT_EQ(Status().connected_trainers(), kTrainers);
  for (const auto& trainer : trainers) ASSERT_TRUE(trainer->Send(BatchEnds(1, 20, false)));
  for (const auto& trainer : trainers) ASSERT_TRUE(trainer->WaitDurable(20));
  ExpectService("another");
  // About 100 KiB a trainer, for gRPC's buffers and the run.
  EXPECT_LT(bench::ResidentMemory(pid()) - idle, 160 * kMib);
  trainers.clear();
  AwaitTrainers(0);
}

TEST_F(StreamsTest, ATrainerThatNeverReadsWaitsAloneAndInBoundedMemory) {
  constexpr int kDeaf = 4;
  constexpr int kMessages = 20'000;  // more than gRPC's buffers at both ends hold answers to
  constexpr int kEvents = 64;
  std::vector<std::unique_ptr<wire::Trainer>> deaf;
  std::vector<std::thread> senders;
  std::atomic<int64_t> sent = 0;
  const int64_t idle = bench::ResidentMemory(pid());
  for (int i = 0; i < kDeaf; ++i) {
    deaf.push_back(std::make_unique<wire::Trainer>(Connect()));
    v1::Hello hello;
    hello.set_run("runs/deaf" + std::to_string(i));
    ASSERT_TRUE(deaf.back()->Hello(hello).has_value());
    // Every event wants an answer that nobody takes: sending ends only because it is broken off.
    senders.emplace_back([&sent, &trainer = *deaf.back()] {
      uint64_t seq = 1;
      for (int k = 0; k < kMessages && trainer.Send(BatchEnds(seq, kEvents, true)); ++k) {
        seq += kEvents;
        ++sent;
      }
    });
  }
  // Others are served meanwhile, and do so until nothing more gets through.
  int64_t before = -1;
  for (int k = 0; before != sent; ++k) {
    before = sent;
    for (int i = 0; i < 20; ++i) ExpectService(fmt::format("another{}-{}", k, i));
  }
  EXPECT_LT(sent, kDeaf * kMessages / 2) << "they are read on";
  // The index's buffers, and what gRPC reads and writes ahead of each stream; all answers would be
  // over 500 MiB.
  EXPECT_LT(bench::ResidentMemory(pid()) - idle, 192 * kMib);
  for (const auto& trainer : deaf) trainer->Cancel();
  for (std::thread& sender : senders) sender.join();
  ExpectService("and-another");
}

}  // namespace
}  // namespace ckpt::load
