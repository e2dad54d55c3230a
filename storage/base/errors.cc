#include "storage/base/errors.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "storage/base/utf8.h"

namespace ckpt {
namespace {

using v1::ErrorReason;
constexpr std::string_view kReasonPrefix = "ERROR_REASON_";

std::string Text(std::string_view text) { return std::string(text); }
std::string Text(uint64_t number) { return std::to_string(number); }
std::string Text(int64_t number) { return std::to_string(number); }
std::string Text(int number) { return std::to_string(number); }

bool ReadInfo(const absl::Status& status, google::rpc::ErrorInfo* info) {
  const auto payload = status.GetPayload(kErrorInfoUrl);
  return payload.has_value() && info->ParseFromString(std::string(*payload));
}

}  // namespace

absl::StatusCode CodeOf(ErrorReason reason) {
  switch (reason) {
    case v1::ERROR_REASON_RUN_NOT_FOUND:
    case v1::ERROR_REASON_POLICY_NOT_FOUND:
    case v1::ERROR_REASON_CHECKPOINT_NOT_FOUND:
    case v1::ERROR_REASON_ALIAS_UNRESOLVED:
    case v1::ERROR_REASON_PART_NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case v1::ERROR_REASON_NAME_INVALID:
    case v1::ERROR_REASON_FIELD_INVALID:
    case v1::ERROR_REASON_QUERY_INVALID:
    case v1::ERROR_REASON_PAGE_TOKEN_INVALID:
    case v1::ERROR_REASON_SAVE_FREQ_INVALID:
    case v1::ERROR_REASON_TEMPLATE_KEY:
    case v1::ERROR_REASON_TEMPLATE_VALUE:
    case v1::ERROR_REASON_TEMPLATE_INDEX:
    case v1::ERROR_REASON_TEMPLATE_TYPE:
    case v1::ERROR_REASON_TEMPLATE_ATTRIBUTE:
    case v1::ERROR_REASON_PATH_ESCAPES:
    case v1::ERROR_REASON_PATH_TOO_LONG:
    case v1::ERROR_REASON_EVENT_INVALID:
      return absl::StatusCode::kInvalidArgument;
    case v1::ERROR_REASON_POLICY_DUPLICATE:
    case v1::ERROR_REASON_RUN_EXISTS:
      return absl::StatusCode::kAlreadyExists;
    case v1::ERROR_REASON_RUN_IN_USE:
    case v1::ERROR_REASON_NO_TRAINER:
    case v1::ERROR_REASON_SHARED_MEMORY_REQUIRED:
    case v1::ERROR_REASON_PATH_BLOCKED:
    case v1::ERROR_REASON_PROTOCOL:
    case v1::ERROR_REASON_SAVE_NOT_OPEN:
    case v1::ERROR_REASON_DIGEST_MISMATCH:
    case v1::ERROR_REASON_SIZE_MISMATCH:
    case v1::ERROR_REASON_DATA_DIR_IN_USE:
    case v1::ERROR_REASON_VERSION_TOO_NEW:
      return absl::StatusCode::kFailedPrecondition;
    case v1::ERROR_REASON_SEQUENCE_GAP:
    case v1::ERROR_REASON_OFFSET_MISMATCH:
      return absl::StatusCode::kOutOfRange;
    case v1::ERROR_REASON_WRITER_FENCED:
    case v1::ERROR_REASON_CHUNK_CORRUPT:
    case v1::ERROR_REASON_UPLOAD_BUSY:
    case v1::ERROR_REASON_SAVE_ABANDONED:
    case v1::ERROR_REASON_SNAPSHOT_DROPPED:
      return absl::StatusCode::kAborted;
    case v1::ERROR_REASON_LIMIT_EXCEEDED:
    case v1::ERROR_REASON_DISK_FULL:
      return absl::StatusCode::kResourceExhausted;
    case v1::ERROR_REASON_BLOB_CORRUPT:
    case v1::ERROR_REASON_INDEX_DAMAGED:
      return absl::StatusCode::kDataLoss;
    case v1::ERROR_REASON_STORAGE_FAILED:
    case v1::ERROR_REASON_DRAINING:
      return absl::StatusCode::kUnavailable;
    case v1::ERROR_REASON_UNSUPPORTED:
      return absl::StatusCode::kUnimplemented;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status MakeError(ErrorReason reason, std::string_view message,
                       const ErrorMetadata& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason).substr(kReasonPrefix.size()));
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = ToUtf8(value);
  absl::Status status(CodeOf(reason), absl::string_view(message.data(), message.size()));
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

ErrorReason ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  if (ReadInfo(status, &info)) {
    v1::ErrorReason_Parse(fmt::format("{}{}", kReasonPrefix, info.reason()), &reason);
  }
  return reason;
}

ErrorMetadata MetadataOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (!ReadInfo(status, &info)) return {};
  return {info.metadata().begin(), info.metadata().end()};
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), fmt::format("{}: {}", context, MessageOf(status)));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

