// Writes one part into the staging folder.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "storage/base/digest.h"
#include "storage/blob/free_space.h"
#include "storage/blob/part_io.h"
#include "storage/blob/upload_table.h"
#include "storage/fs/file_system.h"
#include "storage/fs/sequential_writer.h"

namespace ckpt::storage {

// A part is two files: the bytes, and the session that says how many of them are durable. The
// session only ever promises what has been synced before it, and is taken back, durably, before any
// byte it promises is touched. A file whose sync has failed is removed.
class StagedPartWriter final : public PartWriter {
 public:
  // Goes on where the session says. `target` is valid. UPLOAD_BUSY; DISK_FULL as
  // FreeSpace::Reserve.
  static absl::StatusOr<std::unique_ptr<PartWriter>> Open(Directory& root, UploadTable& table,
                                                          FreeSpace& space,
                                                          const PartTarget& target);

  int64_t offset() const override;
  int64_t persisted() const override { return persisted_; }
  const std::optional<v1::Part>& finished() const override { return finished_; }
  absl::Status Append(std::span<const std::string_view> pieces) override;
  absl::Status Restart() override;
  absl::StatusOr<v1::Part> Finish(int64_t size, std::string_view xxh3_128) override;
  absl::StatusOr<v1::Part> Store(const Content& content, std::string_view xxh3_128,
                                 const Spawn& spawn) override;
  std::optional<WriteMode> write_mode() const override { return write_mode_; }

 private:
  StagedPartWriter(Directory& root, UploadTable& table, FreeSpace& space, const PartTarget& target,
                   const std::string& folder, PartClaim claim);

  // Takes up what an earlier writer left; false if that is not usable.
  absl::StatusOr<bool> Resume();
  absl::Status HashPrefix(int64_t size);
  absl::Status Reserve();
  // A new, empty file.
  absl::Status StartOver();
  absl::Status RemoveFiles();
  // Syncs and says so in the session.
  absl::Status Persist();
  absl::Status SyncData();
  absl::Status WriteSession();
  absl::StatusOr<v1::Part> FinishAgain(int64_t size, std::string_view xxh3_128);
  // Remembers the error that ended this writer.
  absl::Status GiveUp(absl::Status error);
  // Runs a step on the part's paths, which are still this writer's.
  absl::Status WhileOpen(absl::FunctionRef<absl::Status()> step);

  Directory& root_;
  UploadTable& table_;
  FreeSpace& space_;
  const std::string save_;  // for messages
  const std::string folder_;
  const std::string file_name_;
  const std::string data_path_;
  const std::string session_path_;
  const int64_t size_hint_;
  PartClaim claim_;
  v1::PartSession session_;
  int64_t persisted_ = 0;  // what the session on disk promises
  StreamDigest digest_;
  std::unique_ptr<SequentialWriter> data_;  // null when finished, or no file could be made
  std::optional<v1::Part> finished_;
  std::optional<WriteMode> write_mode_;
  absl::Status error_;  // set when given up
};

}  // namespace ckpt::storage
