#include "storage/blob/part_writer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/blob/session_file.h"
#include "storage/fs/folders.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

// How much an upload may have to send again after a crash.
constexpr int64_t kPersistBytes = 64 << 20;

absl::Status RemoveIfThere(Directory& directory, const std::string& path) {
  absl::Status status = directory.Unlink(path);
  return ErrnoOf(status) == ENOENT ? absl::OkStatus() : status;
}

}  // namespace

StagedPartWriter::StagedPartWriter(Directory& root, UploadTable& table, FreeSpace& space,
                                   const PartTarget& target, const std::string& folder,
                                   PartClaim claim)
    : root_(root),
      table_(table),
      space_(space),
      save_(target.save.empty() ? folder : CheckpointName(target.run, target.save)),
      folder_(folder),
      file_name_(PartFileName(target.rank, target.part)),
      data_path_(StagingPath(folder) + '/' + file_name_),
      session_path_(StagingPath(folder) + '/' + SessionFileName(file_name_)),
      size_hint_(target.size_hint),
      claim_(std::move(claim)) {
  session_.set_format_version(kFormatVersion);
  session_.set_part_count(target.part_count);
  session_.mutable_part()->set_rank(target.rank);
  session_.mutable_part()->set_part(target.part);
}

absl::StatusOr<std::unique_ptr<PartWriter>> StagedPartWriter::Open(Directory& root,
                                                                   UploadTable& table,
                                                                   FreeSpace& space,
                                                                   const PartTarget& target) {
  const std::string folder = SaveFolderName(target.run, target.save, target.stage_id);
  auto claim = table.ClaimPart(folder, PartFileName(target.rank, target.part));
  if (!claim.ok()) return claim.status();
  std::unique_ptr<StagedPartWriter> writer(
      new StagedPartWriter(root, table, space, target, folder, *std::move(claim)));
  absl::Status made = writer->WhileOpen([&] { return EnsureFolder(root, StagingPath(folder)); });
  if (!made.ok()) return made;
  const auto resumed = writer->Resume();
  if (!resumed.ok()) return resumed.status();
  if (!*resumed) {
    if (absl::Status status = writer->StartOver(); !status.ok()) return status;
  }
  return writer;
}

absl::StatusOr<bool> StagedPartWriter::Resume() {
  const auto found = ReadSession(root_, folder_, file_name_);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return false;
  if ((*found)->finished()) {
    session_ = **found;
    persisted_ = session_.persisted();
    finished_ = WithoutBlockDigests(session_.part());
    claim_.Release();
    return true;
  }
  auto file = root_.Open(data_path_, OpenMode::kWrite);
  if (!file.ok()) return file.status();
  const int64_t persisted = (*found)->persisted();
  session_.set_persisted(persisted);
  persisted_ = persisted;
  // What came after the last sync may have holes.
  if (absl::Status status = (*file)->Truncate(persisted); !status.ok()) return status;
  claim_.slot()->bytes = persisted;
  data_ = std::make_unique<SequentialWriter>(*std::move(file), persisted);
  if (absl::Status status = HashPrefix(persisted); !status.ok()) return status;
  if (absl::Status status = Reserve(); !status.ok()) return status;
  return true;
}

absl::Status StagedPartWriter::HashPrefix(int64_t size) {
  std::string block(static_cast<size_t>(std::min(size, kDigestBlockBytes)), '\0');
  while (digest_.size() < size) {
    block.resize(static_cast<size_t>(std::min(size - digest_.size(), kDigestBlockBytes)));
    const auto got = data_->file().Read(digest_.size(), block);
    if (!got.ok()) return got.status();
    if (*got != static_cast<int64_t>(block.size())) {
      return FileError("read", data_path_, EIO);  // shorter than a moment ago
    }
    digest_.Update(block);
  }
  return absl::OkStatus();
}

absl::Status StagedPartWriter::Reserve() {
  return space_.Reserve(data_->file(), file_name_, data_->offset(), size_hint_);
}

absl::Status StagedPartWriter::StartOver() {
  data_.reset();
  finished_.reset();
  digest_ = StreamDigest();
  session_.set_persisted(0);
  session_.set_finished(false);
  session_.mutable_part()->clear_size();
  session_.mutable_part()->clear_xxh3_128();
  session_.mutable_part()->clear_block_digests();
  if (absl::Status status = RemoveFiles(); !status.ok()) return status;
  const absl::Status opened = WhileOpen([this] {
    auto file = root_.Open(data_path_, OpenMode::kCreate);
    if (!file.ok()) return file.status();
    data_ = std::make_unique<SequentialWriter>(*std::move(file), 0);
    return absl::OkStatus();
  });
  return opened.ok() ? Reserve() : opened;
}

absl::Status StagedPartWriter::RemoveFiles() {
  persisted_ = 0;
  return WhileOpen([this] {
    absl::Status unlinked = root_.Unlink(session_path_);
    // The session must be gone for good before the bytes it promises are.
    if (unlinked.ok()) unlinked = root_.Sync(StagingPath(folder_));
    if (!unlinked.ok() && ErrnoOf(unlinked) != ENOENT) return unlinked;
    unlinked = RemoveIfThere(root_, data_path_);
    if (unlinked.ok()) claim_.slot()->bytes = 0;
    return unlinked;
  });
}

