#include "server/local/file_content.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "storage/base/errors.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {
namespace {

UniqueFd MemoryFile(std::string_view content) {
  UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  EXPECT_EQ(write(file.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  return file;
}

v1::ErrorReason WhyNot(UniqueFd file, int64_t size) {
  SlotMemory memory(100);
  return ReasonOf(FileContent::Open(std::move(file), size, memory).status());
}

TEST(FileContentTest, IsReadFromTheFirstByteOn) {
  SlotMemory memory(10);
  const auto content = FileContent::Open(MemoryFile("0123456789"), 10, memory);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ((*content)->size(), 10);
  std::string middle(4, '\0');
  ASSERT_TRUE((*content)->Read(3, middle).ok());
  EXPECT_EQ(middle, "3456");
}

TEST(FileContentTest, TakesOnlyFilesInMemoryThatCanBeRead) {
  const storage::TempDir folder;
  storage::WriteFile(folder / "file", "0123456789");
  EXPECT_EQ(WhyNot(UniqueFd(open((folder / "file").c_str(), O_RDONLY | O_CLOEXEC)), 10),
            v1::ERROR_REASON_FIELD_INVALID)
      << "on a disk";
  for (const char* path : {"/dev/zero", "/dev/shm", "/proc/self/status"}) {
    EXPECT_EQ(WhyNot(UniqueFd(open(path, O_RDONLY | O_CLOEXEC)), 10),
              v1::ERROR_REASON_FIELD_INVALID)
        << path;
  }
  EXPECT_EQ(WhyNot(MemoryFile("0123456789"), 11), v1::ERROR_REASON_FIELD_INVALID) << "too short";
  EXPECT_EQ(WhyNot(MemoryFile("0123456789"), 9), v1::ERROR_REASON_FIELD_INVALID) << "too long";
  const UniqueFd file = MemoryFile("0123456789");
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  for (const int flags : {O_WRONLY, O_PATH}) {
    EXPECT_EQ(WhyNot(UniqueFd(open(link.c_str(), flags | O_CLOEXEC)), 10),
              v1::ERROR_REASON_FIELD_INVALID)
        << flags;
  }
}

TEST(FileContentTest, CountsAsASlotWhileItIsHeld) {
  SlotMemory memory(15);
  {
    const auto content = FileContent::Open(MemoryFile("0123456789"), 10, memory);
    ASSERT_TRUE(content.ok()) << content.status();
    EXPECT_EQ(memory.taken(), 10);
    EXPECT_EQ(memory.grants(), 1);
    EXPECT_EQ(ReasonOf(FileContent::Open(MemoryFile("0123456789"), 10, memory).status()),
              v1::ERROR_REASON_LIMIT_EXCEEDED);
  }
  EXPECT_EQ(memory.taken(), 0);
  EXPECT_EQ(memory.grants(), 0);
}

TEST(FileContentTest, AFileThatBecomesShorterIsAnError) {
  SlotMemory memory(10);
  UniqueFd file = MemoryFile("0123456789");
  const UniqueFd owner(dup(file.get()));
  const auto content = FileContent::Open(std::move(file), 10, memory);
  ASSERT_TRUE(content.ok()) << content.status();
  ASSERT_EQ(ftruncate(owner.get(), 5), 0);
  std::string all(10, '\0');
  EXPECT_EQ(ReasonOf((*content)->Read(0, all)), v1::ERROR_REASON_FIELD_INVALID);
}

}  // namespace
}  // namespace ckpt::server
