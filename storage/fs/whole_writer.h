// Large files whose whole content is at hand, at the speed of the disk.
#pragma once

#include <functional>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "storage/base/digest.h"
#include "storage/fs/content.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// How the bytes went to the disk.
enum class WriteMode {
  kDirect,  // past the page cache, several requests at once
  kPaced,   // through the page cache, written back block by block
};

// Runs a task on another thread, now, later or never. May be called from any thread; must not
// block.
using Spawn = std::function<void(absl::AnyInvocable<void()> task)>;

struct WholeWritten {
  StreamDigest digest;  // of what is in the file
  WriteMode mode = WriteMode::kPaced;
};

// Writes `content` to `file`, which is empty and has the space reserved. Blocks are written by this
// thread and up to two that `spawn` gives, while this one also hashes what has been written. Direct
// where the file system can, paced where it cannot or the content is small. Memory:
// four blocks of 4 MiB at most, none if the content is in place. Nothing is synced.
//
// With `check_unchanged`, each block of content in place is hashed before it is written as well, so
// that a digest never belongs to other bytes than those in the file: DIGEST_MISMATCH at the end
// when somebody changed it meanwhile. (Who compares the digest with the sender's can do without.)
//
// Errors: those of the file and of the content. Any part of the file may have been written then,
// and no thread uses `file` or `content` any more.
absl::StatusOr<WholeWritten> WriteWhole(File& file, const Content& content, bool check_unchanged,
                                        const Spawn& spawn);

}  // namespace ckpt::storage
