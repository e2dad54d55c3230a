#include "storage/fs/whole_writer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

// One request to the disk, and one block digest.
constexpr int64_t kBlock = kDigestBlockBytes;
// Blocks that are written or wait to be hashed.
constexpr int64_t kWindow = 4;
constexpr size_t kHugePage = 2 << 20;
constexpr int kHelpers = 2;

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using AlignedMemory = std::unique_ptr<char, FreeMemory>;

AlignedMemory NewBuffer(int64_t bytes) {
  static_assert(kHugePage % kDirectAlignment == 0);
  const size_t alignment = bytes < kBlock ? kDirectAlignment : kHugePage;
  const size_t size = (static_cast<size_t>(bytes) + alignment - 1) / alignment * alignment;
  AlignedMemory memory(static_cast<char*>(std::aligned_alloc(alignment, size)));
  if (alignment == kHugePage) madvise(memory.get(), size, MADV_HUGEPAGE);  // a wish
  return memory;
}

bool NotPossible(const absl::Status& status) {
  return ErrnoOf(status) == EINVAL || ErrnoOf(status) == EOPNOTSUPP;
}

// The work that all threads share. Helpers may come late: they hold it, find nothing left to do,
// and touch neither file nor content.
class Transfer {
 public:
  Transfer(File& file, const Content& content)
      : file_(file),
        content_(content),
        size_(content.size()),
        blocks_((size_ + kBlock - 1) / kBlock) {}

  // Writes the first block, which tells whether direct writing works here.
  absl::Status Begin();
  // Writes blocks until none is left to be begun.
  void Help();
  // Writes and hashes until everything is.
  absl::Status Finish();

  WholeWritten Result() && { return {std::move(digest_), mode_}; }

 private:
  struct Slot {
    AlignedMemory buffer;
    std::string_view bytes;
    bool written = false;
  };

  int64_t Length(int64_t block) const { return std::min(kBlock, size_ - block * kBlock); }
  // Needs mutex_.
  bool CanBegin() const { return status_.ok() && begun_ < blocks_ && begun_ < hashed_ + kWindow; }
  bool NothingToBegin() const { return !status_.ok() || begun_ == blocks_; }
  Slot& SlotOf(int64_t block) { return slots_[static_cast<size_t>(block % kWindow)]; }

  // Begin the next block and write it; the lock is not held meanwhile.
  void WriteNext(std::unique_lock<std::mutex>& lock);
  absl::Status WriteBlock(int64_t block, Slot& slot);
  absl::Status Put(int64_t offset, std::string_view bytes);
  void HashNext(std::unique_lock<std::mutex>& lock);
  absl::Status Hash(const Slot& slot);

  File& file_;
  const Content& content_;
  const int64_t size_;
  const int64_t blocks_;
  WriteMode mode_ = WriteMode::kPaced;
  StreamDigest digest_;  // of the one thread that hashes

  std::mutex mutex_;
  std::condition_variable changed_;  // any of what follows; guarded by mutex_
  Slot slots_[kWindow];              // a block's slot is its writer's, then the hasher's
  int64_t begun_ = 0;                // blocks below have a writer
  int64_t hashed_ = 0;               // blocks below are done
  int writing_ = 0;                  // threads that write
  absl::Status status_;
};

absl::Status Transfer::Begin() {
  if (size_ >= kBlock) {
    absl::Status direct = file_.SetDirect(true);
    if (direct.ok()) {
      mode_ = WriteMode::kDirect;
      // The size is set first: a file system may take writes beyond it one at a time only.
      if (absl::Status status = file_.Truncate(size_); !status.ok()) return status;
    } else if (!NotPossible(direct)) {
      return direct;
    }
  }
  if (blocks_ == 0) return absl::OkStatus();
  begun_ = 1;
  absl::Status status = WriteBlock(0, SlotOf(0));
  if (mode_ == WriteMode::kDirect && NotPossible(status)) {
    mode_ = WriteMode::kPaced;
    status = file_.SetDirect(false);
    if (status.ok()) status = WriteBlock(0, SlotOf(0));
  }
  SlotOf(0).written = true;
  return status;
}

