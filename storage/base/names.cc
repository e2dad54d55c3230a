#include "storage/base/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt {
namespace {

constexpr std::string_view kRunPrefix = "runs/";
constexpr std::string_view kCheckpointsInfix = "/checkpoints/";
constexpr size_t kMaxRun = 128;
constexpr size_t kMaxPolicy = 64;
constexpr size_t kMaxIdDigits = 19;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsIdChar(char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; }

bool IsNumber(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdDigits && id[0] != '0' &&
         std::all_of(id.begin(), id.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

absl::Status CheckId(std::string_view field, std::string_view id, size_t max) {
  if (!id.empty() && id.size() <= max && IsAlphanumeric(id[0]) &&
      std::all_of(id.begin(), id.end(), IsIdChar)) {
    return absl::OkStatus();
  }
  return NameInvalid(field, Utf8Prefix(id, 2 * max),
                     fmt::format("[A-Za-z0-9][A-Za-z0-9._-]{{0,{}}}", max - 1));
}

absl::Status CheckRunId(std::string_view run) { return CheckId("run", run, kMaxRun); }

absl::Status CheckPolicyName(std::string_view name) { return CheckId("policy", name, kMaxPolicy); }

absl::Status CheckStageId(std::string_view id) { return CheckId("stage_id", id, kMaxPolicy); }

absl::Status CheckPartName(std::string_view part) {
  if (part == "manifest.json") {
    return NameInvalid("part", part, "any part name but 'manifest.json'");
  }
  return CheckId("part", part, kMaxRun);
}

std::string RunName(std::string_view run) { return fmt::format("{}{}", kRunPrefix, run); }

std::string CheckpointName(std::string_view run, std::string_view id) {
  return fmt::format("{}{}{}{}", kRunPrefix, run, kCheckpointsInfix, id);
}

absl::StatusOr<std::string> ParseRunName(std::string_view name) {
  if (!name.starts_with(kRunPrefix)) return NameInvalid("run name", name, "runs/{run}");
  const std::string_view run = name.substr(kRunPrefix.size());
  if (absl::Status status = CheckRunId(run); !status.ok()) return status;
  return std::string(run);
}

absl::StatusOr<CheckpointRef> ParseCheckpointName(std::string_view name) {
  const size_t infix = name.find(kCheckpointsInfix);
  if (!name.starts_with(kRunPrefix) || infix == std::string_view::npos) {
    return NameInvalid("checkpoint name", name, "runs/{run}/checkpoints/{id}");
  }
  CheckpointRef ref{std::string(name.substr(kRunPrefix.size(), infix - kRunPrefix.size())),
                    std::string(name.substr(infix + kCheckpointsInfix.size()))};
  if (absl::Status status = CheckRunId(ref.run); !status.ok()) return status;
  if (!IsNumber(ref.id) && !IsAlias(ref.id)) {
    return NameInvalid("checkpoint id", ref.id, "a number, 'latest', 'best' or 'best:{policy}'");
  }
  return ref;
}

bool IsAlias(std::string_view id) {
  constexpr std::string_view kBestOf = "best:";
  if (id == "latest" || id == "best") return true;
  return id.starts_with(kBestOf) && CheckPolicyName(id.substr(kBestOf.size())).ok();
}

}  // namespace ckpt
