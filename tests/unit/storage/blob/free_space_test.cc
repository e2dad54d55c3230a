#include "storage/blob/free_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/storage/testing/matchers.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kMiB = 1 << 20;

// A disk of any size; nothing else of it is used.
class Disk : public Directory {
 public:
  using Opened = absl::StatusOr<std::unique_ptr<File>>;
  using Found = absl::StatusOr<std::optional<FileInfo>>;
  using Entries = absl::StatusOr<std::vector<DirectoryEntry>>;
  MOCK_METHOD(Opened, Open, (const std::string&, OpenMode), (override));
  MOCK_METHOD(Found, Info, (const std::string&), (override));
  MOCK_METHOD(Entries, List, (const std::string&), (override));
  MOCK_METHOD(absl::Status, MakeDirectory, (const std::string&), (override));
  MOCK_METHOD(absl::Status, RemoveDirectory, (const std::string&), (override));
  MOCK_METHOD(absl::Status, Rename, (const std::string&, const std::string&), (override));
  MOCK_METHOD(absl::Status, Exchange, (const std::string&, const std::string&), (override));
  MOCK_METHOD(absl::Status, Link, (const std::string&, const std::string&), (override));
  MOCK_METHOD(absl::Status, Clone, (const std::string&, const std::string&), (override));
  MOCK_METHOD(absl::Status, Unlink, (const std::string&), (override));
  MOCK_METHOD(absl::Status, Sync, (const std::string&), (override));
  absl::StatusOr<int64_t> FreeBytes() override {
    const int64_t now = free;
    std::this_thread::yield();  // others may ask before this one has reserved
    return now;
  }

  std::atomic<int64_t> free = 100 * kMiB;
};

// A file on it that takes what is reserved, or what there is.
class FileOnDisk : public File {
 public:
  explicit FileOnDisk(Disk& disk) : disk_(disk) {}
  using Bytes = absl::StatusOr<int64_t>;
  using Locked = absl::StatusOr<bool>;
  MOCK_METHOD(absl::Status, Write, (int64_t, std::span<const std::string_view>), (override));
  MOCK_METHOD(Bytes, Read, (int64_t, std::span<char>), (const, override));
  MOCK_METHOD(absl::Status, Sync, (), (override));
  MOCK_METHOD(absl::Status, StartWriteback, (int64_t, int64_t), (override));
  MOCK_METHOD(absl::Status, SetDirect, (bool), (override));
  MOCK_METHOD(absl::Status, SetMode, (int), (override));
  MOCK_METHOD(absl::StatusOr<FileInfo>, Info, (), (const, override));
  MOCK_METHOD(void, DropCache, (), (override));
  MOCK_METHOD(Locked, TryLock, (), (override));
  absl::Status Truncate(int64_t size) override {
    disk_.free += reserved - size;
    reserved = size;
    return absl::OkStatus();
  }
  absl::Status Reserve(int64_t size) override {
    if (error != 0) return FileError("reserve", "file", error);
    disk_.free -= size - reserved;
    reserved = size;
    return absl::OkStatus();
  }

  int64_t reserved = 0;
  int error = 0;

 private:
  Disk& disk_;
};

TEST(FreeSpace, KeepsSomeOfItFree) {
  struct Case {
    int64_t kept, have, size;  // MiB, of 100 that are free
    bool fits;
  };
  for (const Case& c : {
           Case{0, 0, 100, true},
           Case{0, 0, 101, false},
           Case{30, 0, 70, true},
           Case{30, 0, 71, false},
           Case{30, 20, 90, true},  // the first 20 have been written
           Case{30, 20, 91, false},
           Case{120, 0, 1, false},   // more is to be kept than there is
           Case{120, 50, 50, true},  // all of it has been written
           Case{100, 0, 0, true},    // of unknown size
           Case{101, 0, 0, false},
       }) {
    SCOPED_TRACE(testing::Message() << c.kept << ' ' << c.have << ' ' << c.size);
    Disk disk;
    FileOnDisk file(disk);
    file.reserved = c.have * kMiB;
    FreeSpace space(disk, c.kept * kMiB);
    const absl::Status status = space.Reserve(file, "weights", c.have * kMiB, c.size * kMiB);
    if (c.fits) {
      EXPECT_OK(status);
      EXPECT_EQ(file.reserved, std::max(c.have, c.size) * kMiB);
    } else {
      EXPECT_THAT(status, HasReason("DISK_FULL"));
      EXPECT_EQ(file.reserved, c.have * kMiB);
    }
  }
}

TEST(FreeSpace, SaysWhatIsMissingAndWhatToDo) {
  Disk disk;
  FileOnDisk file(disk);
  FreeSpace space(disk, 30 * kMiB);
  EXPECT_THAT(space.Reserve(file, "weights", 0, 71 * kMiB),
              Says("part 'weights' needs 74448896 bytes, but of 104857600 free bytes 31457280 are "
                   "kept in reserve (limits.free_space_reserve_mib); free some space, as with "
                   "'ckptctl rm'"));
}

TEST(FreeSpace, GivesBackWhatAFailedReservationTook) {
  Disk disk;
  FileOnDisk file(disk);
  FreeSpace space(disk, 0);
  file.reserved = 5 * kMiB;
  file.error = ENOSPC;
  EXPECT_THAT(space.Reserve(file, "weights", kMiB, 10 * kMiB), HasReason("DISK_FULL"));
  EXPECT_EQ(file.reserved, kMiB);
}

TEST(FreeSpace, ManyAtOnceDoNotTakeWhatIsKept) {
  for (int round = 0; round < 50; ++round) {
    Disk disk;
    FreeSpace space(disk, 50 * kMiB);
    std::atomic<int> taken = 0;
    std::vector<std::thread> uploads;
    for (int i = 0; i < 8; ++i) {
      uploads.emplace_back([&] {
        FileOnDisk file(disk);
        if (space.Reserve(file, "weights", 0, 20 * kMiB).ok()) ++taken;
      });
    }
    for (std::thread& upload : uploads) upload.join();
    EXPECT_EQ(taken, 2);
    EXPECT_EQ(disk.free, 60 * kMiB);
  }
}

}  // namespace
}  // namespace ckpt::storage
