#include "storage/blob/session_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "storage/blob/records.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

class SessionFileTest : public testing::Test {
 protected:
  SessionFileTest() {
    session_.set_format_version(1);
    session_.set_part_count(1);
    session_.set_persisted(3);
    session_.mutable_part()->set_part("w");
  }

  void Store(const std::string& data) {
    WriteFile(dir_ / "staging/r@1/.w.session", EncodeSession(session_).value_or(""));
    WriteFile(dir_ / "staging/r@1/w", data);
  }
  bool IsBelieved() {
    const auto session = ReadSession(*root_, "r@1", "w");
    EXPECT_OK(session);
    return session.ok() && session->has_value();
  }

  TempDir dir_;
  std::unique_ptr<Directory> root_ = dir_.Open();
  v1::PartSession session_;
};

TEST_F(SessionFileTest, NeedsTheBytesItPromises) {
  EXPECT_FALSE(IsBelieved());  // nothing there
  Store("abc");
  EXPECT_TRUE(IsBelieved());
  Store("abcd");
  EXPECT_TRUE(IsBelieved());
  Store("ab");
  EXPECT_FALSE(IsBelieved());
  std::filesystem::remove(dir_ / "staging/r@1/w");
  EXPECT_FALSE(IsBelieved());
  std::filesystem::create_directory(dir_ / "staging/r@1/w");
  EXPECT_FALSE(IsBelieved());
}

TEST_F(SessionFileTest, AFinishedPartHasExactlyItsBytes) {
  session_.set_finished(true);
  session_.mutable_part()->set_size(3);
  session_.mutable_part()->set_xxh3_128(std::string(16, 'd'));
  session_.mutable_part()->set_block_digests(std::string(8, 'b'));
  Store("abc");
  EXPECT_TRUE(IsBelieved());
  Store("abcd");
  EXPECT_FALSE(IsBelieved());
}

TEST_F(SessionFileTest, BelongsToItsPart) {
  session_.mutable_part()->set_rank(1);
  Store("abc");
  EXPECT_FALSE(IsBelieved());
}

TEST_F(SessionFileTest, ReportsADiskThatCannotBeRead) {
  std::filesystem::create_directories(dir_ / "staging/r@1/.w.session");
  EXPECT_FALSE(ReadSession(*root_, "r@1", "w").ok());
}

}  // namespace
}  // namespace ckpt::storage
