#include "tests/bench/point_database.h"

#include <fmt/format.h>
#include <rocksdb/db.h>

#include <algorithm>

#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kBatch = 1000;
constexpr size_t kValueBytes = 12;  // a number, and what tells its step

}  // namespace

PointDatabase::PointDatabase(const std::string& path) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path, &db);
  if (!status.ok()) Fail("RocksDB: " + status.ToString());
  db_.reset(db);
}

PointDatabase::~PointDatabase() = default;

void PointDatabase::Append(int64_t points) {
  const auto check = [](const rocksdb::Status& status) {
    if (!status.ok()) Fail("RocksDB: " + status.ToString());
  };
  rocksdb::WriteBatch batch;
  for (int64_t done = 0; done < points; done += kBatch) {
    batch.Clear();
    for (int64_t i = 0; i < std::min(kBatch, points - done); ++i) {
      const std::string key = fmt::format("{:020}", next_++);
      batch.Put(key, key.substr(0, kValueBytes));
    }
    check(db_->Write({}, &batch));
  }
  check(db_->SyncWAL());
}

}  // namespace ckpt::bench
