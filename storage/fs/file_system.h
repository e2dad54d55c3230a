// The one door to the operating system's files; only RocksDB has its own.
//
// A path is relative to an open Directory and stays beneath it: components separated by single
// slashes, none of them empty, "." or "..", and no symbolic link is followed anywhere in it, the
// last component included. "." alone is the directory itself.
//
// Every function may block on the disk. Errors are those of ckpt::FileError (DISK_FULL or
// STORAGE_FAILED); ErrnoOf tells them apart. ELOOP: a symbolic link is in the path; ENOTDIR: a file
// is in the path where a folder should be; EINVAL: the path is malformed. Nothing is durable before
// it is synced: bytes by File::Sync, names by Directory::Sync of their folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt::storage {

enum class FileKind { kFile, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileKind kind = FileKind::kOther;
  int64_t size = 0;
  uint64_t inode = 0;
  uint64_t links = 0;
  int mode = 0;  // permission bits
  int64_t mtime_unix_nanos = 0;
};

struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::kOther;
};

enum class OpenMode {
  kRead,    // must exist; ENOENT
  kWrite,   // read and write; created empty if missing
  kCreate,  // read and write; must not exist; EEXIST
};

// What offsets, lengths and addresses must be multiples of where the page cache is passed by.
inline constexpr int64_t kDirectAlignment = 4096;

// An open file, closed on destruction. Not thread-safe, except that Read and Info may overlap, and
// so may Write and StartWriteback of ranges that do not.
class File {
 public:
  virtual ~File() = default;

  // Writes the pieces one after the other from `offset` on. After an error any part of the range
  // may have been written.
  virtual absl::Status Write(int64_t offset, std::span<const std::string_view> pieces) = 0;
  // Fills `buffer` from `offset` on; less only at the end of the file. Returns the bytes read.
  virtual absl::StatusOr<int64_t> Read(int64_t offset, std::span<char> buffer) const = 0;
  // Makes bytes and size durable. After an error the file must be given up: the kernel may have
  // forgotten what it could not write, and another Sync would succeed without it.
  virtual absl::Status Sync() = 0;
  // Begins to write the range back, without waiting and without any promise: it keeps the final
  // Sync short.
  virtual absl::Status StartWriteback(int64_t offset, int64_t length) = 0;
  // Sets the size. Also gives back what Reserve took beyond it.
  virtual absl::Status Truncate(int64_t size) = 0;
  // Reserves space for the first `size` bytes without changing the size of the file. OK where the
  // file system cannot. After an error some space may be reserved.
  virtual absl::Status Reserve(int64_t size) = 0;
  // Whether Write passes the page cache by, from now on. Then its offset and its pieces must be
  // aligned to kDirectAlignment. EINVAL, from here or from a Write, where the file system cannot.
  virtual absl::Status SetDirect(bool direct) = 0;
  // Sets the permission bits.
  virtual absl::Status SetMode(int mode) = 0;
  virtual absl::StatusOr<FileInfo> Info() const = 0;
  // Tells the kernel that the file's pages will not be needed soon.
  virtual void DropCache() = 0;
  // Takes an exclusive lock that lasts until this object is gone; false if another open file, of
  // whatever process, has it.
  virtual absl::StatusOr<bool> TryLock() = 0;
};

// An open folder. Thread-safe. Stays valid when its folder is renamed.
class Directory {
 public:
  virtual ~Directory() = default;

  // Opens a regular file; a created one gets mode 0640.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // What is at `path`, symbolic links not followed; nothing if it or a folder above it is missing.
  virtual absl::StatusOr<std::optional<FileInfo>> Info(const std::string& path) = 0;
  // Entries of a folder but "." and "..", by name.
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& path) = 0;
  // Creates a folder, mode 0750. EEXIST.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  // Removes an empty folder. ENOENT, ENOTEMPTY.
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  // Moves a file or folder; a file or an empty folder at `to` is replaced in the same step. When
  // both are names of one file, nothing happens and both stay.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Swaps two names in one step; both must exist. EINVAL where the file system cannot.
  virtual absl::Status Exchange(const std::string& a, const std::string& b) = 0;
  // Gives the file `from` a second name. EEXIST.
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  // Creates `to`, mode 0640, sharing the bytes of `from` until one of them is changed. EEXIST;
  // EOPNOTSUPP where the file system cannot, and `to` does not exist then.
  virtual absl::Status Clone(const std::string& from, const std::string& to) = 0;
  // Removes a name that is not a folder. ENOENT.
  virtual absl::Status Unlink(const std::string& path) = 0;
  // Makes the names in a folder durable.
  virtual absl::Status Sync(const std::string& path) = 0;
  // Bytes that may still be written to this file system.
  virtual absl::StatusOr<int64_t> FreeBytes() = 0;
};

// Where directories come from. Thread-safe; outlives what it opened.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Opens the folder at an absolute or relative path of the process, following symbolic links, and
  // creates it and its parents (mode 0750) if missing. The result does not depend on the process's
  // working directory any more. ENOTDIR, EACCES, EROFS.
  virtual absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path) = 0;
};

// errno of an error made by ckpt::FileError; 0 for OK and all other errors.
int ErrnoOf(const absl::Status& status);

}  // namespace ckpt::storage
