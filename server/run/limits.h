// Limits of the training contract; Welcome publishes them.
#pragma once

#include <cstdint>

namespace ckpt::server {

inline constexpr int kMaxEventsPerBatch = 4096;
// Events of all runs that are not durable yet, in memory: when the index is slow, trainers wait.
inline constexpr int64_t kMaxPendingEventBytes = 8 << 20;
inline constexpr int kMaxMetricsPerEvent = 1024;
inline constexpr int kMaxMetricNameBytes = 256;
inline constexpr int kMaxMetricsPerRun = 16384;
inline constexpr int kMaxAwaitedSaves = 1024;
inline constexpr int kMaxLabels = 64;
inline constexpr int kMaxLabelKeyBytes = 63;
inline constexpr int kMaxLabelValueBytes = 256;
inline constexpr int kMaxSaveCallers = 64;              // that wait for a save of one run
inline constexpr int kMaxDownloads = 64;                // at once; each holds one block of 4 MiB,
inline constexpr int kDownloadsAhead = 16;              // and these another one
inline constexpr int64_t kMaxIndex = int64_t{1} << 53;  // epochs and batches

}  // namespace ckpt::server
