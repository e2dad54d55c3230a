// File names of checkpoints: from a policy's template to a relative path that cannot leave the
// run's folder. What is on disk (symbolic links, folders in the way) is not looked at here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/metric_value.h"

namespace ckpt::policy {

inline constexpr size_t kMaxTemplateBytes = 1024;
inline constexpr size_t kMaxFileNameBytes = 1024;
inline constexpr size_t kMaxComponentBytes = 255;
// Names that the daemon keeps for itself.
inline constexpr std::string_view kReservedPrefix = ".ckptd-";

struct FileName {
  std::string text;  // as the reference formats it
  std::string path;  // the same file without empty and `.` components
};

// PATH_ESCAPES or PATH_TOO_LONG if no values could make a good name of `filepath`. A malformed
// template is accepted; it fails when a name is made, as in the reference.
absl::Status CheckTemplate(std::string_view filepath);

// Formats `filepath` for an event. `epoch` and `batch` are 0-based; `batch` is unset at an epoch's
// end. Errors: those of PythonFormat, TEMPLATE_TYPE if `logs` has an `epoch`, PATH_ESCAPES,
// PATH_TOO_LONG.
absl::StatusOr<FileName> MakeFileName(std::string_view filepath, int64_t epoch,
                                      std::optional<int64_t> batch, const Logs& logs);

}  // namespace ckpt::policy
