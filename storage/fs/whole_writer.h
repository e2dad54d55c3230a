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
// where the file system can, paced where it cannot or the content is small. Nothing is synced.
//
// Each block is read once, into memory of its own, which is written and hashed from there: the
// digest belongs to the bytes in the file even if somebody changes the content meanwhile. That
// costs less than the disk gains by it, which takes huge pages in fewer and larger requests than
// the small ones of shared memory. Four blocks of 4 MiB at most.
//
// Errors: those of the file and of the content. Any part of the file may have been written then,
// and no thread uses `file` or `content` any more.
absl::StatusOr<WholeWritten> WriteWhole(File& file, const Content& content, const Spawn& spawn);

}  // namespace ckpt::storage
