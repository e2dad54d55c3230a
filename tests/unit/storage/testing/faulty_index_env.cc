#include "tests/unit/storage/testing/faulty_index_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

namespace ckpt::storage {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus ErrorOf(int fault, const std::string& path) {
  if (fault <= 0) return IOStatus::OK();
  const std::string what = std::strerror(fault);  // NOLINT(concurrency-mt-unsafe)
  return fault == ENOSPC ? IOStatus::NoSpace(path, what) : IOStatus::IOError(path, what);
}

class FaultyIndexFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyIndexFile(FaultyFileSystem& faults, std::unique_ptr<rocksdb::FSWritableFile> base,
                  std::string path)
      : FSWritableFileOwnerWrapper(std::move(base)), faults_(faults), path_(std::move(path)) {
    if (faults_.disk() == nullptr) return;
    node_ = faults_.disk()->Open(path_);
    size_ = faults_.disk()->SizeOf(*node_);
  }

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    const IOStatus fault = ErrorOf(faults_.Fault("write", path_), path_);
    if (fault.ok()) return AppendNow(data, options, debug);
    AppendNow(Slice(data.data(), data.size() / 2), options, debug).PermitUncheckedError();
    return fault;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*verification*/,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    const IOStatus fault = ErrorOf(faults_.Fault("truncate", path_), path_);
    if (!fault.ok()) return fault;
    const IOStatus done = target()->Truncate(size, options, debug);
    if (!done.ok()) return done;
    size_ = static_cast<int64_t>(size);
    if (node_ != nullptr) faults_.disk()->Truncate(*node_, size_);
    return done;
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    const int fault = faults_.Fault("sync", path_);
    if (fault == kPretend) return IOStatus::OK();
    if (fault > 0) {
      if (node_ != nullptr) faults_.disk()->LoseUnsynced(*node_);
      return ErrorOf(fault, path_);
    }
    const IOStatus done = target()->Sync(options, debug);
    if (done.ok() && node_ != nullptr) faults_.disk()->Sync(*node_);
    return done;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus fault = ErrorOf(faults_.Fault("close", path_), path_);
    const IOStatus done = target()->Close(options, debug);
    return fault.ok() ? done : fault;
  }

 private:
  IOStatus AppendNow(const Slice& data, const IOOptions& options, IODebugContext* debug) {
    const IOStatus done = target()->Append(data, options, debug);
    if (!done.ok()) return done;
    if (node_ != nullptr) faults_.disk()->Write(*node_, size_, {data.data(), data.size()});
    size_ += static_cast<int64_t>(data.size());
    return done;
  }

  FaultyFileSystem& faults_;
  const std::string path_;
  SimulatedDisk::NodePtr node_;
  int64_t size_ = 0;
};

class FaultyIndexFolder final : public rocksdb::FSDirectoryWrapper {
 public:
  FaultyIndexFolder(FaultyFileSystem& faults, std::unique_ptr<rocksdb::FSDirectory> base,
                    std::string path)
      : FSDirectoryWrapper(std::move(base)), faults_(faults), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    const int fault = faults_.Fault("syncdir", path_);
    if (fault == 0 && faults_.disk() != nullptr) faults_.disk()->SyncFolder(path_);
    return ErrorOf(fault, path_);
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& /*how*/) override {
    return Fsync(options, debug);
  }

 private:
  FaultyFileSystem& faults_;
  const std::string path_;
};

class FaultyIndexFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  FaultyIndexFileSystem(FaultyFileSystem& faults, std::string data_dir)
      : FileSystemWrapper(rocksdb::FileSystem::Default()),
        faults_(faults),
        prefix_(std::move(data_dir) + '/') {}

  const char* Name() const override { return "FaultyIndexFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    const IOStatus fault = Fault("create", path);
    if (!fault.ok()) return fault;
    std::unique_ptr<rocksdb::FSWritableFile> base;
    const IOStatus done = target()->NewWritableFile(path, options, &base, debug);
    if (!done.ok()) return done;
    // What was there under the name is cut to nothing.
    if (faults_.disk() != nullptr) faults_.disk()->Truncate(*faults_.disk()->Open(Short(path)), 0);
    *file = std::make_unique<FaultyIndexFile>(faults_, std::move(base), Short(path));
    return done;
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override {
    const IOStatus fault = Fault("create", path);
    if (!fault.ok()) return fault;
    std::unique_ptr<rocksdb::FSWritableFile> base;
    const IOStatus done = target()->ReopenWritableFile(path, options, &base, debug);
    if (!done.ok()) return done;
    *file = std::make_unique<FaultyIndexFile>(faults_, std::move(base), Short(path));
    return done;
  }
  IOStatus NewSequentialFile(const std::string& path, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* debug) override {
    const IOStatus fault = Fault("open", path);
    return fault.ok() ? target()->NewSequentialFile(path, options, file, debug) : fault;
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* debug) override {
    const IOStatus fault = Fault("open", path);
    return fault.ok() ? target()->NewRandomAccessFile(path, options, file, debug) : fault;
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* folder,
                        IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSDirectory> base;
    const IOStatus done = target()->NewDirectory(path, options, &base, debug);
    if (!done.ok()) return done;
    *folder = std::make_unique<FaultyIndexFolder>(faults_, std::move(base), Short(path));
    return done;
  }
  IOStatus GetChildren(const std::string& path, const IOOptions& options,
                       std::vector<std::string>* names, IODebugContext* debug) override {
    const IOStatus fault = Fault("list", path);
    return fault.ok() ? target()->GetChildren(path, options, names, debug) : fault;
  }
  IOStatus CreateDir(const std::string& path, const IOOptions& options,
                     IODebugContext* debug) override {
    return Do("mkdir", path, target()->FileExists(path, options, debug).ok(),
              [&] { return target()->CreateDir(path, options, debug); });
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* debug) override {
    return Do("mkdir", path, target()->FileExists(path, options, debug).ok(),
              [&] { return target()->CreateDirIfMissing(path, options, debug); });
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    const IOStatus fault = Fault("unlink", path);
    if (!fault.ok()) return fault;
    const IOStatus done = target()->DeleteFile(path, options, debug);
    if (done.ok() && faults_.disk() != nullptr) faults_.disk()->Remove(Short(path));
    return done;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    const IOStatus fault = Fault("rename", to);
    if (!fault.ok()) return fault;
    const IOStatus done = target()->RenameFile(from, to, options, debug);
    if (done.ok() && faults_.disk() != nullptr) faults_.disk()->Rename(Short(from), Short(to));
    return done;
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* debug) override {
    const IOStatus fault = Fault("link", to);
    if (!fault.ok()) return fault;
    const IOStatus done = target()->LinkFile(from, to, options, debug);
    if (done.ok() && faults_.disk() != nullptr) faults_.disk()->Link(Short(from), Short(to));
    return done;
  }
  // The lock file says nothing; it is opened by RocksDB itself.
  IOStatus LockFile(const std::string& path, const IOOptions& options, rocksdb::FileLock** lock,
                    IODebugContext* debug) override {
    const IOStatus fault = Fault("lock", path);
    if (!fault.ok()) return fault;
    const IOStatus done = target()->LockFile(path, options, lock, debug);
    if (done.ok() && faults_.disk() != nullptr) faults_.disk()->Open(Short(path));
    return done;
  }

 private:
  std::string Short(const std::string& path) const {
    std::string name = path.starts_with(prefix_) ? path.substr(prefix_.size()) : path;
    while (name.ends_with('/')) name.pop_back();
    return name;
  }
  IOStatus Fault(std::string_view operation, const std::string& path) {
    return ErrorOf(faults_.Fault(operation, Short(path)), path);
  }
  template <typename Action>
  IOStatus Do(std::string_view operation, const std::string& path, bool is_there, Action action) {
    const IOStatus fault = Fault(operation, path);
    if (!fault.ok()) return fault;
    const IOStatus done = action();
    if (done.ok() && !is_there && faults_.disk() != nullptr) {
      faults_.disk()->MakeFolder(Short(path));
    }
    return done;
  }

  FaultyFileSystem& faults_;
  const std::string prefix_;
};

// RocksDB rests for a second after a fault. Thousands of faults cannot wait for that.
class RestlessClock final : public rocksdb::SystemClockWrapper {
 public:
  RestlessClock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "RestlessClock"; }
  void SleepForMicroseconds(int /*micros*/) override { std::this_thread::yield(); }
};

class FaultyIndexEnv final : public rocksdb::EnvWrapper {
 public:
  explicit FaultyIndexEnv(const std::shared_ptr<rocksdb::FileSystem>& files)
      : EnvWrapper(std::shared_ptr<rocksdb::Env>(rocksdb::NewCompositeEnv(files))) {
    file_system_ = files;
    system_clock_ = std::make_shared<RestlessClock>();
  }
  const char* Name() const override { return "FaultyIndexEnv"; }
};

}  // namespace

std::shared_ptr<rocksdb::Env> MakeFaultyIndexEnv(FaultyFileSystem& faults,
                                                 const std::string& data_dir) {
  return std::make_shared<FaultyIndexEnv>(
      std::make_shared<FaultyIndexFileSystem>(faults, data_dir));
}

}  // namespace ckpt::storage
