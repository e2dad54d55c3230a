// What the reference prints and logs, word for word. Epochs are 0-based here and 1-based in the
// text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ckpt::policy {

// Printed if `verbose` is above 0, without the leading newline.
std::string SavingMessage(int64_t epoch, std::string_view filepath);
std::string ImprovedMessage(int64_t epoch, std::string_view monitor, double best, double current,
                            std::string_view filepath);
std::string NotImprovedMessage(int64_t epoch, std::string_view monitor, double best);

// Logged.
std::string MetricMissingWarning(std::string_view monitor);
std::string UnknownModeWarning(std::string_view mode);
std::string PeriodWarning();

}  // namespace ckpt::policy
