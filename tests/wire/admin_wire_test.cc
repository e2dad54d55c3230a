// Verification and backup as any gRPC client sees them.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "wire.h"

namespace ckpt::wire {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Property;

constexpr char kFirst[] = "runs/r/checkpoints/1";
constexpr char kSecond[] = "runs/r/checkpoints/2";

class AdminWireTest : public WireTest {
 protected:
  void SetUp() override {
    admin_ = v1::AdminService::NewStub(Channel());
    Trainer trainer(Channel());
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    ASSERT_TRUE(trainer.Hello(hello));
    ASSERT_TRUE(trainer.Epoch(1, 0, 0.5));
    ASSERT_TRUE(UploadAll(kFirst, "first").ok());
    ASSERT_TRUE(trainer.Epoch(2, 1, 0.4));
    ASSERT_TRUE(UploadAll(kSecond, "second").ok());
  }

  struct Verified {
    std::vector<v1::Damage> damages;
    v1::VerifyResponse last;
    grpc::Status status;
  };
  Verified Verify(const v1::VerifyRequest& request = {}) {
    grpc::ClientContext context;
    const auto reader = admin_->Verify(&context, request);
    Verified verified;
    while (reader->Read(&verified.last)) {
      for (const v1::Damage& damage : verified.last.damages()) verified.damages.push_back(damage);
    }
    verified.status = reader->Finish();
    return verified;
  }
  Verified Repair() {
    v1::VerifyRequest request;
    request.set_repair(true);
    return Verify(request);
  }
  v1::BackupResponse Backup(const std::string& path, grpc::Status* status) {
    grpc::ClientContext context;
    v1::BackupRequest request;
    request.set_path(path);
    const auto reader = admin_->Backup(&context, request);
    v1::BackupResponse last;
    while (reader->Read(&last)) {
    }
    *status = reader->Finish();
    return last;
  }

