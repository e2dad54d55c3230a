#include "tests/load/load.h"

#include <fmt/format.h>

#include <filesystem>
#include <iterator>
#include <utility>

#include "storage/base/digest.h"

namespace ckpt::load {
namespace {

int64_t Entries(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder),
                       std::filesystem::directory_iterator());
}

}  // namespace

int64_t DescriptorsOf(pid_t process) { return Entries(fmt::format("/proc/{}/fd", process)); }

int64_t ThreadsOf(pid_t process) { return Entries(fmt::format("/proc/{}/task", process)); }

LoadTest::LoadTest(std::vector<std::string> flags) : daemon_(folder_, std::move(flags)) {
  EXPECT_TRUE(daemon_.Start());
}

std::shared_ptr<grpc::Channel> LoadTest::Connect() const {
  static int number = 0;
  grpc::ChannelArguments arguments;
  arguments.SetInt("ckpt.test", ++number);  // channels with equal arguments share a connection
  return grpc::CreateCustomChannel(daemon_.server(), grpc::InsecureChannelCredentials(), arguments);
}

v1::Status LoadTest::Status() {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::Status status;
  const grpc::Status call = v1::AdminService::NewStub(Connect())->GetStatus(&context, {}, &status);
  EXPECT_TRUE(call.ok()) << call.error_message();
  return status;
}

void LoadTest::ExpectService(const std::string& run) {
  const auto channel = Connect();
  wire::Trainer trainer(channel);
  v1::Hello hello;
  hello.set_run("runs/" + run);
  *hello.add_policies() = wire::BestPolicy();
  ASSERT_TRUE(trainer.Hello(hello).has_value());
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision.has_value());
  ASSERT_EQ(decision->saves_size(), 1);
  const std::string content(100'000, 'w');
  wire::Upload upload(channel);
  ASSERT_TRUE(upload.Start(wire::ForSave(decision->saves(0).name())).has_value());
  ASSERT_TRUE(upload.Chunk(0, content));
  const auto finished = upload.FinishWith(content);
  ASSERT_TRUE(finished.has_value());
  EXPECT_EQ(finished->checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
}

void LoadTest::AwaitTrainers(int64_t trainers) {
  while (Status().connected_trainers() != trainers) {
  }
}

}  // namespace ckpt::load
