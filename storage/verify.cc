#include "storage/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/blob_repair.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"

namespace ckpt::storage {
namespace {

// Why a part's file, read to its end or as far as it can be, is not the part; empty if it is.
// `stored` are the manifest's digests of its blocks, empty if there is no manifest.
std::string Difference(const StreamDigest& digest, const v1::Part& part, std::string_view stored) {
  if (digest.size() != part.size()) {
    return fmt::format("its file has {} bytes of {}", digest.size(), part.size());
  }
  if (digest.Whole() == part.xxh3_128()) return {};
  const std::string blocks = digest.Blocks();
  for (size_t i = 0; i + kBlockDigestBytes <= std::min(blocks.size(), stored.size());
       i += kBlockDigestBytes) {
    if (std::string_view(blocks).substr(i, kBlockDigestBytes) ==
        stored.substr(i, kBlockDigestBytes)) {
      continue;
    }
    return fmt::format("the block at byte {} does not match its digest",
                       static_cast<int64_t>(i / kBlockDigestBytes) * kDigestBlockBytes);
  }
  return "it does not match its digest";
}

class StoreVerification final : public Verification {
 public:
  StoreVerification(const VerifyContext& context, const VerifyOptions& options, CheckpointRef after,
                    int64_t total_bytes)
      : context_(context), options_(options), position_(std::move(after)) {
    totals_.set_total_bytes(total_bytes);
  }

  absl::Status Step(v1::VerifyResponse* response) override;

 private:
  struct Reading {
    std::unique_ptr<File> file;
    StreamDigest digest;
  };

  // One checkpoint: its beginning, a piece of one of its parts, its end.
  absl::Status Begin();
  absl::Status ReadPiece();
  absl::Status End();

  void CheckManifest();
  void EndPart(const std::string& unreadable);
  absl::Status CheckNames();
  absl::Status CheckRanking();
  absl::Status Repair();
  absl::Status RepairPart(v1::Damage* damage);
  absl::Status RepairManifest(v1::Damage* damage);
  absl::Status RepairNames();
  absl::Status Mark();

  v1::Damage* Add(v1::Damage::Kind kind, std::string_view message);
  bool IsDamaged(v1::Damage::Kind kind) const;  // and not repaired
  std::string PartPath() const;

  const VerifyContext context_;
  const VerifyOptions options_;
  CheckpointRef position_;     // the newest checkpoint that is done or being done
  v1::VerifyResponse totals_;  // without damages

