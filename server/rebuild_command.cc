#include "server/rebuild_command.h"

#include <fmt/format.h>

#include "storage/checkpoint_store.h"
#include "storage/rebuild.h"

namespace ckpt::server {
namespace {

void PrintOldIndex(const storage::RebuildReport& report) {
  if (report.old_index.empty()) {
    fmt::print("There was no index: everything is from the manifests of the checkpoints.\n");
    return;
  }
  fmt::print("The old index is now {}/; remove it when all is well.\n", report.old_index);
  if (!report.salvaged) {
    fmt::print("Nothing of it could be read: everything is from the manifests.\n");
  } else if (!report.salvaged_all) {
    fmt::print("Some of its rows could not be read.\n");
  }
}

void PrintLosses(const storage::RebuildReport& report) {
  if (report.dropped_events > 0) {
    fmt::print("{} events were dropped: the names of their metrics are lost.\n",
               report.dropped_events);
  }
  if (report.dropped_rows > 0) {
    fmt::print("{} checkpoints of the old index were dropped: they have no files.\n",
               report.dropped_rows);
  }
  for (const std::string& blob : report.unknown_blobs) {
    fmt::print(
        "Nothing is known of {0}: neither manifest nor row can be read. Its files are in "
        "{1}/{0}/.\n",
        blob, report.set_aside);
  }
}

}  // namespace

absl::Status RebuildAndReport(const v1::DaemonConfig& config) {
  const int64_t cache_bytes = int64_t{config.limits().index_cache_mib()} << 20;
  const auto report =
      storage::RebuildIndex({.data_dir = config.data_dir(), .index_cache_bytes = cache_bytes});
  if (!report.ok()) return report.status();
  // Brings names and files in line, and shows that the daemon will start.
  const auto store = storage::CheckpointStore::Open(
      {.data_dir = config.data_dir(), .index_cache_bytes = cache_bytes, .on_index_error = {}});
  if (!store.ok()) return store.status();
  const auto stats = (*store)->Stats();
  if (!stats.ok()) return stats.status();
  fmt::print("The index of {} has been rebuilt: {} runs, {} checkpoints, {} bytes.\n",
             (*store)->data_dir(), stats->runs, stats->checkpoints, stats->checkpoint_bytes);
  if (report->resumed) {
    fmt::print("An earlier rebuild was brought to its end.\n");
  } else {
    PrintOldIndex(*report);
    fmt::print("{} events were kept.\n", report->events);
    PrintLosses(*report);
  }
  const v1::RecoveryReport& recovery = (*store)->recovery();
  fmt::print("{} names were put back, {} deletions finished.\n", recovery.projected_names(),
             recovery.finished_evictions());
  fmt::print("Trainers must be started again; 'ckptctl verify' checks every byte.\n");
  return absl::OkStatus();
}

}  // namespace ckpt::server
