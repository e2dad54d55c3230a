#include "client/cpp/src/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace ckpt::client {
namespace {

constexpr size_t kHugePage = 2 << 20;
constexpr size_t kKeptMemory = 4 << 20;

}  // namespace

void Reserve(std::string& content, size_t size) {
  content.reserve(size);
  char* const memory = content.data();
  const size_t before = -reinterpret_cast<uintptr_t>(memory) % kHugePage;
  if (content.capacity() < before + kHugePage) return;
  const size_t pages = (content.capacity() - before) / kHugePage;
  madvise(memory + before, pages * kHugePage, MADV_HUGEPAGE);  // advice: it need not be taken
}

void KeepFreedMemory() {
  // glibc gives memory back to the kernel as soon as 128 KiB are free in one piece, until it sees
  // a larger block freed that it had mapped on its own: then it keeps twice as much as that.
  [[maybe_unused]] static const bool kDone = [] {
    ::operator delete(::operator new(kKeptMemory));
    return true;
  }();
}

}  // namespace ckpt::client
