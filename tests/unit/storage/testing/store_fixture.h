// A store in a folder of its own, driven as the server drives it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/checkpoint_store.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {

// The steps of storage/checkpoint_store.h, up to and including the one named.
enum class Step { kDecided, kReceived, kPublished, kApplied, kProjected, kEvicted };

class StoreFixture : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<CheckpointStore>> TryOpen();
  // Opens the store, with the run `run`.
  void Open();
  // As a crash of the process would: nothing is finished.
  void Reopen();

  absl::Status CreateRun(const std::string& run);
  // Deletes the run `r` and all its files, and creates it again.
  void StartAnew();
  absl::Status Upload(const PartTarget& target, const std::string& bytes);
  // Drives a save as far as `last`. Its part "weights" has the content `bytes`.
  absl::Status Drive(const v1::Checkpoint& save, const std::string& bytes, Step last);
  // All of it.
  absl::Status Commit(const v1::Checkpoint& save, const std::string& bytes) {
    return Drive(save, bytes, Step::kEvicted);
  }

  // The bytes of a checkpoint's only part, or the error.
  std::string Read(const std::string& run, const std::string& id);
  // Ids of the run's checkpoints.
  std::vector<std::string> Ids(const std::string& run);
  // What users see under a name.
  std::string Seen(const std::string& run, const std::string& filepath) const {
    return ReadFile(data_ + "/runs/" + run + '/' + filepath);
  }
  // Names of the folders in staging/ or blobs/xx/.
  std::vector<std::string> SaveFolders(const std::string& below) const;

  TempDir dir_;
  const std::string data_ = dir_ / "data";
  FakeClock clock_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<CheckpointStore> store_;
};

}  // namespace ckpt::storage
