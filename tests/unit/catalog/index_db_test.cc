#include "storage/catalog/index_db.h"

#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Value = std::optional<std::string>;

class IndexDbTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    index_.reset();
    index_ = Must(IndexDb::Open(dir_.options()));
  }

  void Put(std::string_view key, std::string_view value) {
    Batch batch = index_->NewBatch();
    batch.Put(Table::kSaves, key, value);
    Must(index_->Write(std::move(batch)));
  }

  Value Get(std::string_view key) { return Must(index_->View().Get(Table::kSaves, key)); }

  // The write-ahead log that holds what was put last.
  std::filesystem::path NewestLog() {
    std::filesystem::path newest;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.options().path)) {
      if (entry.path().extension() == ".log") newest = std::max(newest, entry.path());
    }
    return newest;
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
};

// While it lives, no file of the process can grow beyond `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  sighandler_t handler_;
  rlimit before_ = {};
};

std::vector<std::string> Keys(Cursor& cursor) {
  std::vector<std::string> keys;
  for (; cursor.Valid(); cursor.Next()) keys.emplace_back(cursor.key());
  EXPECT_TRUE(cursor.status().ok()) << cursor.status();
  return keys;
}

TEST_F(IndexDbTest, KeepsWhatWasWritten) {
  Put("a", "1");
  Reopen();
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), std::nullopt);
}

TEST_F(IndexDbTest, TablesAreApart) {
  Put("a", "1");
  EXPECT_EQ(Must(index_->View().Get(Table::kEvents, "a")), std::nullopt);
}

TEST_F(IndexDbTest, BatchSeesItsOwnChanges) {
  Put("old", "1");
  Put("gone", "1");
  Batch batch = index_->NewBatch();
  batch.Put(Table::kSaves, "new", "2");
  batch.Put(Table::kSaves, "new", "3");
  batch.Delete(Table::kSaves, "gone");
  batch.PutUnseen(Table::kSaves, "unseen", "4");
  EXPECT_EQ(Must(batch.Get(Table::kSaves, "old")), "1");
  EXPECT_EQ(Must(batch.Get(Table::kSaves, "new")), "3");
  EXPECT_EQ(Must(batch.Get(Table::kSaves, "gone")), std::nullopt);
  EXPECT_EQ(Must(batch.Get(Table::kSaves, "unseen")), std::nullopt);
  EXPECT_EQ(Must(batch.Get(Table::kEvents, "new")), std::nullopt);
  EXPECT_EQ(Get("new"), std::nullopt) << "nobody else sees them before the write";
  Must(index_->Write(std::move(batch)));
  EXPECT_EQ(Get("new"), "3");
  EXPECT_EQ(Get("gone"), std::nullopt);
  EXPECT_EQ(Get("unseen"), "4");
}

TEST_F(IndexDbTest, DeletesPrefixes) {
  for (const char* key : {"a", "b", "b1", "b2", "c"}) Put(key, "1");
  Batch batch = index_->NewBatch();
  batch.DeletePrefixUnseen(Table::kSaves, "b");
  Must(index_->Write(std::move(batch)));
  const ReadView view = index_->View();
  Cursor cursor = view.Scan(Table::kSaves, "");
  cursor.SeekToFirst();
  EXPECT_THAT(Keys(cursor), ElementsAre("a", "c"));
}

TEST_F(IndexDbTest, ViewStaysAtItsMoment) {
  Put("a", "1");
  const ReadView before = index_->View();
  Put("a", "2");
  EXPECT_EQ(Must(before.Get(Table::kSaves, "a")), "1");
  EXPECT_EQ(Get("a"), "2");
}

