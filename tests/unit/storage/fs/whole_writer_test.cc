#include "storage/fs/whole_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/errors.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"
#include "tests/unit/storage/testing/test_content.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Gives every task a thread.
class Threads {
 public:
  ~Threads() { Join(); }
  Spawn spawn() {
    return [this](absl::AnyInvocable<void()> task) { threads_.emplace_back(std::move(task)); };
  }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  size_t count() const { return threads_.size(); }

 private:
  std::vector<std::thread> threads_;
};

class WholeWriterTest : public testing::Test {
 protected:
  absl::StatusOr<WholeWritten> Write(const Content& content, const Spawn& spawn = nullptr) {
    file_ = *root_->Open("f", OpenMode::kWrite);
    return WriteWhole(*file_, content, spawn);
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  std::unique_ptr<File> file_;
};

TEST_F(WholeWriterTest, WritesAndHashesEverySize) {
  const int64_t sizes[] = {0,
                           1,
                           4095,
                           4096,
                           4097,
                           4 * kMiB - 1,
                           4 * kMiB,
                           4 * kMiB + 1,
                           9 * kMiB + 17,
                           24 * kMiB,
                           33 * kMiB + 4096};
  for (const int64_t size : sizes) {
    const std::string bytes = Bytes(static_cast<size_t>(size));
    for (const bool helped : {true, false}) {
      SCOPED_TRACE(testing::Message() << size << " helped " << helped);
      std::filesystem::remove(dir_ / "f");
      Threads threads;
      const TestContent content(bytes);
      const auto written = Write(content, helped ? threads.spawn() : nullptr);
      ASSERT_OK(written);
      EXPECT_EQ(written->digest.Whole(), DigestOf(bytes));
      EXPECT_EQ(written->digest.size(), size);
      EXPECT_EQ(ReadFile(dir_ / "f"), bytes);
    }
  }
}

TEST_F(WholeWriterTest, FallsBackWhereDirectWritingIsRefused) {
  const std::string bytes = Bytes(9 * kMiB + 5);
  struct Case {
    const char* operation;
    int error;
  };
  for (const Case& c :
       {Case{"direct", EINVAL}, Case{"direct", EOPNOTSUPP}, Case{"write", EINVAL}}) {
    std::filesystem::remove(dir_ / "f");
    // Once: taking direct writing back must work.
    file_system_.set_plan(
        [c, done = false](int64_t, std::string_view operation, std::string_view) mutable {
          return operation == c.operation && !std::exchange(done, true) ? c.error : 0;
        });
    const auto written = Write(TestContent(bytes));
    ASSERT_OK(written) << c.operation;
    EXPECT_EQ(written->mode, WriteMode::kPaced);
    EXPECT_EQ(written->digest.Whole(), DigestOf(bytes));
    EXPECT_EQ(ReadFile(dir_ / "f"), bytes);
  }
}

TEST_F(WholeWriterTest, ErrorsOfTheDiskEndIt) {
  Threads threads;
  file_system_.set_plan(
      [writes = 0](int64_t, std::string_view operation, std::string_view) mutable {
        return operation == "write" && ++writes == 4 ? ENOSPC : 0;
      });
  EXPECT_THAT(Write(TestContent(Bytes(40 * kMiB)), threads.spawn()), HasReason("DISK_FULL"));
}

TEST_F(WholeWriterTest, ErrorsOfTheContentEndIt) {
  for (const int64_t bad : {int64_t{0}, 12 * kMiB}) {
    TestContent content(Bytes(20 * kMiB));
    content.set_on_read([bad](int64_t offset) {
      return offset == bad ? absl::Status(absl::StatusCode::kAborted, "cut") : absl::OkStatus();
    });
    EXPECT_EQ(Write(content).status().code(), absl::StatusCode::kAborted) << bad;
  }
}

TEST_F(WholeWriterTest, ContentThatWasNotWhatItSeemedIsRefused) {
  for (const int64_t size : {int64_t{1}, 12 * kMiB}) {
    TestContent content(Bytes(static_cast<size_t>(size)));
    content.set_check(absl::AbortedError("torn"));
    EXPECT_EQ(Write(content).status().code(), absl::StatusCode::kAborted) << size;
  }
}

TEST_F(WholeWriterTest, TheDigestIsOfWhatIsInTheFileWhateverBecomesOfTheContent) {
  const std::string bytes = Bytes(12 * kMiB);
  TestContent content(bytes);
  // The second block is read after the first was written, and before that one is hashed.
  content.set_on_read([&content](int64_t offset) {
    if (offset == 4 * kMiB) content.start()[100] ^= 1;
    return absl::OkStatus();
  });
  // A first helper that runs at once writes all it may before anything is hashed.
  const Spawn at_once = [tasks = 0](absl::AnyInvocable<void()> task) mutable {
    if (tasks++ == 0) std::thread(std::move(task)).join();
  };
  const auto written = Write(content, at_once);
  ASSERT_OK(written);
  EXPECT_EQ(ReadFile(dir_ / "f"), bytes);
  EXPECT_EQ(written->digest.Whole(), DigestOf(bytes));
}

TEST_F(WholeWriterTest, HelpersThatComeLateTouchNothing) {
  std::vector<absl::AnyInvocable<void()>> late;
  {
    const TestContent content(Bytes(12 * kMiB));
    ASSERT_OK(
        Write(content, [&](absl::AnyInvocable<void()> task) { late.push_back(std::move(task)); }));
    file_.reset();
  }
  const size_t calls = file_system_.calls().size();
  ASSERT_EQ(late.size(), 2U);
  for (auto& task : late) task();
  EXPECT_EQ(file_system_.calls().size(), calls);
}

}  // namespace
}  // namespace ckpt::storage