void Transfer::Help() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return CanBegin() || NothingToBegin(); });
    if (!CanBegin()) return;
    WriteNext(lock);
  }
}

absl::Status Transfer::Finish() {
  std::unique_lock lock(mutex_);
  const auto can_hash = [this] { return hashed_ < begun_ && SlotOf(hashed_).written; };
  while (status_.ok() && hashed_ < blocks_) {
    changed_.wait(lock, [&] { return !status_.ok() || can_hash() || CanBegin(); });
    if (!status_.ok()) break;
    if (can_hash()) {
      HashNext(lock);
    } else {
      WriteNext(lock);
    }
  }
  begun_ = blocks_;  // whoever comes from now on is too late
  changed_.notify_all();
  changed_.wait(lock, [this] { return writing_ == 0; });
  return status_;
}

void Transfer::WriteNext(std::unique_lock<std::mutex>& lock) {
  const int64_t block = begun_++;
  ++writing_;
  lock.unlock();
  absl::Status status = WriteBlock(block, SlotOf(block));
  lock.lock();
  --writing_;
  SlotOf(block).written = true;
  if (status_.ok()) status_ = std::move(status);
  changed_.notify_all();
}

absl::Status Transfer::WriteBlock(int64_t block, Slot& slot) {
  const int64_t offset = block * kBlock;
  const auto length = static_cast<size_t>(Length(block));
  if (slot.buffer == nullptr) slot.buffer = NewBuffer(std::min(size_, kBlock));
  absl::Status read = content_.Read(offset, {slot.buffer.get(), length});
  if (!read.ok()) return read;
  slot.bytes = {slot.buffer.get(), length};
  return Put(offset, slot.bytes);
}

absl::Status Transfer::Put(int64_t offset, std::string_view bytes) {
  if (mode_ == WriteMode::kDirect) {
    // The last few bytes are left to the page cache.
    bytes = bytes.substr(0, bytes.size() - bytes.size() % kDirectAlignment);
    return bytes.empty() ? absl::OkStatus() : file_.Write(offset, {&bytes, 1});
  }
  absl::Status status = file_.Write(offset, {&bytes, 1});
  if (!status.ok()) return status;
  return file_.StartWriteback(offset, static_cast<int64_t>(bytes.size()));
}

void Transfer::HashNext(std::unique_lock<std::mutex>& lock) {
  const Slot& slot = SlotOf(hashed_);
  lock.unlock();
  absl::Status status = Hash(slot);
  lock.lock();
  SlotOf(hashed_).written = false;
  ++hashed_;
  if (status_.ok()) status_ = std::move(status);
  changed_.notify_all();
}

absl::Status Transfer::Hash(const Slot& slot) {
  if (mode_ == WriteMode::kDirect && slot.bytes.size() % kDirectAlignment != 0) {
    // The last block, and all others are written.
    const size_t rest = slot.bytes.size() % kDirectAlignment;
    const std::string_view bytes = slot.bytes.substr(slot.bytes.size() - rest);
    if (absl::Status status = file_.SetDirect(false); !status.ok()) return status;
    const absl::Status status = file_.Write(size_ - static_cast<int64_t>(rest), {&bytes, 1});
    if (!status.ok()) return status;
  }
  digest_.Update(slot.bytes);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WholeWritten> WriteWhole(File& file, const Content& content, const Spawn& spawn) {
  auto transfer = std::make_shared<Transfer>(file, content);
  if (absl::Status status = transfer->Begin(); !status.ok()) return status;
  for (int i = 0; spawn && i < kHelpers && content.size() > (i + 1) * kBlock; ++i) {
    spawn([transfer] { transfer->Help(); });
  }
  if (absl::Status status = transfer->Finish(); !status.ok()) return status;
  if (absl::Status status = content.Check(); !status.ok()) return status;
  return std::move(*transfer).Result();
}

}  // namespace ckpt::storage
