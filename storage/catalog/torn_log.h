// The end of RocksDB's logs after a power cut.
//
// A record that was being written when the power went may be there in length and not in content:
// the file system has kept the file's new size and not all of its new bytes. RocksDB forgives a
// last record that is cut short, and refuses to open for one whose checksum is wrong, because that
// might be damage to what it had acknowledged. The difference is what follows: the log was synced
// before the next record was begun, so nothing whole can come after a record that was never synced.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace ckpt::storage {

// Where the first bad record of a log (write-ahead log or MANIFEST) begins, if no record begins
// after it that is whole; nothing if there is no bad record, or if it is damage. Pure.
std::optional<size_t> FindTornTail(std::string_view log);

// Cuts the torn tail off the newest write-ahead log and off the MANIFEST in `folder`, durably. Says
// whether there was one. The index must not be open. STORAGE_FAILED.
absl::StatusOr<bool> CutTornTails(rocksdb::Env& env, const std::string& folder);

}  // namespace ckpt::storage
