#include "tests/unit/storage/testing/saves.h"

#include "storage/base/digest.h"
#include "storage/base/names.h"

namespace ckpt::storage {

v1::Checkpoint MakeSave(std::string_view run, int id, const std::vector<std::string>& filepaths,
                        v1::StorageOptions::Projection projection) {
  v1::Checkpoint save;
  save.set_name(CheckpointName(run, std::to_string(id)));
  save.set_state(v1::Checkpoint::STATE_SAVING);
  save.set_payload(v1::Checkpoint::PAYLOAD_WEIGHTS);
  save.set_seq(static_cast<uint64_t>(10 * id));
  save.set_epoch(id);
  (*save.mutable_metrics())["val_loss"] = 1.0 / id;
  save.mutable_create_time()->set_seconds(1'600'000'000 + id);
  save.set_writer_epoch(1);
  for (const std::string& filepath : filepaths) {
    v1::Placement& placement = *save.add_placements();
    placement.set_policy("best");
    placement.set_filepath(filepath);
    placement.mutable_options()->set_projection(projection);
    placement.set_value(1.0 / id);
  }
  return save;
}

absl::Status AppendAll(PartWriter& writer, std::string_view bytes, size_t piece) {
  for (size_t begin = 0; begin < bytes.size(); begin += piece) {
    const std::string_view chunk = bytes.substr(begin, piece);
    if (absl::Status status = writer.Append({&chunk, 1}); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string DigestOf(std::string_view bytes) {
  StreamDigest digest;
  digest.Update(bytes);
  return digest.Whole();
}

absl::StatusOr<std::string> ReadAll(PartReader& reader) {
  std::string bytes;
  for (int64_t i = 0; i < reader.blocks(); ++i) {
    std::string block(static_cast<size_t>(reader.BlockBytes(i)), '\0');
    if (absl::Status status = reader.ReadBlock(i, block); !status.ok()) return status;
    bytes += block;
  }
  return bytes;
}

}  // namespace ckpt::storage
