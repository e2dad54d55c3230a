#include "client/cpp/src/part_upload.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "ckpt/errors.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_daemon.h"

namespace ckpt::client {
namespace {

using ckpt::testing::FakeDaemon;

class PartUploadTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::UploadFinished> Attempt(PartUpload& upload) {
    grpc::ClientContext context;
    return upload.Attempt(stub_, daemon_.address(), context);
  }

  static v1::UploadStart ToStage(const std::string& part) {
    v1::UploadStart start;
    start.mutable_staged()->set_stage_id("s");
    start.set_part(part);
    return start;
  }

  FakeDaemon daemon_;
  grpc::GenericStub stub_{
      grpc::CreateChannel(daemon_.address(), grpc::InsecureChannelCredentials())};
};

TEST_F(PartUploadTest, AnySizeArrives) {
  for (const size_t size : {0, 1, 999, 1000, 1001, 2'500'000}) {
    const std::string content(size, 'x');
    const std::string part = std::to_string(size);
    PartUpload upload(ToStage(part), content, nullptr);
    const auto finished = Attempt(upload);
    EXPECT_TRUE(finished.ok()) << size << ": " << finished.status();
    EXPECT_EQ(daemon_.staged["s/" + part], content) << size;
  }
}

// The daemon lets more come only when all that it let come is there.
TEST_F(PartUploadTest, KeepsToTheDaemonsWindow) {
  struct Case {
    int64_t window;
    size_t size;
  };
  const Case cases[] = {{1, 0},       {1, 50},       {999, 5000},   {1000, 5000},
                        {1001, 5000}, {2500, 10001}, {10000, 5000}, {5000, 5000}};
  for (const Case& test : cases) {
    daemon_.script.upload_window = test.window;
    std::string content(test.size, 'x');
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i);
    const std::string part = std::to_string(test.window) + "-" + std::to_string(test.size);
    if (!content.empty()) daemon_.staged["s/" + part] = content.substr(0, 7);  // resumed
    PartUpload upload(ToStage(part), content, nullptr);
    const auto finished = Attempt(upload);
    EXPECT_TRUE(finished.ok()) << part << ": " << finished.status();
    EXPECT_EQ(daemon_.staged["s/" + part], content) << part;
  }
}

TEST_F(PartUploadTest, BytesWithAnOwnerLiveAsLongAsGrpcNeedsThem) {
  auto content = std::make_shared<const std::string>(3'000'000, 'x');
  std::promise<void> released;
  std::shared_ptr<const void> owner(content.get(), [content, &released](const void*) mutable {
    content.reset();
    released.set_value();
  });
  {
    PartUpload upload(ToStage("p"), *content, std::move(owner));
    ASSERT_TRUE(Attempt(upload).ok());
  }
  released.get_future().wait();
  EXPECT_EQ(daemon_.staged["s/p"], *content);
}

TEST_F(PartUploadTest, GoesOnWhereTheDaemonSays) {
  daemon_.staged["s/p"] = "abc";  // by an earlier process: nothing of it was hashed here
  PartUpload upload(ToStage("p"), "abcdef", nullptr);
  ASSERT_TRUE(Attempt(upload).ok());
  EXPECT_EQ(daemon_.staged["s/p"], "abcdef");
  EXPECT_TRUE(upload.TakeProgress());
  EXPECT_FALSE(upload.TakeProgress());
}

TEST_F(PartUploadTest, OtherBytesUnderTheSameNameAreNoticed) {
  daemon_.staged["s/p"] = "xyz";
  PartUpload upload(ToStage("p"), "abcdef", nullptr);
  EXPECT_EQ(ReasonOf(Attempt(upload).status()), v1::ERROR_REASON_DIGEST_MISMATCH);
}

TEST_F(PartUploadTest, AnOffsetBehindTheEndIsRefused) {
  daemon_.staged["s/p"] = "longer than it should be";
  PartUpload upload(ToStage("p"), "abcdef", nullptr);
  EXPECT_EQ(ReasonOf(Attempt(upload).status()), v1::ERROR_REASON_OFFSET_MISMATCH);
}

TEST_F(PartUploadTest, ACancelledAttemptEnds) {
  grpc::ClientContext context;
  context.TryCancel();
  PartUpload upload(ToStage("p"), "abcdef", nullptr);
  EXPECT_TRUE(absl::IsCancelled(upload.Attempt(stub_, daemon_.address(), context).status()));
}

}  // namespace
}  // namespace ckpt::client
