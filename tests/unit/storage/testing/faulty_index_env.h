// The index's files behind the same faults as all others.
#pragma once

#include <memory>
#include <string>

#include "tests/unit/storage/testing/faulty_file_system.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace ckpt::storage {

// RocksDB's default environment, with the calls to files recorded by `faults`, failing as its plan
// says, and told to its disk. `data_dir` is the folder whose paths are shortened; `faults` outlives
// the result. What is read from an open file is not recorded.
std::shared_ptr<rocksdb::Env> MakeFaultyIndexEnv(FaultyFileSystem& faults,
                                                 const std::string& data_dir);

}  // namespace ckpt::storage
