// How RocksDB is opened, so that it never drops what it was given.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/options.h>

#include <memory>
#include <string_view>

#include "storage/catalog/catalog.h"

namespace ckpt::storage {

// `cache` holds blocks and memtables of all tables together.
rocksdb::DBOptions MakeDbOptions(const CatalogOptions& options,
                                 const std::shared_ptr<rocksdb::Cache>& cache);
// Of the table with that name, see TableName.
rocksdb::ColumnFamilyOptions MakeTableOptions(std::string_view table,
                                              const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace ckpt::storage
