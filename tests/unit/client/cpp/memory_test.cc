#include "client/cpp/src/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

namespace ckpt::client {
namespace {

// Whether the kernel was told to use huge pages for the memory at `address`.
bool IsAdvised(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool within = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      within = begin <= wanted && wanted < end;
    } else if (within && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

TEST(ReserveTest, TakesAnySize) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 21, (size_t{3} << 21) + 5}) {
    std::string content = "what is there";
    Reserve(content, size);
    EXPECT_GE(content.capacity(), size);
    EXPECT_EQ(content, "what is there");
    content.append(size, 'x');
  }
}

TEST(ReserveTest, AsksForHugePagesWhereThereAreAny) {
  constexpr size_t kSize = 64 << 20;
  std::string content;
  Reserve(content, kSize);
  EXPECT_EQ(IsAdvised(content.data() + kSize / 2),
            std::filesystem::exists("/sys/kernel/mm/transparent_hugepage"));
}

TEST(KeepFreedMemoryTest, WhatIsFreedStaysWithTheProcess) {
  constexpr size_t kPiece = 64 << 10;
  KeepFreedMemory();
  std::vector<std::unique_ptr<char[]>> pieces;
  for (size_t size = 0; size < 4 << 20; size += kPiece) {
    pieces.push_back(std::make_unique<char[]>(kPiece));
  }
  pieces.clear();
  const struct mallinfo2 info = mallinfo2();
  EXPECT_TRUE(info.fordblks >= 4 << 20 || info.arena == 0) << "of a sanitizer nothing is known";
}

}  // namespace
}  // namespace ckpt::client