TEST_F(IndexDbTest, CursorStaysWithinItsPrefix) {
  for (const char* key : {"a", "b", "b1", "b3", "c"}) Put(key, "1");
  const ReadView view = index_->View();
  Cursor cursor = view.Scan(Table::kSaves, "b");
  EXPECT_FALSE(cursor.Valid());
  cursor.SeekToFirst();
  EXPECT_THAT(Keys(cursor), ElementsAre("b", "b1", "b3"));
  cursor.SeekToLast();
  ASSERT_TRUE(cursor.Valid());
  EXPECT_EQ(cursor.key(), "b3");
  EXPECT_EQ(cursor.value(), "1");
  cursor.Seek("b2");
  EXPECT_EQ(cursor.key(), "b3");
  cursor.SeekForPrev("b2");
  EXPECT_EQ(cursor.key(), "b1");
  cursor.Seek("a");
  EXPECT_EQ(cursor.key(), "b") << "a seek before the prefix starts at it";
  cursor.Prev();
  EXPECT_FALSE(cursor.Valid());
  cursor.SeekForPrev("z");
  EXPECT_EQ(cursor.key(), "b3");
  cursor.SeekForPrev("a");
  EXPECT_FALSE(cursor.Valid());
  cursor.Seek("c");
  EXPECT_FALSE(cursor.Valid());
  EXPECT_TRUE(cursor.status().ok());
}

TEST_F(IndexDbTest, RefusesANewerVersionAndLeavesItAlone) {
  index_.reset();
  WriteRow(dir_, Table::kMeta, "version", "3");
  for (int i = 0; i < 2; ++i) {
    const auto index = IndexDb::Open(dir_.options());
    EXPECT_EQ(ReasonOf(index), v1::ERROR_REASON_VERSION_TOO_NEW) << index.status();
  }
}

TEST_F(IndexDbTest, RefusesADamagedVersion) {
  index_.reset();
  WriteRow(dir_, Table::kMeta, "version", "one");
  EXPECT_EQ(ReasonOf(IndexDb::Open(dir_.options())), v1::ERROR_REASON_INDEX_DAMAGED);
}

TEST_F(IndexDbTest, VersionIsRecorded) {
  EXPECT_EQ(Must(index_->View().Get(Table::kMeta, "version")), "2");
}

// Version 1 had no history.
TEST_F(IndexDbTest, AnOlderIndexBecomesOneOfThisVersion) {
  Put("row", "stays");
  index_.reset();
  WriteRow(dir_, Table::kMeta, "version", "1");
  Reopen();
  EXPECT_EQ(Must(index_->View().Get(Table::kMeta, "version")), "2");
  EXPECT_EQ(Get("row"), "stays");
}

// A record that was being written when the machine stopped was never acknowledged.
TEST_F(IndexDbTest, ForgivesATornLastRecord) {
  Put("first", "1");
  Put("second", std::string(1000, 'x'));
  index_.reset();
  const std::filesystem::path log = NewestLog();
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 10);
  Reopen();
  EXPECT_EQ(Get("first"), "1");
  EXPECT_EQ(Get("second"), std::nullopt);
}

// The file system had kept the file's size, and not the bytes of its last page.
TEST_F(IndexDbTest, ForgivesALastRecordThatAPowerCutHasTorn) {
  Put("first", "1");
  Put("second", std::string(1000, 'x'));
  index_.reset();
  {
    const std::filesystem::path log = NewestLog();
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(log));
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(size - 500);
    file << std::string(500, '\0');
  }
  Reopen();
  EXPECT_EQ(Get("first"), "1");
  EXPECT_EQ(Get("second"), std::nullopt);
}

TEST_F(IndexDbTest, ForgivesATornManifest) {
  Put("first", "1");
  index_.reset();
  std::string manifest;
  std::getline(std::ifstream(dir_.options().path + "/CURRENT"), manifest);
  std::ofstream(dir_.options().path + '/' + manifest, std::ios::app | std::ios::binary)
      << std::string("\x12\x34\x56\x78\x20\x00\x01", 7) << std::string(32, '\0');
  Reopen();
  EXPECT_EQ(Get("first"), "1");
}

