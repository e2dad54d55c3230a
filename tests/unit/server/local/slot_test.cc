#include "server/local/slot.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

UniqueFd Memory(int64_t bytes, int seals) {
  UniqueFd memfd(memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(memfd.get(), bytes), 0);
  EXPECT_EQ(fcntl(memfd.get(), F_ADD_SEALS, seals), 0);
  return memfd;
}

void Put(const UniqueFd& memfd, int64_t offset, std::string_view bytes) {
  EXPECT_EQ(pwrite(memfd.get(), bytes.data(), bytes.size(), offset),
            static_cast<ssize_t>(bytes.size()));
}

TEST(SlotTest, TakesOnlyMemoryThatCannotShrinkAway) {
  constexpr int64_t kFits = kSlotHeaderBytes + 100;
  const UniqueFd pipe_end = [] {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    close(ends[1]);
    return UniqueFd(ends[0]);
  }();
  const UniqueFd not_sealed = Memory(kFits, 0);
  const UniqueFd may_grow = Memory(kFits, F_SEAL_SHRINK);
  const UniqueFd may_shrink = Memory(kFits, F_SEAL_GROW);
  const UniqueFd too_small = Memory(kFits - 1, F_SEAL_SHRINK | F_SEAL_GROW);
  // Made without a page of the pool; mapping it would take two.
  const UniqueFd huge(memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  EXPECT_EQ(ftruncate(huge.get(), 4 << 20), 0);
  EXPECT_EQ(fcntl(huge.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  const UniqueFd good = Memory(kFits, F_SEAL_SHRINK | F_SEAL_GROW);
  struct Case {
    const char* what;
    const UniqueFd& memfd;
    int64_t size;
    v1::ErrorReason reason;
  };
  const Case cases[] = {
      {"a pipe", pipe_end, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"not sealed", not_sealed, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"may grow", may_grow, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"may shrink", may_shrink, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"too small", too_small, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"of huge pages", huge, 100, v1::ERROR_REASON_FIELD_INVALID},
      {"no bytes", good, 0, v1::ERROR_REASON_FIELD_INVALID},
      {"negative", good, -1, v1::ERROR_REASON_FIELD_INVALID},
      {"overflows", good, INT64_MAX, v1::ERROR_REASON_FIELD_INVALID},
      {"good", good, 100, v1::ERROR_REASON_UNSPECIFIED},
  };
  SlotMemory memory(1 << 20);
  for (const Case& each : cases) {
    const auto slot = Slot::Map(each.memfd, each.size, memory);
    EXPECT_EQ(ReasonOf(slot.status()), each.reason) << each.what << ": " << slot.status();
    EXPECT_EQ(memory.taken(), slot.ok() ? kFits : 0) << each.what;
    EXPECT_EQ(memory.grants(), slot.ok() ? 1 : 0) << each.what;
  }
  EXPECT_EQ(memory.taken(), 0);
}

TEST(SlotTest, AllSlotsTogetherAreBounded) {
  SlotMemory memory(3 * kSlotHeaderBytes);
  const UniqueFd memfd = Memory(2 * kSlotHeaderBytes, F_SEAL_SHRINK | F_SEAL_GROW);
  {
    const auto first = Slot::Map(memfd, kSlotHeaderBytes, memory);
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_EQ(ReasonOf(Slot::Map(memfd, kSlotHeaderBytes, memory).status()),
              v1::ERROR_REASON_LIMIT_EXCEEDED);
  }
  EXPECT_TRUE(Slot::Map(memfd, kSlotHeaderBytes, memory).ok()) << "the first has gone";
}

TEST(SlotContentTest, IsReadWhileTheGenerationStays) {
  SlotMemory memory(1 << 20);
  const UniqueFd memfd = Memory(kSlotHeaderBytes + 100, F_SEAL_SHRINK | F_SEAL_GROW);
  const auto slot = Slot::Map(memfd, 100, memory);
  ASSERT_TRUE(slot.ok()) << slot.status();
  Put(memfd, kSlotHeaderBytes, "0123456789");
  Put(memfd, 0, std::string_view("\x02\0\0\0\0\0\0\0", 8));
  EXPECT_EQ((*slot)->generation(), 2u);
  const SlotContent content(*slot, 10, 2);
  EXPECT_EQ(content.size(), 10);
  std::string middle(4, '\0');
  ASSERT_TRUE(content.Read(3, middle).ok());
  EXPECT_EQ(middle, "3456");
  EXPECT_TRUE(content.Check().ok());
  for (const char* other : {"\x03", "\x04"}) {
    Put(memfd, 0, std::string_view(other, 1));
    EXPECT_EQ(ReasonOf(content.Read(3, middle)), v1::ERROR_REASON_DIGEST_MISMATCH);
    EXPECT_EQ(ReasonOf(content.Check()), v1::ERROR_REASON_DIGEST_MISMATCH);
  }
}

}  // namespace
}  // namespace ckpt::server