int64_t StagedPartWriter::offset() const {
  if (finished_.has_value()) return finished_->size();
  return data_ == nullptr ? 0 : data_->offset();
}

absl::Status StagedPartWriter::Append(std::span<const std::string_view> pieces) {
  if (!error_.ok()) return error_;
  if (finished_.has_value()) return SaveNotOpen(save_, "the part is finished");
  const absl::Status open = WhileOpen([] { return absl::OkStatus(); });
  if (!open.ok()) return GiveUp(open);
  // Step 1: the bytes are written and hashed.
  if (absl::Status status = data_->Append(pieces); !status.ok()) return GiveUp(status);
  for (const std::string_view piece : pieces) digest_.Update(piece);
  claim_.slot()->bytes = data_->offset();
  if (data_->offset() - session_.persisted() < kPersistBytes) return absl::OkStatus();
  return Persist();
}

absl::Status StagedPartWriter::Persist() {
  if (absl::Status status = SyncData(); !status.ok()) return status;
  session_.set_persisted(data_->offset());
  if (absl::Status status = WriteSession(); !status.ok()) return GiveUp(status);
  persisted_ = session_.persisted();
  return absl::OkStatus();
}

absl::Status StagedPartWriter::SyncData() {
  absl::Status status = data_->Sync();
  if (status.ok()) return status;
  // Nobody may sync this file again and believe the answer.
  RemoveFiles().IgnoreError();
  return GiveUp(status);
}

absl::Status StagedPartWriter::WriteSession() {
  const auto json = EncodeSession(session_);
  if (!json.ok()) return json.status();
  return WhileOpen([&] { return ReplaceSmallFile(root_, session_path_, *json); });
}

absl::Status StagedPartWriter::Restart() {
  if (!error_.ok()) return error_;
  if (finished_.has_value()) {
    auto claim = table_.ClaimPart(folder_, file_name_);
    if (!claim.ok()) return claim.status();
    claim_ = *std::move(claim);
  }
  absl::Status status = StartOver();
  return status.ok() ? status : GiveUp(status);
}

absl::StatusOr<v1::Part> StagedPartWriter::Finish(int64_t size, std::string_view xxh3_128) {
  if (!error_.ok()) return error_;
  if (finished_.has_value()) return FinishAgain(size, xxh3_128);
  if (size != offset()) return SizeMismatch(file_name_, size, offset());
  const std::string whole = digest_.Whole();
  if (!xxh3_128.empty() && xxh3_128 != whole) {
    if (absl::Status status = Restart(); !status.ok()) return status;
    return DigestMismatch(file_name_, Hex(xxh3_128), Hex(whole));
  }
  if (size_hint_ > size) {
    if (absl::Status status = data_->file().Truncate(size); !status.ok()) return GiveUp(status);
  }
  // Step 2: the bytes are durable, and then the session that says so.
  v1::Part& part = *session_.mutable_part();
  part.set_size(size);
  part.set_xxh3_128(whole);
  part.set_block_digests(digest_.Blocks());
  session_.set_finished(true);
  if (absl::Status status = Persist(); !status.ok()) return status;
  data_->file().DropCache();
  data_.reset();
  claim_.Release();
  finished_ = WithoutBlockDigests(part);
  return *finished_;
}

absl::StatusOr<v1::Part> StagedPartWriter::Store(const Content& content, std::string_view xxh3_128,
                                                 const Spawn& spawn) {
  if (!error_.ok()) return error_;
  if (finished_.has_value()) return FinishAgain(content.size(), xxh3_128);
  if (offset() > 0) {
    if (absl::Status status = Restart(); !status.ok()) return status;
  }
  auto written = WriteWhole(data_->file(), content, spawn);
  if (!written.ok()) {
    data_.reset();
    RemoveFiles().IgnoreError();
    return GiveUp(written.status());
  }
  write_mode_ = written->mode;
  digest_ = std::move(written->digest);
  data_->Passed(content.size());
  claim_.slot()->bytes = content.size();
  return Finish(content.size(), xxh3_128);
}

absl::StatusOr<v1::Part> StagedPartWriter::FinishAgain(int64_t size, std::string_view xxh3_128) {
  if (size != finished_->size()) return SizeMismatch(file_name_, size, finished_->size());
  if (xxh3_128.empty() || xxh3_128 == finished_->xxh3_128()) return *finished_;
  const std::string actual = finished_->xxh3_128();
  if (absl::Status status = Restart(); !status.ok()) return status;
  return DigestMismatch(file_name_, Hex(xxh3_128), Hex(actual));
}

absl::Status StagedPartWriter::GiveUp(absl::Status error) {
  error_ = error;
  return error;
}

absl::Status StagedPartWriter::WhileOpen(absl::FunctionRef<absl::Status()> step) {
  return claim_.slot()->WhileOpen(save_, step);
}

}  // namespace ckpt::storage
