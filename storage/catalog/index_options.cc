#include "storage/catalog/index_options.h"

#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_buffer_manager.h>

#include <cstdarg>

#include "storage/catalog/index_db.h"

namespace ckpt::storage {
namespace {

constexpr uint64_t kMaxLogBytes = 64 << 20;  // write-ahead log in all: bounds the time to open
constexpr int kMaxOpenFiles = 256;
constexpr int kBloomBitsPerKey = 10;
constexpr int kHistoryFilesToMerge = 8;
// A table file in which 64 of any 128 neighbouring rows are deletions is compacted, so that scans
// do not wade through them.
constexpr size_t kDeletionWindow = 128;
constexpr size_t kDeletionTrigger = 64;

// RocksDB's own log file is not written: with assertions on, as in Debian's library, its second
// line after one that found the disk full aborts the process. What it would say comes as statuses,
// too.
class NoLogger final : public rocksdb::Logger {
 public:
  NoLogger() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace

rocksdb::DBOptions MakeDbOptions(const CatalogOptions& options,
                                 const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::DBOptions db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = true;
  db.paranoid_checks = true;
  // Forgive a last record that was cut short, for it was never acknowledged, and nothing else. One
  // that is torn is cut by CutTornTails.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.recycle_log_file_num = 0;
  db.track_and_verify_wals_in_manifest = true;
  // RocksDB tries nothing again by itself: after a failed sync the kernel may have dropped the
  // pages and report success, and after a full disk GoOn looks for room first. RocksDB 7.8 takes
  // only a full disk for an error worth another try, so this line guards against others to come.
  db.max_bgerror_resume_count = 0;
  // Every row that counts is in the log.
  db.avoid_flush_during_shutdown = true;
  // Memtables are charged to the cache: both together stay within its capacity.
  db.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(cache->GetCapacity() / 2, cache);
  db.max_total_wal_size = kMaxLogBytes;
  db.max_open_files = kMaxOpenFiles;
  db.max_background_jobs = 2;
  db.max_manifest_file_size = 16 << 20;
  db.info_log = std::make_shared<NoLogger>();
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions MakeTableOptions(std::string_view table_name,
                                              const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions blocks;
  blocks.checksum = rocksdb::ChecksumType::kXXH3;
  blocks.format_version = 5;
  blocks.block_cache = cache;
  blocks.cache_index_and_filter_blocks = true;
  blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::ColumnFamilyOptions table;
  table.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  table.compression = rocksdb::kLZ4Compression;
  table.write_buffer_size = cache->GetCapacity() / 8;
  table.level_compaction_dynamic_level_bytes = true;
  if (table_name == TableName(Table::kHistory)) {
    // Its rows are compressed already, and come in great numbers. What is merged is all that has
    // come since and most of what there was: the more at a time, the less often it is written anew.
    table.compression = rocksdb::kNoCompression;
    table.write_buffer_size = cache->GetCapacity() / 4;
    table.level0_file_num_compaction_trigger = kHistoryFilesToMerge;
  }
  table.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(kDeletionWindow, kDeletionTrigger));
  return table;
}

}  // namespace ckpt::storage
