#include "server/rpc/hello.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "server/run/limits.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/base/utf8.h"

namespace ckpt::server {
namespace {

constexpr size_t kMaxClientBytes = 256;
constexpr std::string_view kLabelKeyChars = "abcdefghijklmnopqrstuvwxyz0123456789._/-";

absl::Status CheckLabel(const std::string& key, const std::string& value) {
  if (key.empty() || key.size() > kMaxLabelKeyBytes ||
      key.find_first_not_of(kLabelKeyChars) != std::string::npos ||
      std::string_view("._/-").find(key[0]) != std::string_view::npos) {
    return NameInvalid("label key", Utf8Prefix(key, kMaxLabelKeyBytes),
                       "[a-z0-9][a-z0-9._/-]{0,62}");
  }
  if (value.size() > kMaxLabelValueBytes) {
    return LimitExceeded(fmt::format("bytes in the value of label '{}'", key), kMaxLabelValueBytes,
                         value.size());
  }
  return absl::OkStatus();
}

absl::Status CheckRank(const v1::Hello& hello) {
  const int world_size = std::max(1, hello.world_size());
  if (hello.rank() < 0 || hello.rank() >= world_size) {
    return FieldInvalid("rank", std::to_string(hello.rank()),
                        fmt::format("it must be 0 to {}", world_size - 1));
  }
  if (world_size > 1) {
    return Unsupported("world_size", fmt::format("world_size is {}: this version of ckptd serves "
                                                 "runs of one process; connect rank 0 alone",
                                                 world_size));
  }
  return absl::OkStatus();
}

absl::Status CheckAwaitedSaves(const v1::Hello& hello, const std::string& run) {
  if (hello.awaited_saves_size() > kMaxAwaitedSaves) {
    return LimitExceeded("awaited_saves", kMaxAwaitedSaves, hello.awaited_saves_size());
  }
  for (const std::string& save : hello.awaited_saves()) {
    const auto ref = ParseCheckpointName(save);
    if (!ref.ok()) return Annotate(ref.status(), "awaited_saves");
    if (ref->run != run || IsAlias(ref->id)) {
      return FieldInvalid("awaited_saves", save,
                          fmt::format("it must be a save of {}, by number", RunName(run)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> CheckHello(const v1::Hello& hello) {
  absl::StatusOr<std::string> run = ParseRunName(hello.run());
  if (!run.ok()) return run;
  if (absl::Status status = CheckRank(hello); !status.ok()) return status;
  if (!v1::Hello::Start_IsValid(hello.start())) {
    return FieldInvalid("start", std::to_string(hello.start()), "it is unknown");
  }
  if (hello.labels().size() > kMaxLabels) {
    return LimitExceeded("labels", kMaxLabels, hello.labels().size());
  }
  for (const auto& [key, value] : hello.labels()) {
    if (absl::Status status = CheckLabel(key, value); !status.ok()) return status;
  }
  if (hello.client().size() > kMaxClientBytes) {
    return LimitExceeded("bytes in client", kMaxClientBytes, hello.client().size());
  }
  if (!hello.resumed_from().empty() &&
      (IsAlias(hello.resumed_from()) ||
       !ParseCheckpointName(CheckpointName(*run, hello.resumed_from())).ok())) {
    return FieldInvalid("resumed_from", hello.resumed_from(), "it must be a checkpoint's number");
  }
  if (absl::Status status = CheckAwaitedSaves(hello, *run); !status.ok()) return status;
  return run;
}

}  // namespace ckpt::server
