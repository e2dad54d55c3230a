// File name templates: whatever the template and the metrics, the name stays in the run's folder.
// Input: the template, a newline, the name of a further metric.

#include <limits>
#include <string>

#include "server/policy/file_name.h"
#include "storage/fs/beneath.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using ckpt::fuzz::Check;
  std::string_view text = ckpt::fuzz::ToText(data, size);
  const std::string_view filepath = ckpt::fuzz::TakeLine(text);
  ckpt::policy::Logs logs = {{"loss", {0.1}},
                             {"val/loss", {-0.0}},
                             {"nan", {std::numeric_limits<double>::quiet_NaN()}},
                             {"inf", {-std::numeric_limits<double>::infinity()}},
                             {"huge", {1.7976931348623157e308}},
                             {"steps", {12.0, true, 12}}};
  logs[std::string(text)] = {5e-324};
  if (!ckpt::policy::CheckTemplate(filepath).ok()) return 0;
  for (const std::optional<int64_t> batch : {std::optional<int64_t>(), std::optional<int64_t>(7)}) {
    const auto name = ckpt::policy::MakeFileName(filepath, 3, batch, logs);
    if (!name.ok()) continue;
    Check(name->path.size() <= ckpt::policy::kMaxFileNameBytes, "names are short");
    Check(ckpt::storage::IsPlainPath(name->path), "names are plain paths");
    Check(!name->path.starts_with(ckpt::policy::kReservedPrefix), "names are not the daemon's");
  }
  return 0;
}
