#include "storage/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace ckpt {
namespace {

int OpenNull() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFdTest, ClosesOnceAtTheEnd) {
  const int fd = OpenNull();
  {
    UniqueFd first(fd);
    UniqueFd second = std::move(first);
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): it is empty
    EXPECT_EQ(second.get(), fd);
    EXPECT_TRUE(IsOpen(fd));
  }
  EXPECT_FALSE(IsOpen(fd));
}

TEST(UniqueFdTest, GivesItsDescriptorAway) {
  const int fd = OpenNull();
  {
    UniqueFd owner(fd);
    EXPECT_EQ(owner.Release(), fd);
  }
  EXPECT_TRUE(IsOpen(fd));
  close(fd);
}

}  // namespace
}  // namespace ckpt
