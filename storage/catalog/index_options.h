// How RocksDB is opened, so that it never drops what it was given.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/options.h>

#include <cstdint>
#include <memory>

#include "storage/catalog/catalog.h"

namespace ckpt::storage {

// `cache` holds `cache_bytes`: blocks and memtables of all tables together.
rocksdb::DBOptions MakeDbOptions(const CatalogOptions& options, int64_t cache_bytes,
                                 const std::shared_ptr<rocksdb::Cache>& cache);
rocksdb::ColumnFamilyOptions MakeTableOptions(int64_t cache_bytes,
                                              const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace ckpt::storage
