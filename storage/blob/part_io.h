// Bytes of checkpoints on their way in and out, one part at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/base/digest.h"
#include "storage/fs/content.h"
#include "storage/fs/whole_writer.h"

namespace ckpt::storage {

// Where an upload goes.
struct PartTarget {
  std::string run;       // run id
  std::string save;      // id of an open save; empty for a stage
  std::string stage_id;  // id of a stage; empty for a save
  int rank = 0;
  std::string part = "weights";
  int part_count = 1;     // parts of this rank in all
  int64_t size_hint = 0;  // bytes to reserve; 0 if unknown
};

// One part on its way in. Owned by one upload; not thread-safe. Destroying it keeps what was
// received for a later resume and frees the part for another writer; so does a Finish that
// succeeds.
class PartWriter {
 public:
  virtual ~PartWriter() = default;
  // Bytes received: the next offset. After a reopen, what is known to be durable.
  virtual int64_t offset() const = 0;
  // Bytes that survive a crash of the machine.
  virtual int64_t persisted() const = 0;
  // Set if the part was finished, by this writer or an earlier one: there is nothing to send.
  virtual const std::optional<v1::Part>& finished() const = 0;
  // Appends the pieces in order (step 1), syncing each 64 MiB. After an error the part is given up:
  // the writer takes nothing more and a reopen starts from what was durable. SAVE_NOT_OPEN if the
  // save or stage was discarded, adopted or published meanwhile, or the part is finished.
  virtual absl::Status Append(std::span<const std::string_view> pieces) = 0;
  // Throws away what was received; offset() is 0 again. Errors as Append's.
  virtual absl::Status Restart() = 0;
  // Steps 1 and 2. `xxh3_128` may be empty: then the digest is not compared. SIZE_MISMATCH leaves
  // the part open; DIGEST_MISMATCH throws it away (offset() is 0). OK makes it durable. Finishing a
  // finished part with the same size and digest again gives the same answer. Other errors as
  // Append's.
  virtual absl::StatusOr<v1::Part> Finish(int64_t size, std::string_view xxh3_128) = 0;
  // All of it at once: throws away what was received, writes `content` as WriteWhole does, and
  // finishes. DIGEST_MISMATCH also if the content changed meanwhile. Other errors, also those of
  // the content: nothing of it is kept, and the part is given up as after a failed Append.
  virtual absl::StatusOr<v1::Part> Store(const Content& content, std::string_view xxh3_128,
                                         const Spawn& spawn) = 0;
  // How Store has written; nothing before that.
  virtual std::optional<WriteMode> write_mode() const = 0;
};

// One part of a committed checkpoint, being read. Keeps its file open, so that a concurrent
// deletion does not disturb it. Not thread-safe.
class PartReader {
 public:
  virtual ~PartReader() = default;
  virtual const v1::Checkpoint& checkpoint() const = 0;  // without policy states
  virtual const v1::Part& part() const = 0;              // without block digests
  // Number of 4 MiB blocks.
  virtual int64_t blocks() const = 0;
  // Bytes of block `index`: 4 MiB, or what is left for the last one.
  int64_t BlockBytes(int64_t index) const {
    return std::min(kDigestBlockBytes, part().size() - index * kDigestBlockBytes);
  }
  // Fills `block`, which has BlockBytes(index), and verifies it. After an error what is in it is of
  // no use; BLOB_CORRUPT if it is damaged or short.
  virtual absl::Status ReadBlock(int64_t index, std::span<char> block) = 0;
};

}  // namespace ckpt::storage
