#include "server/local/slot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bit>
#include <cerrno>
#include <limits>
#include <string>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

absl::Status CheckMemory(const UniqueFd& memfd, int64_t size) {
  const auto invalid = [](std::string_view value, std::string_view rule) {
    return FieldInvalid("register_slot", value, rule);
  };
  if (size <= 0 || size > std::numeric_limits<int64_t>::max() - kSlotHeaderBytes) {
    return invalid(std::to_string(size), "its size must be above 0");
  }
  const int seals = fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0) return invalid("descriptor", "it must be a memfd made with MFD_ALLOW_SEALING");
  if ((seals & kSeals) != kSeals) {
    return invalid("descriptor", "it must be sealed with F_SEAL_SHRINK and F_SEAL_GROW");
  }
  struct stat info;
  struct statfs system;
  if (fstat(memfd.get(), &info) != 0) return FileError("fstat", "slot", errno);
  if (fstatfs(memfd.get(), &system) != 0) return FileError("fstatfs", "slot", errno);
  // Reading a huge page that the pool has not left would end the daemon.
  if (system.f_type != TMPFS_MAGIC) return invalid("descriptor", "it must not be of huge pages");
  if (info.st_size < kSlotHeaderBytes + size) {
    return invalid(std::to_string(size),
                   fmt::format("the memory has {} bytes, and {} of them are the header",
                               info.st_size, kSlotHeaderBytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SlotMemory::Grant> SlotMemory::Take(int64_t bytes) {
  int64_t taken = taken_.load();
  do {
    if (bytes > limit_ - taken) {
      return LimitExceeded("bytes in slots of all trainers", static_cast<uint64_t>(limit_),
                           static_cast<uint64_t>(taken) + static_cast<uint64_t>(bytes));
    }
  } while (!taken_.compare_exchange_weak(taken, taken + bytes));
  grants_.fetch_add(1);
  return Grant(*this, bytes);
}

absl::StatusOr<std::shared_ptr<const Slot>> Slot::Map(const UniqueFd& memfd, int64_t size,
                                                      SlotMemory& memory) {
  if (absl::Status status = CheckMemory(memfd, size); !status.ok()) return status;
  const int64_t bytes = kSlotHeaderBytes + size;
  auto grant = memory.Take(bytes);
  if (!grant.ok()) return grant.status();
  void* mapping = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ, MAP_SHARED, memfd.get(), 0);
  if (mapping == MAP_FAILED) return FileError("mmap", "slot", errno);
  return std::shared_ptr<const Slot>(
      new Slot(static_cast<const char*>(mapping), size, *std::move(grant)));
}

Slot::~Slot() {
  munmap(const_cast<char*>(mapping_), static_cast<size_t>(kSlotHeaderBytes + size_));
}

uint64_t Slot::generation() const {
  static_assert(std::endian::native == std::endian::little);
  // Another process writes it: an atomic load, ordered before the reads of the content.
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(mapping_), __ATOMIC_ACQUIRE);
}

absl::Status SlotContent::Read(int64_t offset, std::span<char> buffer) const {
  if (absl::Status status = Check(); !status.ok()) return status;
  slot_->content().copy(buffer.data(), buffer.size(), static_cast<size_t>(offset));
  return absl::OkStatus();
}

absl::Status SlotContent::Check() const {
  const uint64_t generation = slot_->generation();
  if (generation == generation_) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_DIGEST_MISMATCH,
                   fmt::format("the slot was written again before it was stored: submitted at "
                               "generation {}, now {}",
                               generation_, generation));
}

}  // namespace ckpt::server
