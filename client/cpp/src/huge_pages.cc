#include "client/cpp/src/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace ckpt::client {
namespace {

constexpr size_t kHugePage = 2 << 20;

}  // namespace

void Reserve(std::string& content, size_t size) {
  content.reserve(size);
  char* const memory = content.data();
  const size_t before = -reinterpret_cast<uintptr_t>(memory) % kHugePage;
  if (content.capacity() < before + kHugePage) return;
  const size_t pages = (content.capacity() - before) / kHugePage;
  madvise(memory + before, pages * kHugePage, MADV_HUGEPAGE);  // advice: it need not be taken
}

}  // namespace ckpt::client
