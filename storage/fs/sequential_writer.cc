#include "storage/fs/sequential_writer.h"

#include <utility>

namespace ckpt::storage {
namespace {

// Large enough for the disk to work at full speed, small enough to be on its way early.
constexpr int64_t kWriteBehindBytes = 8 << 20;

}  // namespace

SequentialWriter::SequentialWriter(std::unique_ptr<File> file, int64_t offset)
    : file_(std::move(file)), offset_(offset), written_back_(offset) {}

absl::Status SequentialWriter::Append(std::span<const std::string_view> pieces) {
  if (absl::Status status = file_->Write(offset_, pieces); !status.ok()) return status;
  for (const std::string_view piece : pieces) offset_ += static_cast<int64_t>(piece.size());
  if (offset_ - written_back_ < kWriteBehindBytes) return absl::OkStatus();
  absl::Status status = file_->StartWriteback(written_back_, offset_ - written_back_);
  written_back_ = offset_;
  return status;
}

absl::Status SequentialWriter::Sync() {
  written_back_ = offset_;
  return file_->Sync();
}

}  // namespace ckpt::storage
