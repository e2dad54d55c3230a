#include "client/cpp/src/local_slot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace ckpt::client {
namespace {

constexpr size_t kHeaderBytes = 4096;
// Saves of a run vary a little in size; this much of it does not ask for other memory.
constexpr size_t kGranularity = size_t{1} << 20;

absl::Status NoMemory(size_t bytes, int error) {
  return absl::ResourceExhaustedError(fmt::format("no slot of {} bytes of shared memory: {}", bytes,
                                                  std::generic_category().message(error)));
}

// Bytes that this machine can still give out without swapping, as the kernel estimates it; the most
// there can be where it does not tell.
size_t AvailableMemory() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    unsigned long long kibibytes = 0;
    if (std::sscanf(line.c_str(), "MemAvailable: %llu kB", &kibibytes) == 1) {
      return static_cast<size_t>(kibibytes) << 10;
    }
  }
  return std::numeric_limits<size_t>::max();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalSlot>> LocalSlot::Make(uint32_t number, size_t capacity) {
  capacity = std::max(kGranularity, (capacity + kGranularity - 1) / kGranularity * kGranularity);
  const size_t bytes = kHeaderBytes + capacity;
  // The kernel would look for the memory at the expense of every process.
  if (bytes > AvailableMemory()) return NoMemory(bytes, ENOMEM);
  UniqueFd fd(memfd_create("ckpt-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return NoMemory(bytes, errno);
  // Reserved now, when it can be refused: a write to memory that is not there ends the process.
  const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  if (error != 0) return NoMemory(bytes, error);
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return NoMemory(bytes, errno);
  void* mapping =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
  if (mapping == MAP_FAILED) return NoMemory(bytes, errno);
  // Data loaders fork, and programs dump core: neither needs the slots.
  madvise(mapping, bytes, MADV_DONTFORK);
  madvise(mapping, bytes, MADV_DONTDUMP);
  return std::unique_ptr<LocalSlot>(
      new LocalSlot(number, std::move(fd), static_cast<char*>(mapping), capacity));
}

LocalSlot::LocalSlot(uint32_t number, UniqueFd fd, char* mapping, size_t capacity)
    : number_(number), fd_(std::move(fd)), mapping_(mapping), capacity_(capacity) {}

LocalSlot::~LocalSlot() { munmap(mapping_, kHeaderBytes + capacity_); }

void LocalSlot::Fill(std::string_view bytes) {
  SetGeneration(generation_ + 1);
  std::atomic_thread_fence(std::memory_order_release);
  if (!bytes.empty()) std::memcpy(mapping_ + kHeaderBytes, bytes.data(), bytes.size());
  filled_ = bytes.size();
  SetGeneration(generation_ + 1);
}

std::string_view LocalSlot::content() const { return {mapping_ + kHeaderBytes, filled_}; }

void LocalSlot::SetGeneration(uint64_t generation) {
  static_assert(std::endian::native == std::endian::little);
  generation_ = generation;
  // Another process reads it.
  __atomic_store_n(reinterpret_cast<uint64_t*>(mapping_), generation, __ATOMIC_RELEASE);
}

}  // namespace ckpt::client