absl::Status RunNotFound(std::string_view run) {
  return MakeError(v1::ERROR_REASON_RUN_NOT_FOUND,
                   fmt::format("run '{}' does not exist; 'ckptctl runs' lists those that do", run),
                   {{"run", Text(run)}});
}

absl::Status PolicyNotFound(std::string_view run, std::string_view policy) {
  return MakeError(v1::ERROR_REASON_POLICY_NOT_FOUND,
                   fmt::format("run '{}' has no policy '{}'", run, policy),
                   {{"run", Text(run)}, {"policy", Text(policy)}});
}

absl::Status CheckpointNotFound(std::string_view name) {
  return MakeError(v1::ERROR_REASON_CHECKPOINT_NOT_FOUND,
                   fmt::format("checkpoint '{}' does not exist", name),
                   {{"checkpoint", Text(name)}});
}

absl::Status AliasUnresolved(std::string_view run, std::string_view alias, std::string_view why) {
  return MakeError(v1::ERROR_REASON_ALIAS_UNRESOLVED,
                   fmt::format("run '{}' has no '{}' checkpoint: {}", run, alias, why),
                   {{"run", Text(run)}, {"alias", Text(alias)}});
}

absl::Status PartNotFound(std::string_view checkpoint, std::string_view part,
                          std::string_view available) {
  return MakeError(
      v1::ERROR_REASON_PART_NOT_FOUND,
      fmt::format("checkpoint '{}' has no part '{}'; it has {}", checkpoint, part, available),
      {{"checkpoint", Text(checkpoint)}, {"part", Text(part)}});
}

absl::Status NameInvalid(std::string_view field, std::string_view value, std::string_view rule) {
  return MakeError(v1::ERROR_REASON_NAME_INVALID,
                   fmt::format("{} '{}' is not allowed: it must match {}", field, value, rule),
                   {{"field", Text(field)}, {"value", Text(value)}});
}

absl::Status FieldInvalid(std::string_view field, std::string_view value, std::string_view rule) {
  return MakeError(v1::ERROR_REASON_FIELD_INVALID,
                   fmt::format("{} is '{}', but {}", field, value, rule),
                   {{"field", Text(field)}, {"value", Text(value)}});
}

absl::Status QueryInvalid(std::string_view field, std::string_view text, size_t position,
                          std::string_view what) {
  return MakeError(
      v1::ERROR_REASON_QUERY_INVALID,
      fmt::format("{} '{}', at character {}: {}", field, text, position + 1, what),
      {{"field", Text(field)}, {"value", Text(text)}, {"position", Text(uint64_t{position})}});
}

absl::Status PageTokenInvalid() {
  return MakeError(v1::ERROR_REASON_PAGE_TOKEN_INVALID,
                   "page_token does not belong to this question; ask again without it");
}

absl::Status SaveFreqInvalid(std::string_view policy, std::string_view value) {
  return MakeError(
      v1::ERROR_REASON_SAVE_FREQ_INVALID,
      fmt::format("Unrecognized save_freq: {}. Expected save_freq are \"epoch\" or integer", value),
      {{"policy", Text(policy)}, {"value", Text(value)}});
}

absl::Status PolicyDuplicate(std::string_view policy) {
  return MakeError(v1::ERROR_REASON_POLICY_DUPLICATE,
                   fmt::format("policy '{}' is given twice; give each a name of its own", policy),
                   {{"policy", Text(policy)}});
}

