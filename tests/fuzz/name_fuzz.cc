// Names of resources and of files below the data folder: what is accepted is written one way.

#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/fs/beneath.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using ckpt::fuzz::Check;
  using namespace ckpt::storage;  // NOLINT(google-build-using-namespace): its subject
  const std::string_view text = ckpt::fuzz::ToText(data, size);
  if (const auto run = ckpt::ParseRunName(text); run.ok()) {
    Check(ckpt::RunName(*run) == text, "a run's name is written one way");
    Check(IsPlainPath(RunPath(*run)), "a run's folder is a plain path");
  }
  if (const auto checkpoint = ckpt::ParseCheckpointName(text); checkpoint.ok()) {
    Check(ckpt::CheckpointName(checkpoint->run, checkpoint->id) == text,
          "a checkpoint's name is written one way");
  }
  if (const auto folder = ParseSaveFolderName(text)) {
    Check(SaveFolderName(folder->run, folder->save, folder->stage_id) == text,
          "a save's folder is written one way");
    Check(IsPlainPath(BlobPath(text)), "a save's folder is a plain path");
  }
  if (const auto part_file = ParseSessionFileName(text)) {
    Check(SessionFileName(*part_file) == text, "a session's file is written one way");
    Check(IsPartFileName(*part_file), "a session's part is one");
  }
  if (ckpt::CheckPartName(text).ok()) {
    Check(IsPartFileName(PartFileName(0, text)), "a part has a file");
    Check(IsPartFileName(PartFileName(7, text)), "a rank's part has a file");
  }
  return 0;
}