TEST_F(IndexDbTest, RefusesToLoseAcknowledgedRecords) {
  Put("first", std::string(1000, 'x'));
  Put("second", "2");
  index_.reset();
  {
    std::fstream log(NewestLog(), std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(100);
    log.put('y');
  }
  const auto index = IndexDb::Open(dir_.options());
  EXPECT_EQ(ReasonOf(index), v1::ERROR_REASON_INDEX_DAMAGED) << index.status();
}

TEST_F(IndexDbTest, RefusesToBeginAnewOverAnIndexWithoutItsRoot) {
  Put("first", "1");
  index_.reset();
  std::filesystem::remove(dir_.options().path + "/CURRENT");
  const auto index = IndexDb::Open(dir_.options());
  EXPECT_EQ(ReasonOf(index), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_THAT(std::string(MessageOf(index.status())), HasSubstr("CURRENT"));
}

TEST_F(IndexDbTest, OneProcessAtATime) {
  EXPECT_EQ(ReasonOf(IndexDb::Open(dir_.options())), v1::ERROR_REASON_STORAGE_FAILED);
}

// A failed write is not tried again: nothing of it is visible, and the next writes fail as well.
TEST(IndexDb, StopsAtAFailedWrite) {
  const TempDir dir;
  CatalogOptions options = dir.options();
  std::atomic<int> errors = 0;
  options.on_error = [&](const std::string& what) {
    EXPECT_THAT(what, HasSubstr("File too large"));
    ++errors;
  };
  std::unique_ptr<IndexDb> index = Must(IndexDb::Open(options));
  const auto put = [&](std::string_view key, std::string_view value) {
    Batch batch = index->NewBatch();
    batch.Put(Table::kSaves, key, value);
    return index->Write(std::move(batch));
  };
  Must(put("first", "1"));
  {
    const FileSizeLimit limit(64 << 10);
    EXPECT_EQ(ReasonOf(put("second", std::string(256 << 10, 'x'))),
              v1::ERROR_REASON_STORAGE_FAILED);
  }
  EXPECT_EQ(ReasonOf(put("third", "3")), v1::ERROR_REASON_STORAGE_FAILED);
  EXPECT_EQ(errors, 1);
  EXPECT_EQ(Must(index->View().Get(Table::kSaves, "first")), "1");
  EXPECT_EQ(Must(index->View().Get(Table::kSaves, "second")), std::nullopt);
  index.reset();
  index = Must(IndexDb::Open(options));
  EXPECT_EQ(Must(index->View().Get(Table::kSaves, "first")), "1");
  EXPECT_EQ(Must(index->View().Get(Table::kSaves, "third")), std::nullopt);
  Must(put("fourth", "4"));
}

TEST(IndexDb, RefusesAFileInPlaceOfTheFolder) {
  const TempDir dir;
  std::ofstream(dir.options().path) << "not a folder";
  EXPECT_EQ(ReasonOf(IndexDb::Open(dir.options())), v1::ERROR_REASON_STORAGE_FAILED);
}

TEST(IndexDb, ManyTablesWorthOfWritesFitASmallCache) {
  const TempDir dir;
  CatalogOptions options = dir.options();
  options.cache_bytes = 1;  // less than the least
  std::vector<std::string> errors;
  options.on_error = [&](const std::string& what) { errors.push_back(what); };
  const std::unique_ptr<IndexDb> index = Must(IndexDb::Open(options));
  const std::string value(64 << 10, 'v');
  for (int i = 0; i < 200; ++i) {
    Batch batch = index->NewBatch();
    batch.Put(i % 2 == 0 ? Table::kEvents : Table::kSaves, std::to_string(i), value);
    Must(index->Write(std::move(batch)));
  }
  EXPECT_EQ(Must(index->View().Get(Table::kEvents, "0")), value);
  EXPECT_THAT(errors, IsEmpty());
}

}  // namespace
}  // namespace ckpt::storage