absl::Status RunExists(std::string_view run) {
  return MakeError(v1::ERROR_REASON_RUN_EXISTS,
                   fmt::format("run '{}' exists already; resume it or choose another name", run),
                   {{"run", Text(run)}});
}

absl::Status RunInUse(std::string_view run) {
  return MakeError(v1::ERROR_REASON_RUN_IN_USE,
                   fmt::format("run '{}' has a trainer connected; stop it first", run),
                   {{"run", Text(run)}});
}

absl::Status NoTrainer(std::string_view run) {
  return MakeError(v1::ERROR_REASON_NO_TRAINER,
                   fmt::format("run '{}' has no trainer that could save it now: none is connected, "
                               "or training has ended",
                               run),
                   {{"run", Text(run)}});
}

absl::Status SharedMemoryRequired(std::string_view what) {
  return MakeError(v1::ERROR_REASON_SHARED_MEMORY_REQUIRED,
                   fmt::format("{} is kept in memory (PLACEMENT_MEMORY), which takes a trainer on "
                               "the daemon's host that hands over in shared memory",
                               what));
}

absl::Status SnapshotDropped() {
  return MakeError(v1::ERROR_REASON_SNAPSHOT_DROPPED,
                   "a newer snapshot has taken its place, or training has ended");
}

absl::Status SequenceGap(uint64_t expected, uint64_t got) {
  return MakeError(
      v1::ERROR_REASON_SEQUENCE_GAP,
      fmt::format("event {} came where {} was due; send the missing events again", got, expected),
      {{"expected_seq", Text(expected)}, {"seq", Text(got)}});
}

absl::Status EventInvalid(uint64_t seq, std::string_view what) {
  return MakeError(v1::ERROR_REASON_EVENT_INVALID, fmt::format("event {}: {}", seq, what),
                   {{"seq", Text(seq)}});
}

absl::Status WriterFenced(std::string_view run, int rank, uint64_t epoch, uint64_t newer_epoch) {
  return MakeError(
      v1::ERROR_REASON_WRITER_FENCED,
      fmt::format("a newer trainer (number {}) has taken over rank {} of run '{}' from this one "
                  "(number {}); stop this one",
                  newer_epoch, rank, run, epoch),
      {{"run", Text(run)}, {"rank", Text(rank)}, {"writer_epoch", Text(newer_epoch)}});
}

absl::Status ProtocolViolation(std::string_view what) {
  return MakeError(v1::ERROR_REASON_PROTOCOL, what);
}

absl::Status LimitExceeded(std::string_view limit, uint64_t maximum, uint64_t value) {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   fmt::format("{} is {}, the limit is {}", limit, value, maximum),
                   {{"limit", Text(limit)}, {"maximum", Text(maximum)}, {"value", Text(value)}});
}

absl::Status SaveNotOpen(std::string_view save, std::string_view why) {
  return MakeError(v1::ERROR_REASON_SAVE_NOT_OPEN,
                   fmt::format("save '{}' takes no uploads: {}", save, why),
                   {{"checkpoint", Text(save)}});
}

absl::Status OffsetMismatch(int64_t expected, int64_t got) {
  return MakeError(v1::ERROR_REASON_OFFSET_MISMATCH,
                   fmt::format("a chunk for offset {} came where {} was due", got, expected),
                   {{"expected_offset", Text(expected)}, {"offset", Text(got)}});
}

absl::Status ChunkCorrupt(int64_t offset) {
  return MakeError(
      v1::ERROR_REASON_CHUNK_CORRUPT,
      fmt::format("the chunk at offset {} does not match its crc32c; send it again", offset),
      {{"offset", Text(offset)}});
}

absl::Status DigestMismatch(std::string_view part, std::string_view expected_hex,
                            std::string_view actual_hex) {
  return MakeError(
      v1::ERROR_REASON_DIGEST_MISMATCH,
      fmt::format("part '{}' has digest {}, the sender says {}; it was discarded, upload it again",
                  part, actual_hex, expected_hex),
      {{"part", Text(part)}, {"expected", Text(expected_hex)}, {"actual", Text(actual_hex)}});
}

absl::Status SizeMismatch(std::string_view part, int64_t expected, int64_t actual) {
  return MakeError(
      v1::ERROR_REASON_SIZE_MISMATCH,
      fmt::format("part '{}' has {} bytes here, the sender says {}", part, actual, expected),
      {{"part", Text(part)}, {"expected", Text(expected)}, {"actual", Text(actual)}});
}