  // The file of the first checkpoint's part.
  std::string FirstPart() const {
    for (const auto& entry : fs::recursive_directory_iterator(daemon_.data_dir() + "/blobs")) {
      if (entry.is_regular_file() && entry.file_size() == 5) return entry.path();
    }
    ADD_FAILURE() << "no part";
    return {};
  }
  static void Write(const std::string& path, const std::string& content) {
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  std::string DamageOf(const std::string& checkpoint) {
    for (const v1::Checkpoint& listed : List()) {
      if (listed.name() == checkpoint) return listed.damage();
    }
    return "not listed";
  }

  std::unique_ptr<v1::AdminService::Stub> admin_;
};

TEST_F(AdminWireTest, VerifyReadsEverythingAndFindsNothing) {
  const Verified verified = Verify();
  EXPECT_TRUE(verified.status.ok()) << verified.status.error_message();
  EXPECT_THAT(verified.damages, IsEmpty());
  EXPECT_TRUE(verified.last.done());
  EXPECT_EQ(verified.last.checkpoints(), 2);
  EXPECT_EQ(verified.last.bytes(), 11);
  EXPECT_EQ(verified.last.total_bytes(), 11);
  EXPECT_EQ(verified.last.position(), kSecond);
}

TEST_F(AdminWireTest, VerifyGoesOnAfterAPosition) {
  v1::VerifyRequest request;
  request.set_run("runs/r");
  request.set_after(kFirst);
  request.set_mib_per_second(1'000'000);
  const Verified verified = Verify(request);
  EXPECT_TRUE(verified.status.ok()) << verified.status.error_message();
  EXPECT_EQ(verified.last.checkpoints(), 1);
  EXPECT_EQ(verified.last.bytes(), 6);
  EXPECT_EQ(verified.last.position(), kSecond);
}

TEST_F(AdminWireTest, VerifyFindsRepairsAndMarks) {
  const std::string part = FirstPart();
  Write(part, "fIrst");
  const Verified found = Verify();
  EXPECT_TRUE(found.status.ok()) << found.status.error_message();
  const auto damaged_part = AllOf(
      Property(&v1::Damage::checkpoint, kFirst), Property(&v1::Damage::kind, v1::Damage::KIND_PART),
      Property(&v1::Damage::part, "weights"), Property(&v1::Damage::repaired, false),
      Property(&v1::Damage::message, HasSubstr("does not match")));
  EXPECT_THAT(found.damages, ElementsAre(damaged_part));
  EXPECT_EQ(DamageOf(kFirst), "") << "nobody asked for a repair";

  EXPECT_THAT(Repair().damages, ElementsAre(damaged_part));
  EXPECT_THAT(DamageOf(kFirst), HasSubstr("does not match"));
  EXPECT_EQ(DamageOf(kSecond), "");
  grpc::Status status;
  Download(kFirst, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS) << status.error_message();

  Write(part, "first");
  EXPECT_THAT(Repair().damages, ElementsAre(AllOf(Property(&v1::Damage::kind, v1::Damage::KIND_ROW),
                                                  Property(&v1::Damage::repaired, true))));
  EXPECT_EQ(DamageOf(kFirst), "");
  EXPECT_EQ(Download(kFirst), "first");
}

TEST_F(AdminWireTest, VerifyPutsNamesBack) {
  fs::remove(RunFolder() + "/m-01");
  EXPECT_THAT(Repair().damages,
              ElementsAre(AllOf(Property(&v1::Damage::kind, v1::Damage::KIND_NAME),
                                Property(&v1::Damage::filepath, "m-01"),
                                Property(&v1::Damage::repaired, true))));
  EXPECT_TRUE(fs::exists(RunFolder() + "/m-01"));
  EXPECT_THAT(Verify().damages, IsEmpty());
}

TEST_F(AdminWireTest, VerifyRefuses) {
  struct Case {
    const char* run;
    const char* after;
    int rate;
    const char* reason;
  };
  for (const Case& test : {Case{"r", "", 0, "NAME_INVALID"},
                           {"runs/none", "", 0, "RUN_NOT_FOUND"},
                           {"", "x", 0, "NAME_INVALID"},
                           {"runs/r", "runs/s/checkpoints/1", 0, "FIELD_INVALID"},
                           {"", "runs/r/checkpoints/best", 0, "FIELD_INVALID"},
                           {"", "", -1, "FIELD_INVALID"},
                           {"", "", 1'000'001, "FIELD_INVALID"}}) {
    v1::VerifyRequest request;
    request.set_run(test.run);
    request.set_after(test.after);
    request.set_mib_per_second(test.rate);
    EXPECT_EQ(ReasonOf(Verify(request).status), test.reason) << test.run << ' ' << test.after;
  }
}

TEST_F(AdminWireTest, OneVerificationAtATime) {
  Trainer trainer(Channel());
  v1::Hello hello;
  *hello.add_policies() = BestPolicy();
  ASSERT_TRUE(trainer.Hello(hello));
  ASSERT_TRUE(trainer.Epoch(3, 2, 0.3));
  const std::string content(3 << 20, 'x');
  Upload upload(Channel());
  ASSERT_TRUE(upload.Start(ForSave("runs/r/checkpoints/3")));
  for (int64_t offset = 0; offset < 3 << 20; offset += 1 << 19) {
    ASSERT_TRUE(upload.Chunk(offset, content.substr(static_cast<size_t>(offset), 1 << 19)));
  }
  ASSERT_TRUE(upload.FinishWith(content));
  grpc::ClientContext context;
  v1::VerifyRequest slow;
  slow.set_mib_per_second(1);
  const auto reader = admin_->Verify(&context, slow);
  v1::VerifyResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(ReasonOf(Verify().status), "LIMIT_EXCEEDED");
  context.TryCancel();
}

// The next one may begin as soon as one has ended, whatever its end.
TEST_F(AdminWireTest, AVerificationThatHasEndedMakesRoom) {
  v1::VerifyRequest refused;
  refused.set_run("runs/none");
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(Verify().status.ok()) << "in round " << round;
    ASSERT_EQ(ReasonOf(Verify(refused).status), "RUN_NOT_FOUND") << "in round " << round;
  }
}

TEST_F(AdminWireTest, ABackupIsADataFolder) {
  const integration::ScratchFolder elsewhere;
  grpc::Status status;
  const v1::BackupResponse last = Backup(elsewhere / "data", &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(last.done());
  EXPECT_EQ(last.checkpoints(), 2);
  EXPECT_EQ(last.total_checkpoints(), 2);
  EXPECT_EQ(last.bytes(), last.total_bytes());
  EXPECT_TRUE(fs::exists(elsewhere / "data/VERSION"));
  EXPECT_FALSE(fs::exists(daemon_.data_dir() + "/backup.staging"));
  Backup(elsewhere / "data", &status);
  EXPECT_EQ(ReasonOf(status), "FIELD_INVALID") << "it is not empty any more";
}

TEST_F(AdminWireTest, BackupRefuses) {
  std::ofstream(folder_ / "file") << "x";
  for (const std::string& path :
       {std::string(), std::string("relative"), daemon_.data_dir(), daemon_.data_dir() + "/copy",
        fs::path(daemon_.data_dir()).parent_path().string(), folder_ / "file",
        folder_ / "file/copy", folder_ / std::string(300, 'n')}) {
    grpc::Status status;
    Backup(path, &status);
    EXPECT_EQ(ReasonOf(status), "FIELD_INVALID") << path << ": " << status.error_message();
  }
}

}  // namespace
}  // namespace ckpt::wire
