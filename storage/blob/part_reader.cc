#include "storage/blob/part_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"

namespace ckpt::storage {
namespace {

class BlobPartReader final : public PartReader {
 public:
  BlobPartReader(std::unique_ptr<File> file, v1::Checkpoint checkpoint, v1::Part part,
                 std::string block_digests)
      : file_(std::move(file)),
        checkpoint_(std::move(checkpoint)),
        part_(std::move(part)),
        block_digests_(std::move(block_digests)) {}

  const v1::Checkpoint& checkpoint() const override { return checkpoint_; }
  const v1::Part& part() const override { return part_; }
  int64_t blocks() const override { return BlockCount(part_.size()); }
  absl::Status ReadBlock(int64_t index, std::span<char> block) override;

 private:
  const std::unique_ptr<File> file_;
  const v1::Checkpoint checkpoint_;
  const v1::Part part_;
  const std::string block_digests_;
};

absl::Status BlobPartReader::ReadBlock(int64_t index, std::span<char> block) {
  if (index < 0 || index >= blocks() || std::ssize(block) != BlockBytes(index)) {
    return FieldInvalid("block", std::to_string(index), fmt::format("there are {}", blocks()));
  }
  const int64_t offset = index * kDigestBlockBytes;
  const auto got = file_->Read(offset, block);
  if (!got.ok()) return got.status();
  const auto digest =
      std::string_view(block_digests_)
          .substr(static_cast<size_t>(index) * kBlockDigestBytes, kBlockDigestBytes);
  if (*got == std::ssize(block) && BlockDigest({block.data(), block.size()}) == digest) {
    return absl::OkStatus();
  }
  return BlobCorrupt(checkpoint_.name(), part_.part(),
                     fmt::format("the block at byte {} does not match its digest", offset));
}

std::string NamesOf(const std::vector<const v1::Part*>& parts) {
  std::string names;
  for (const v1::Part* part : parts) {
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", part->part());
  }
  return names.empty() ? "none of this rank" : names;
}

absl::StatusOr<v1::Part> Choose(const v1::Checkpoint& checkpoint, int rank, std::string_view part) {
  std::vector<const v1::Part*> of_rank;
  for (const v1::Part& candidate : checkpoint.parts()) {
    if (candidate.rank() == rank) of_rank.push_back(&candidate);
  }
  if (part.empty() && of_rank.size() == 1) return *of_rank[0];
  for (const v1::Part* candidate : of_rank) {
    if (candidate->part() == part) return *candidate;
  }
  return PartNotFound(checkpoint.name(), part, NamesOf(of_rank));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartReader>> OpenPartReader(Directory& root,
                                                           const v1::Checkpoint& checkpoint,
                                                           const v1::Manifest& manifest, int rank,
                                                           std::string_view part) {
  auto chosen = Choose(checkpoint, rank, part);
  if (!chosen.ok()) return chosen.status();
  const auto stored = Choose(manifest.checkpoint(), rank, chosen->part());
  if (!stored.ok() || stored->size() != chosen->size() ||
      stored->xxh3_128() != chosen->xxh3_128()) {
    return BlobCorrupt(checkpoint.name(), chosen->part(), "its manifest and the index differ");
  }
  const auto folder = SaveFolderNameOf(checkpoint);
  if (!folder.ok()) return folder.status();
  auto file =
      root.Open(BlobPath(*folder) + '/' + PartFileName(rank, chosen->part()), OpenMode::kRead);
  if (ErrnoOf(file.status()) == ENOENT) {
    return BlobCorrupt(checkpoint.name(), chosen->part(), "its file is missing");
  }
  if (!file.ok()) return file.status();
  const auto info = (*file)->Info();
  if (!info.ok()) return info.status();
  if (info->size != chosen->size()) {
    return BlobCorrupt(checkpoint.name(), chosen->part(),
                       fmt::format("its file has {} bytes of {}", info->size, chosen->size()));
  }
  v1::Checkpoint row = checkpoint;
  row.clear_policy_states();
  return std::make_unique<BlobPartReader>(*std::move(file), std::move(row),
                                          WithoutBlockDigests(*std::move(chosen)),
                                          stored->block_digests());
}

}  // namespace ckpt::storage
