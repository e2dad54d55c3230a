#include "server/rpc/train_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "grpcpp/support/slice.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

// `text` in slices of `piece` bytes.
grpc::ByteBuffer Buffer(const std::string& text, size_t piece = 1 << 20) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < text.size(); at += piece) slices.emplace_back(text.substr(at, piece));
  return {slices.data(), slices.size()};
}

v1::TrainRequest Events(int count) {
  v1::TrainRequest request;
  v1::EventBatch& batch = *request.mutable_events();
  batch.add_metrics()->set_name("loss");
  for (int i = 1; i <= count; ++i) {
    v1::Event& event = *batch.add_events();
    event.set_seq(static_cast<uint64_t>(i));
    event.set_kind(v1::Event::KIND_BATCH_END);
    for (int metric = 0; metric < i % 5; ++metric) {
      event.add_metric_ids(static_cast<uint32_t>(metric));
      event.add_values(0.5 * i);
    }
    if (i % 7 == 0) event.set_staged_upload("stage");
    event.set_wants_decision(i % 3 == 0);
  }
  return request;
}

v1::TrainRequest Hello() {
  v1::TrainRequest request;
  request.mutable_hello()->set_run("runs/r");
  return request;
}

v1::TrainRequest Abandon() {
  v1::TrainRequest request;
  request.mutable_abandon()->set_save("runs/r/checkpoints/1");
  return request;
}

// What was read, put together again.
std::string Read(const std::string& message, size_t piece, v1::EventBatch& events) {
  grpc::ByteBuffer buffer = Buffer(message, piece);
  v1::TrainRequest request;
  const absl::Status status = ParseTrainRequest(buffer, request, events);
  EXPECT_TRUE(status.ok()) << status;
  if (request.has_events()) {
    EXPECT_EQ(request.events().ByteSizeLong(), 0U);
    *request.mutable_events() = events;
  }
  return request.SerializeAsString();
}

TEST(TrainMessage, ReadsWhatProtobufWrites) {
  v1::EventBatch events;
  for (const v1::TrainRequest& request : {Events(70), Hello(), Events(0), Abandon(), Events(3),
                                          v1::TrainRequest(), Events(500), Events(1)}) {
    for (const size_t piece : {1, 2, 3, 7, 64, 1000, 1'000'000}) {
      SCOPED_TRACE(testing::Message() << request.ShortDebugString().substr(0, 60) << piece);
      const std::string message = request.SerializeAsString();
      EXPECT_EQ(Read(message, piece, events), message);
    }
  }
}

TEST(TrainMessage, UsesMemoryAgain) {
  v1::EventBatch events;
  Read(Events(10).SerializeAsString(), 1000, events);
  const v1::Event* const first = &events.events(0);
  const v1::Event* const last = &events.events(9);
  Read(Events(10).SerializeAsString(), 1000, events);
  EXPECT_EQ(&events.events(0), first);
  EXPECT_EQ(&events.events(9), last);
}

// As a client may write it that is not protobuf's: fields that are not known, one that comes twice,
// of several of a oneof the last one.
TEST(TrainMessage, ReadsWhatProtobufReads) {
  const std::string two = Events(2).SerializeAsString();
  const std::string unknown = {'\x7a', '\x01', 'x'};  // field 15
  for (const std::string& message :
       {two + two, two + unknown, unknown + two, Hello().SerializeAsString() + two,
        two + Hello().SerializeAsString()}) {
    v1::TrainRequest expected;
    ASSERT_TRUE(expected.ParseFromString(message));
    v1::EventBatch events;
    expected.DiscardUnknownFields();
    v1::TrainRequest read;
    ASSERT_TRUE(read.ParseFromString(Read(message, 5, events)));
    read.DiscardUnknownFields();
    EXPECT_EQ(read.SerializeAsString(), expected.SerializeAsString());
  }
}

TEST(TrainMessage, RefusesWhatIsNone) {
  std::mt19937 random(7);
  const std::string good = Events(5).SerializeAsString();
  std::vector<std::string> bad = {
      good.substr(0, good.size() - 1), good + '\x12', "\xff\xff\xff", {'\x12', '\x7f', 'x'}};
  v1::TrainRequest name;
  name.mutable_events()->add_metrics()->set_name("x");
  bad.push_back(name.SerializeAsString());
  bad.back().back() = '\xff';  // no UTF-8
  for (const std::string& message : bad) {
    grpc::ByteBuffer buffer = Buffer(message, 4);
    v1::TrainRequest request;
    v1::EventBatch events;
    EXPECT_EQ(ReasonOf(ParseTrainRequest(buffer, request, events)), v1::ERROR_REASON_PROTOCOL);
  }
}

}  // namespace
}  // namespace ckpt::server
