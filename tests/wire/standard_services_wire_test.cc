// Health and reflection, as grpcurl and Kubernetes use them.
#include <gmock/gmock.h>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::HasSubstr;

using StandardServicesWireTest = WireTest;

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
