#include "server/policy/words.h"

#include <fmt/format.h>

#include "server/policy/format_number.h"

namespace ckpt::policy {

std::string SavingMessage(int64_t epoch, std::string_view filepath) {
  return fmt::format("Epoch {}: saving model to {}", epoch + 1, filepath);
}

std::string ImprovedMessage(int64_t epoch, std::string_view monitor, double best, double current,
                            std::string_view filepath) {
  return fmt::format("Epoch {}: {} improved from {} to {}, saving model to {}", epoch + 1, monitor,
                     FiveDecimals(best), FiveDecimals(current), filepath);
}

std::string NotImprovedMessage(int64_t epoch, std::string_view monitor, double best) {
  return fmt::format("Epoch {}: {} did not improve from {}", epoch + 1, monitor,
                     FiveDecimals(best));
}

std::string MetricMissingWarning(std::string_view monitor) {
  return fmt::format("Can save best model only with {} available, skipping.", monitor);
}

std::string UnknownModeWarning(std::string_view mode) {
  return fmt::format("ModelCheckpoint mode {} is unknown, fallback to auto mode.", mode);
}

std::string PeriodWarning() {
  return "`period` argument is deprecated. Please use `save_freq` to specify the frequency in "
         "number "
         "of batches seen.";
}

}  // namespace ckpt::policy
