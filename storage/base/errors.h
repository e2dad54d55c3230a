// Errors of ckptd: one named constructor for each.
//
// An error is an absl::Status whose message is for people and whose payload is a
// google.rpc.ErrorInfo for machines (domain "ckptd.local", reason from ckpt.v1.ErrorReason). The
// gRPC layer forwards the payload as it is; this file is the only table from reason to code.
// All functions are thread-safe and pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ckpt/v1/errors.pb.h"

namespace ckpt {

inline constexpr char kErrorDomain[] = "ckptd.local";
// Type URL under which the serialised google.rpc.ErrorInfo is attached.
inline constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

using ErrorMetadata = std::map<std::string, std::string>;

// The status code that `reason` travels with.
absl::StatusCode CodeOf(v1::ErrorReason reason);

// Any error: prefer the named constructors below.
absl::Status MakeError(v1::ErrorReason reason, std::string_view message,
                       const ErrorMetadata& metadata = {});

// The reason attached to `status`; UNSPECIFIED when there is none.
v1::ErrorReason ReasonOf(const absl::Status& status);

// The metadata attached to `status`; empty when there is none.
ErrorMetadata MetadataOf(const absl::Status& status);

// The same error with `context` and ": " put before its message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// Conversions from and to std::string_view: this abseil has a string_view of its own.
inline std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

absl::Status RunNotFound(std::string_view run);
absl::Status PolicyNotFound(std::string_view run, std::string_view policy);
absl::Status CheckpointNotFound(std::string_view name);
absl::Status AliasUnresolved(std::string_view run, std::string_view alias, std::string_view why);
absl::Status PartNotFound(std::string_view checkpoint, std::string_view part,
                          std::string_view available);

absl::Status NameInvalid(std::string_view field, std::string_view value, std::string_view rule);
absl::Status FieldInvalid(std::string_view field, std::string_view value, std::string_view rule);
absl::Status QueryInvalid(std::string_view field, std::string_view text, size_t position,
                          std::string_view what);
absl::Status PageTokenInvalid();
// The message is the reference's, word for word.
absl::Status SaveFreqInvalid(std::string_view policy, std::string_view value);
absl::Status PolicyDuplicate(std::string_view policy);
absl::Status RunExists(std::string_view run);
absl::Status RunInUse(std::string_view run);
absl::Status NoTrainer(std::string_view run);
// `what` begins the sentence: the policy or save that cannot be had without.
absl::Status SharedMemoryRequired(std::string_view what);
absl::Status SnapshotDropped();

absl::Status SequenceGap(uint64_t expected, uint64_t got);
absl::Status EventInvalid(uint64_t seq, std::string_view what);
absl::Status WriterFenced(std::string_view run, int rank, uint64_t epoch, uint64_t newer_epoch);
absl::Status ProtocolViolation(std::string_view what);
absl::Status LimitExceeded(std::string_view limit, uint64_t maximum, uint64_t value);

absl::Status SaveNotOpen(std::string_view save, std::string_view why);
absl::Status OffsetMismatch(int64_t expected, int64_t got);
absl::Status ChunkCorrupt(int64_t offset);
absl::Status DigestMismatch(std::string_view part, std::string_view expected_hex,
                            std::string_view actual_hex);
absl::Status SizeMismatch(std::string_view part, int64_t expected, int64_t actual);
absl::Status UploadBusy(std::string_view part);

// What formatting a file name ran into: the exceptions of the reference. `what` is Python's text.
absl::Status TemplateKey(std::string_view what);
absl::Status TemplateValue(std::string_view what);
absl::Status TemplateIndex(std::string_view what);
absl::Status TemplateType(std::string_view what);
absl::Status TemplateAttribute(std::string_view what);
// A file name that would leave the run's folder, or is none.
absl::Status PathEscapes(std::string_view what);
absl::Status PathTooLong(std::string_view what);
// Something in the way of a projected name.
absl::Status PathBlocked(std::string_view path, std::string_view what);

absl::Status BlobCorrupt(std::string_view checkpoint, std::string_view part, std::string_view what);
absl::Status DataDirInUse(std::string_view data_dir, int64_t pid);
absl::Status VersionTooNew(std::string_view what, int found, int supported);
absl::Status Draining();
absl::Status Unsupported(std::string_view field, std::string_view what);
absl::Status Internal(std::string_view what);

// The index is not what was written; the message names the command that makes it again.
absl::Status IndexDamaged(std::string_view what);
// What was asked of the disk failed, where no errno says why.
absl::Status StorageFailed(std::string_view what);
absl::Status DiskFull(std::string_view what);

// errno of a failed call on `path` as DISK_FULL (ENOSPC, EDQUOT) or STORAGE_FAILED (all others).
absl::Status FileError(std::string_view operation, std::string_view path, int error_number);

}  // namespace ckpt