absl::Status UploadBusy(std::string_view part) {
  return MakeError(v1::ERROR_REASON_UPLOAD_BUSY,
                   fmt::format("part '{}' is being uploaded by another stream", part),
                   {{"part", Text(part)}});
}

absl::Status TemplateKey(std::string_view what) {
  return MakeError(v1::ERROR_REASON_TEMPLATE_KEY, what);
}

absl::Status TemplateValue(std::string_view what) {
  return MakeError(v1::ERROR_REASON_TEMPLATE_VALUE, what);
}

absl::Status TemplateIndex(std::string_view what) {
  return MakeError(v1::ERROR_REASON_TEMPLATE_INDEX, what);
}

absl::Status TemplateType(std::string_view what) {
  return MakeError(v1::ERROR_REASON_TEMPLATE_TYPE, what);
}

absl::Status TemplateAttribute(std::string_view what) {
  return MakeError(v1::ERROR_REASON_TEMPLATE_ATTRIBUTE, what);
}

absl::Status PathEscapes(std::string_view what) {
  return MakeError(v1::ERROR_REASON_PATH_ESCAPES, what);
}

absl::Status PathTooLong(std::string_view what) {
  return MakeError(v1::ERROR_REASON_PATH_TOO_LONG, what);
}

absl::Status PathBlocked(std::string_view path, std::string_view what) {
  return MakeError(v1::ERROR_REASON_PATH_BLOCKED,
                   fmt::format("file name '{}' cannot be used: {}", path, what),
                   {{"path", Text(path)}});
}

absl::Status BlobCorrupt(std::string_view checkpoint, std::string_view part,
                         std::string_view what) {
  return MakeError(
      v1::ERROR_REASON_BLOB_CORRUPT,
      fmt::format("part '{}' of checkpoint '{}' is damaged: {}", part, checkpoint, what),
      {{"checkpoint", Text(checkpoint)}, {"part", Text(part)}});
}

absl::Status DataDirInUse(std::string_view data_dir, int64_t pid) {
  return MakeError(
      v1::ERROR_REASON_DATA_DIR_IN_USE,
      fmt::format("data folder '{}' is in use by another ckptd (pid {})", data_dir, pid),
      {{"data_dir", Text(data_dir)}, {"pid", Text(pid)}});
}

absl::Status VersionTooNew(std::string_view what, int found, int supported) {
  return MakeError(v1::ERROR_REASON_VERSION_TOO_NEW,
                   fmt::format("{} has format version {}, this ckptd knows versions up to {}; use "
                               "the newer ckptd that wrote it",
                               what, found, supported),
                   {{"found", Text(found)}, {"supported", Text(supported)}});
}

absl::Status Draining() {
  return MakeError(v1::ERROR_REASON_DRAINING, "ckptd is shutting down; connect again");
}

absl::Status Unsupported(std::string_view field, std::string_view what) {
  return MakeError(v1::ERROR_REASON_UNSUPPORTED, what, {{"field", Text(field)}});
}

absl::Status Internal(std::string_view what) { return MakeError(v1::ERROR_REASON_INTERNAL, what); }

absl::Status IndexDamaged(std::string_view what) {
  return MakeError(
      v1::ERROR_REASON_INDEX_DAMAGED,
      fmt::format("{}; if it cannot be restored, 'ckptd --rebuild-index' makes the index "
                  "again from the checkpoints",
                  what));
}

absl::Status StorageFailed(std::string_view what) {
  return MakeError(v1::ERROR_REASON_STORAGE_FAILED, what);
}

absl::Status DiskFull(std::string_view what) { return MakeError(v1::ERROR_REASON_DISK_FULL, what); }

absl::Status FileError(std::string_view operation, std::string_view path, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return MakeError(
      full ? v1::ERROR_REASON_DISK_FULL : v1::ERROR_REASON_STORAGE_FAILED,
      fmt::format("{} '{}': {}", operation, path, std::generic_category().message(error_number)),
      {{"path", Text(path)}, {"errno", Text(error_number)}});
}

}  // namespace ckpt
