// RocksDB's own batched writes: the baseline of `events` for who stores points without a daemon.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace rocksdb {
class DB;
}  // namespace rocksdb

namespace ckpt::bench {

// A database of points, one row each: 20 bytes of key, 12 of value. Options are RocksDB's defaults.
// Not thread-safe. Ends the program when the disk fails.
class PointDatabase {
 public:
  // Makes it in the new folder `path`.
  explicit PointDatabase(const std::string& path);
  ~PointDatabase();

  // Appends points in batches of 1,000 and syncs them all at the end.
  void Append(int64_t points);

 private:
  std::unique_ptr<rocksdb::DB> db_;
  uint64_t next_ = 0;
};

}  // namespace ckpt::bench
