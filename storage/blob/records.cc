#include "storage/blob/records.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <tuple>

#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/base/names.h"

namespace ckpt::storage {
namespace {

constexpr size_t kDigestBytes = 16;

absl::Status Damaged(std::string_view what) { return Internal(what); }

absl::StatusOr<std::string> Encode(const google::protobuf::Message& record) {
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(record, &json);
  if (!status.ok()) return Internal(status.ToString());
  json += '\n';
  if (json.size() > kMaxRecordBytes) {
    return LimitExceeded("bytes of a checkpoint's manifest", kMaxRecordBytes, json.size());
  }
  return json;
}

template <typename Record>
absl::StatusOr<Record> Decode(std::string_view json) {
  Record record;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // format_version tells what may be ignored
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &record, options);
  if (!status.ok())
    return Damaged(fmt::format("it is no valid JSON record: {}", status.ToString()));
  if (record.format_version() > kFormatVersion) {
    return VersionTooNew("it", record.format_version(), kFormatVersion);
  }
  if (record.format_version() < 1) return Damaged("it has no format version");
  return record;
}

absl::Status CheckIdentity(const v1::Part& part) {
  if (part.rank() < 0) return Damaged(fmt::format("it has a part of rank {}", part.rank()));
  return CheckPartName(part.part());
}

absl::Status CheckFinished(const v1::Part& part) {
  if (absl::Status status = CheckIdentity(part); !status.ok()) return status;
  const auto expected = static_cast<size_t>(BlockCount(part.size())) * kBlockDigestBytes;
  if (part.size() < 0 || part.xxh3_128().size() != kDigestBytes ||
      part.block_digests().size() != expected) {
    return Damaged(
        fmt::format("size and digests of its part '{}' do not fit together", part.part()));
  }
  return absl::OkStatus();
}

absl::Status CheckParts(const v1::Checkpoint& checkpoint) {
  if (checkpoint.parts().empty()) return Damaged("it has no parts");
  int64_t size = 0;
  const v1::Part* previous = nullptr;
  for (const v1::Part& part : checkpoint.parts()) {
    if (absl::Status status = CheckFinished(part); !status.ok()) return status;
    if (previous != nullptr && !PartBefore(*previous, part))
      return Damaged("its parts are unsorted");
    if (__builtin_add_overflow(size, part.size(), &size)) return Damaged("its parts are too large");
    previous = &part;
  }
  if (size != checkpoint.size()) return Damaged("its size is not the sum of its parts");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeSession(const v1::PartSession& session) {
  return Encode(session);
}

absl::StatusOr<std::string> EncodeManifest(const v1::Manifest& manifest) {
  return Encode(manifest);
}

absl::StatusOr<v1::PartSession> DecodeSession(std::string_view json) {
  auto session = Decode<v1::PartSession>(json);
  if (!session.ok()) return session.status();
  const absl::Status checked =
      session->finished() ? CheckFinished(session->part()) : CheckIdentity(session->part());
  if (!checked.ok()) return checked;
  if (session->part_count() < 1 || session->persisted() < 0) {
    return Damaged("it has a negative number of parts or bytes");
  }
  return session;
}

absl::StatusOr<v1::Manifest> DecodeManifest(std::string_view json) {
  auto manifest = Decode<v1::Manifest>(json);
  if (!manifest.ok()) return manifest.status();
  const v1::Checkpoint& checkpoint = manifest->checkpoint();
  if (const auto ref = ParseCheckpointName(checkpoint.name()); !ref.ok()) return ref.status();
  if (absl::Status status = CheckParts(checkpoint); !status.ok()) return status;
  return manifest;
}

int64_t BlockCount(int64_t size) {
  return size / kDigestBlockBytes + (size % kDigestBlockBytes > 0 ? 1 : 0);
}

v1::Part WithoutBlockDigests(v1::Part part) {
  part.clear_block_digests();
  return part;
}

v1::Checkpoint WithoutBlockDigests(v1::Checkpoint checkpoint) {
  for (v1::Part& part : *checkpoint.mutable_parts()) part.clear_block_digests();
  return checkpoint;
}

bool PartBefore(const v1::Part& a, const v1::Part& b) {
  return std::forward_as_tuple(a.rank(), a.part()) < std::forward_as_tuple(b.rank(), b.part());
}

}  // namespace ckpt::storage
