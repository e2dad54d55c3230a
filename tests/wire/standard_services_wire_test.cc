// Health and reflection, as grpcurl and Kubernetes use them. Their messages are short enough to be
// written by hand.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::HasSubstr;

class StandardServicesWireTest : public WireTest {
 protected:
  // Sends one message to a method, unary or streaming, and gives the first answer.
  std::string Call(const std::string& method, const std::string& message) {
    grpc::GenericStub stub(Channel());
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(&context, method, &queue);
    const auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    call->StartCall(nullptr);
    if (!wait()) return "no call";
    const grpc::Slice slice(message);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    if (!wait()) return "no write";
    call->WritesDone(nullptr);
    wait();
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    const bool answered = wait();
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    if (!answered) return "status " + std::to_string(status.error_code());
    grpc::Slice single;
    EXPECT_TRUE(answer.DumpToSingleSlice(&single).ok());
    return {reinterpret_cast<const char*>(single.begin()), single.size()};
  }
};

TEST_F(StandardServicesWireTest, HealthIsServing) {
  const std::string check = "/grpc.health.v1.Health/Check";
  const std::string serving = "\x08\x01";  // status: SERVING
  EXPECT_EQ(Call(check, ""), serving);
  const std::string service = "ckpt.v1.TrainingService";
  EXPECT_EQ(Call(check, "\x0a" + std::string(1, static_cast<char>(service.size())) + service),
            serving);
  EXPECT_EQ(Call(check, std::string("\x0a\x04nope")), "status 5");  // NOT_FOUND
}

TEST_F(StandardServicesWireTest, ReflectionListsTheServices) {
  const std::string list_services = "\x3a\x01*";
  const std::string answer =
      Call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", list_services);
  for (const char* service :
       {"ckpt.v1.TrainingService", "ckpt.v1.WeightService", "ckpt.v1.CatalogService",
        "ckpt.v1.AdminService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(answer, HasSubstr(service));
  }
}

TEST_F(StandardServicesWireTest, StatusTellsOfTheDaemon) {
  const auto stub = v1::AdminService::NewStub(Channel());
  grpc::ClientContext context;
  v1::Status status;
  ASSERT_TRUE(stub->GetStatus(&context, {}, &status).ok());
  EXPECT_TRUE(status.serving());
  EXPECT_EQ(status.data_dir(), daemon_.data_dir());
  EXPECT_EQ(status.listen(0), daemon_.server());
  EXPECT_GT(status.free_bytes(), 0);
  EXPECT_GT(status.pid(), 0);
}

}  // namespace
}  // namespace ckpt::wire
