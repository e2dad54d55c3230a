#include "client/cpp/src/local_slot.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ckpt::client {
namespace {

uint64_t GenerationInMemory(const LocalSlot& slot) {
  uint64_t generation = 0;
  EXPECT_EQ(pread(slot.fd(), &generation, sizeof generation, 0), ssize_t{sizeof generation});
  return generation;
}

TEST(LocalSlotTest, IsAsTheProtocolWantsIt) {
  auto slot = LocalSlot::Make(7, 3'000'000);
  ASSERT_TRUE(slot.ok()) << slot.status();
  EXPECT_EQ((*slot)->number(), 7u);
  EXPECT_GE((*slot)->capacity(), 3'000'000u);
  EXPECT_EQ(fcntl((*slot)->fd(), F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
  EXPECT_EQ(GenerationInMemory(**slot), 0u);
  (*slot)->Fill("abc");
  EXPECT_EQ((*slot)->content(), "abc");
  EXPECT_EQ((*slot)->generation(), 2u);
  EXPECT_EQ(GenerationInMemory(**slot), 2u);
  char content[4] = "";
  EXPECT_EQ(pread((*slot)->fd(), content, 3, 4096), 3);
  EXPECT_STREQ(content, "abc");
  (*slot)->Fill("");
  EXPECT_EQ((*slot)->content(), "");
  EXPECT_EQ(GenerationInMemory(**slot), 4u);
}

TEST(LocalSlotTest, FillingTakesNoFurtherMemory) {
  constexpr size_t kBytes = 32 << 20;
  auto slot = LocalSlot::Make(1, kBytes);
  ASSERT_TRUE(slot.ok()) << slot.status();
  const std::string bytes(kBytes, 'x');
  rusage before{};
  rusage after{};
  getrusage(RUSAGE_THREAD, &before);
  (*slot)->Fill(bytes);
  getrusage(RUSAGE_THREAD, &after);
  EXPECT_LT(after.ru_minflt - before.ru_minflt, 100) << "page faults in warm memory";
}

TEST(LocalSlotTest, MemoryThatIsNotThereIsAnError) {
  const auto slot = LocalSlot::Make(1, size_t{1} << 52);
  EXPECT_TRUE(absl::IsResourceExhausted(slot.status())) << slot.status();
}

}  // namespace
}  // namespace ckpt::client