  // The checkpoint at hand.
  std::optional<v1::Checkpoint> row_;
  std::optional<v1::Manifest> manifest_;
  int part_ = 0;  // index of the part at hand
  std::optional<Reading> reading_;
  std::vector<v1::Damage> damages_;
  std::string piece_;
};

absl::Status StoreVerification::Step(v1::VerifyResponse* response) {
  absl::Status status;
  if (!row_.has_value()) {
    status = Begin();
  } else if (part_ < row_->parts_size()) {
    status = ReadPiece();
  } else {
    status = End();
  }
  *response = totals_;
  if (!row_.has_value()) {
    for (v1::Damage& damage : damages_) *response->add_damages() = std::move(damage);
    damages_.clear();
  }
  return status;
}

absl::Status StoreVerification::Begin() {
  auto next = context_.catalog.NextCheckpoint(position_.run, position_.id, !options_.run.empty());
  if (!next.ok()) return next.status();
  totals_.set_done(!next->has_value());
  if (totals_.done()) return absl::OkStatus();
  row_ = *std::move(next);
  const auto ref = ParseCheckpointName(row_->name());
  if (!ref.ok()) return ref.status();
  position_ = *ref;
  part_ = 0;
  CheckManifest();
  return absl::OkStatus();
}

void StoreVerification::CheckManifest() {
  manifest_.reset();
  auto manifest = context_.blobs.ReadManifest(*row_);
  if (!manifest.ok()) {
    Add(v1::Damage::KIND_MANIFEST, MessageOf(manifest.status()));
    return;
  }
  const v1::Checkpoint& stored = manifest->checkpoint();
  const bool same_parts =
      std::equal(stored.parts().begin(), stored.parts().end(), row_->parts().begin(),
                 row_->parts().end(), [](const v1::Part& a, const v1::Part& b) {
                   return a.rank() == b.rank() && a.part() == b.part() && a.size() == b.size() &&
                          a.xxh3_128() == b.xxh3_128();
                 });
  if (!SameSave(stored, *row_) || !same_parts) {
    Add(v1::Damage::KIND_MANIFEST, "the manifest and the index differ");
    return;
  }
  manifest_ = *std::move(manifest);
}

std::string StoreVerification::PartPath() const {
  const v1::Part& part = row_->parts(part_);
  return BlobPath(SaveFolderName(position_.run, position_.id, "")) + '/' +
         PartFileName(part.rank(), part.part());
}

absl::Status StoreVerification::ReadPiece() {
  if (!reading_.has_value()) {
    auto file = context_.root.Open(PartPath(), OpenMode::kRead);
    if (!file.ok()) {
      EndPart(std::string(MessageOf(file.status())));
      return absl::OkStatus();
    }
    reading_.emplace().file = *std::move(file);
  }
  piece_.resize(kDigestBlockBytes);
  const auto got = reading_->file->Read(reading_->digest.size(), piece_);
  if (!got.ok()) {
    EndPart(std::string(MessageOf(got.status())));
    return absl::OkStatus();
  }
  reading_->digest.Update(std::string_view(piece_).substr(0, static_cast<size_t>(*got)));
  totals_.set_bytes(totals_.bytes() + *got);
  if (*got < kDigestBlockBytes) EndPart("");
  return absl::OkStatus();
}

// The part has been read, or cannot be.
void StoreVerification::EndPart(const std::string& unreadable) {
  const v1::Part& part = row_->parts(part_);
  std::string difference = unreadable;
  if (difference.empty()) {
    std::string_view stored;
    if (manifest_.has_value()) stored = manifest_->checkpoint().parts(part_).block_digests();
    difference = Difference(reading_->digest, part, stored);
    reading_->file->DropCache();
    const bool blocks_differ = manifest_.has_value() && reading_->digest.Blocks() != stored;
    if (difference.empty() && blocks_differ && !IsDamaged(v1::Damage::KIND_MANIFEST)) {
      Add(v1::Damage::KIND_MANIFEST, "the manifest's digests are not those of the blocks");
    }
  }
  if (!difference.empty()) {
    v1::Damage* damage = Add(v1::Damage::KIND_PART, difference);
    damage->set_rank(part.rank());
    damage->set_part(part.part());
  }
  reading_.reset();
  ++part_;
}

absl::Status StoreVerification::End() {
  const auto still = context_.catalog.GetCheckpoint(position_.run, position_.id);
  const bool is_gone = !still.ok() || !SameSave(*still, *row_);
  if (is_gone) damages_.clear();
  absl::Status status;
  if (!is_gone) {
    row_ = *still;  // its names may have gone over to another one
    status = CheckNames();
    if (status.ok()) status = CheckRanking();
    if (status.ok() && options_.repair) status = Repair();
    if (status.ok()) status = Mark();
  }
  totals_.set_checkpoints(totals_.checkpoints() + 1);
  totals_.set_position(row_->name());
  row_.reset();
  return status;
}

absl::Status StoreVerification::CheckNames() {
  for (const v1::Placement& placement : row_->placements()) {
    const auto problem = context_.names.Problem(*row_, placement);
    if (!problem.ok()) return problem.status();
    if (problem->empty()) continue;
    Add(v1::Damage::KIND_NAME, *problem)->set_filepath(placement.filepath());
  }
  return absl::OkStatus();
}

absl::Status StoreVerification::CheckRanking() {
  const auto unranked = context_.catalog.UnrankedMetrics(position_.run, position_.id);
  if (!unranked.ok()) return unranked.status();
  if (unranked->empty()) return absl::OkStatus();
  v1::Damage* damage = Add(v1::Damage::KIND_ROW,
                           fmt::format("it is not ranked by '{}'", fmt::join(*unranked, "', '")));
  if (!options_.repair) return absl::OkStatus();
  damage->set_repaired(true);
  return context_.catalog.Rank(position_.run, position_.id);
}

// What fails stays damaged; only an index that cannot be read ends the verification.
absl::Status StoreVerification::Repair() {
  for (v1::Damage& damage : damages_) {
    if (damage.kind() != v1::Damage::KIND_PART) continue;
    if (absl::Status status = RepairPart(&damage); !status.ok()) return status;
  }
  for (v1::Damage& damage : damages_) {
    if (damage.kind() != v1::Damage::KIND_MANIFEST || IsDamaged(v1::Damage::KIND_PART)) continue;
    if (absl::Status status = RepairManifest(&damage); !status.ok()) return status;
  }
  return RepairNames();
}

absl::Status StoreVerification::RepairPart(v1::Damage* damage) {
  const auto part =
      std::find_if(row_->parts().begin(), row_->parts().end(), [&](const v1::Part& candidate) {
        return candidate.rank() == damage->rank() && candidate.part() == damage->part();
      });
  for (const v1::Placement& placement : row_->placements()) {
    std::string source = RunPath(position_.run) + '/' + placement.filepath();
    if (row_->parts_size() > 1) source += '/' + PartFileName(part->rank(), part->part());
    const auto restored = RestorePart(context_.root, *row_, *part, source);
    damage->set_repaired(restored.ok() && *restored);
    if (damage->repaired()) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status StoreVerification::RepairManifest(v1::Damage* damage) {
  auto run = context_.catalog.LoadRun(position_.run);
  if (!run.ok()) return run.status();
  damage->set_repaired(RestoreManifest(context_.root, *row_, run->run).ok());
  return absl::OkStatus();
}

// Also the links to a part that was replaced.
absl::Status StoreVerification::RepairNames() {
  const bool any = std::any_of(damages_.begin(), damages_.end(), [](const v1::Damage& damage) {
    return damage.kind() == v1::Damage::KIND_NAME ||
           (damage.kind() == v1::Damage::KIND_PART && damage.repaired());
  });
  if (!any || IsDamaged(v1::Damage::KIND_PART)) return absl::OkStatus();
  const auto projected = context_.store.Project(*row_);
  if (!projected.ok()) return absl::OkStatus();
  for (v1::Damage& damage : damages_) {
    if (damage.kind() != v1::Damage::KIND_NAME) continue;
    for (const v1::Placement& placement : projected->placements()) {
      if (placement.filepath() != damage.filepath()) continue;
      const auto problem = context_.names.Problem(*projected, placement);
      damage.set_repaired(problem.ok() && problem->empty());
    }
  }
  return absl::OkStatus();
}

// The row says whether the checkpoint can be read.
absl::Status StoreVerification::Mark() {
  std::string damage;
  for (const v1::Damage& found : damages_) {
    const bool in_bytes =
        found.kind() == v1::Damage::KIND_PART || found.kind() == v1::Damage::KIND_MANIFEST;
    if (!in_bytes || found.repaired() || !damage.empty()) continue;
    damage = found.part().empty() ? found.message()
                                  : fmt::format("part '{}': {}", found.part(), found.message());
  }
  if (damage.empty() && !row_->damage().empty()) {
    Add(v1::Damage::KIND_ROW, "it is marked as damaged, and is not")->set_repaired(options_.repair);
  }
  if (!options_.repair || damage == row_->damage()) return absl::OkStatus();
  return context_.catalog.SetDamage(position_.run, position_.id, damage);
}

v1::Damage* StoreVerification::Add(v1::Damage::Kind kind, std::string_view message) {
  v1::Damage& damage = damages_.emplace_back();
  damage.set_checkpoint(row_->name());
  damage.set_kind(kind);
  damage.set_message(std::string(message));
  return &damage;
}

bool StoreVerification::IsDamaged(v1::Damage::Kind kind) const {
  return std::any_of(damages_.begin(), damages_.end(), [&](const v1::Damage& damage) {
    return damage.kind() == kind && !damage.repaired();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Verification>> MakeVerification(const VerifyContext& context,
                                                               const VerifyOptions& options) {
  CheckpointRef after{.run = options.run, .id = ""};
  int64_t total_bytes = context.catalog.GetTotals().checkpoint_bytes;
  if (!options.run.empty()) {
    const auto run = context.catalog.GetRun(options.run);
    if (!run.ok()) return run.status();
    total_bytes = run->checkpoint_bytes();
  }
  if (!options.after.empty()) {
    auto ref = ParseCheckpointName(options.after);
    if (!ref.ok()) return ref.status();
    if (IsAlias(ref->id) || (!options.run.empty() && ref->run != options.run)) {
      return FieldInvalid("after", options.after, "it must be a checkpoint that is verified here");
    }
    after = *std::move(ref);
  }
  return std::make_unique<StoreVerification>(context, options, std::move(after), total_bytes);
}

}  // namespace ckpt::storage
