#include "tests/unit/storage/testing/faulty_file_system.h"

#include <cerrno>
#include <utility>

#include "absl/functional/function_ref.h"
#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

// The first half of the bytes.
std::string FirstHalf(std::span<const std::string_view> pieces) {
  std::string bytes;
  for (const std::string_view piece : pieces) bytes += piece;
  return bytes.substr(0, bytes.size() / 2);
}

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& owner, std::unique_ptr<File> base, std::string path)
      : owner_(owner), base_(std::move(base)), path_(std::move(path)) {
    if (owner_.disk() != nullptr) node_ = owner_.disk()->Open(path_);
  }

  absl::Status Write(int64_t offset, std::span<const std::string_view> pieces) override {
    const absl::Status status = owner_.Call("write", path_);
    if (status.ok()) return WriteNow(offset, pieces);
    const std::string half = FirstHalf(pieces);
    const std::string_view piece = half;
    WriteNow(offset, {&piece, 1}).IgnoreError();
    return status;
  }
  absl::StatusOr<int64_t> Read(int64_t offset, std::span<char> buffer) const override {
    const absl::Status status = owner_.Call("read", path_);
    if (!status.ok()) return status;
    return base_->Read(offset, buffer);
  }
  absl::Status Sync() override {
    const int fault = owner_.Fault("sync", path_);
    if (fault == kPretend) return absl::OkStatus();
    if (fault == 0) return Told(base_->Sync(), [&](SimulatedDisk& disk) { disk.Sync(*node_); });
    if (node_ != nullptr) owner_.disk()->LoseUnsynced(*node_);
    return FileError("sync", path_, fault);
  }
  absl::Status StartWriteback(int64_t offset, int64_t length) override {
    const absl::Status status = owner_.Call("writeback", path_);
    return status.ok() ? base_->StartWriteback(offset, length) : status;
  }
  absl::Status Truncate(int64_t size) override {
    const absl::Status status = owner_.Call("truncate", path_);
    if (!status.ok()) return status;
    return Told(base_->Truncate(size), [&](SimulatedDisk& disk) { disk.Truncate(*node_, size); });
  }
  absl::Status Reserve(int64_t size) override {
    const absl::Status status = owner_.Call("reserve", path_);
    return status.ok() ? base_->Reserve(size) : status;
  }
  absl::Status SetDirect(bool direct) override {
    const absl::Status status = owner_.Call("direct", path_);
    return status.ok() ? base_->SetDirect(direct) : status;
  }
  absl::Status SetMode(int mode) override {
    const absl::Status status = owner_.Call("chmod", path_);
    if (!status.ok()) return status;
    return Told(base_->SetMode(mode), [&](SimulatedDisk& disk) { disk.SetMode(*node_, mode); });
  }
  absl::StatusOr<FileInfo> Info() const override {
    const absl::Status status = owner_.Call("stat", path_);
    if (!status.ok()) return status;
    return base_->Info();
  }
  void DropCache() override { base_->DropCache(); }
  absl::StatusOr<bool> TryLock() override {
    const absl::Status status = owner_.Call("lock", path_);
    if (!status.ok()) return status;
    return base_->TryLock();
  }

 private:
  // Tells the disk of what has been done.
  absl::Status Told(absl::Status done, absl::FunctionRef<void(SimulatedDisk&)> tell) {
    if (done.ok() && node_ != nullptr) tell(*owner_.disk());
    return done;
  }
  absl::Status WriteNow(int64_t offset, std::span<const std::string_view> pieces) {
    return Told(base_->Write(offset, pieces), [&](SimulatedDisk& disk) {
      std::string bytes;
      for (const std::string_view piece : pieces) bytes += piece;
      disk.Write(*node_, offset, bytes);
    });
  }

  FaultyFileSystem& owner_;
  const std::unique_ptr<File> base_;
  const std::string path_;
  SimulatedDisk::NodePtr node_;
};

class FaultyDirectory final : public Directory {
 public:
  FaultyDirectory(FaultyFileSystem& owner, std::unique_ptr<Directory> base)
      : owner_(owner), base_(std::move(base)) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    const absl::Status status = owner_.Call(mode == OpenMode::kRead ? "open" : "create", path);
    if (!status.ok()) return status;
    auto file = base_->Open(path, mode);
    if (!file.ok()) return file.status();
    return std::make_unique<FaultyFile>(owner_, *std::move(file), path);
  }
  absl::StatusOr<std::optional<FileInfo>> Info(const std::string& path) override {
    const absl::Status status = owner_.Call("stat", path);
    if (!status.ok()) return status;
    return base_->Info(path);
  }
  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& path) override {
    const absl::Status status = owner_.Call("list", path);
    if (!status.ok()) return status;
    return base_->List(path);
  }
  absl::Status MakeDirectory(const std::string& path) override {
    const absl::Status status = owner_.Call("mkdir", path);
    if (!status.ok()) return status;
    return Told(base_->MakeDirectory(path), [&](SimulatedDisk& disk) { disk.MakeFolder(path); });
  }
  absl::Status RemoveDirectory(const std::string& path) override {
    const absl::Status status = owner_.Call("rmdir", path);
    if (!status.ok()) return status;
    return Told(base_->RemoveDirectory(path), [&](SimulatedDisk& disk) { disk.Remove(path); });
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("rename", to);
    if (!status.ok()) return status;
    return Told(base_->Rename(from, to), [&](SimulatedDisk& disk) { disk.Rename(from, to); });
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    const absl::Status status = owner_.Call("exchange", b);
    if (!status.ok()) return status;
    return Told(base_->Exchange(a, b), [&](SimulatedDisk& disk) { disk.Exchange(a, b); });
  }
  absl::Status Link(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("link", to);
    if (!status.ok()) return status;
    return Told(base_->Link(from, to), [&](SimulatedDisk& disk) { disk.Link(from, to); });
  }
  // The disk can clone, whatever the real file system below it says.
  absl::Status Clone(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("clone", to);
    if (!status.ok()) return status;
    absl::Status cloned = base_->Clone(from, to);
    if (owner_.disk() != nullptr && ErrnoOf(cloned) == EOPNOTSUPP) cloned = CopyInto(from, to);
    return Told(cloned, [&](SimulatedDisk& disk) { disk.Clone(from, to); });
  }
  absl::Status Unlink(const std::string& path) override {
    const absl::Status status = owner_.Call("unlink", path);
    if (!status.ok()) return status;
    return Told(base_->Unlink(path), [&](SimulatedDisk& disk) { disk.Remove(path); });
  }
  absl::Status Sync(const std::string& path) override {
    const int fault = owner_.Fault("syncdir", path);
    if (fault == kPretend) return absl::OkStatus();
    if (fault != 0) return FileError("syncdir", path, fault);
    return Told(base_->Sync(path), [&](SimulatedDisk& disk) { disk.SyncFolder(path); });
  }
  absl::StatusOr<int64_t> FreeBytes() override {
    const absl::Status status = owner_.Call("statfs", ".");
    if (!status.ok()) return status;
    return base_->FreeBytes();
  }

 private:
  absl::Status Told(absl::Status done, absl::FunctionRef<void(SimulatedDisk&)> tell) {
    if (done.ok() && owner_.disk() != nullptr) tell(*owner_.disk());
    return done;
  }
  absl::Status CopyInto(const std::string& from, const std::string& to) {
    const auto source = base_->Open(from, OpenMode::kRead);
    if (!source.ok()) return source.status();
    const auto target = base_->Open(to, OpenMode::kCreate);
    if (!target.ok()) return target.status();
    const auto info = (*source)->Info();
    if (!info.ok()) return info.status();
    std::string bytes(static_cast<size_t>(info->size), '\0');
    if (const auto got = (*source)->Read(0, bytes); !got.ok()) return got.status();
    const std::string_view piece = bytes;
    return (*target)->Write(0, {&piece, 1});
  }

  FaultyFileSystem& owner_;
  const std::unique_ptr<Directory> base_;
};

}  // namespace

void FaultyFileSystem::set_plan(Plan plan) {
  const std::lock_guard lock(plan_mutex_);
  plan_ = std::move(plan);
}

void FaultyFileSystem::Reset() {
  const std::lock_guard one_at_a_time(plan_mutex_);
  count_ = 0;
  const std::lock_guard lock(mutex_);
  calls_.clear();
}

std::vector<std::string> FaultyFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

absl::StatusOr<std::unique_ptr<Directory>> FaultyFileSystem::OpenDirectory(
    const std::string& path) {
  const absl::Status status = Call("opendir", path);
  if (!status.ok()) return status;
  auto directory = base_.OpenDirectory(path);
  if (!directory.ok()) return directory.status();
  return std::make_unique<FaultyDirectory>(*this, *std::move(directory));
}

int FaultyFileSystem::Fault(std::string_view operation, const std::string& path) {
  const std::lock_guard one_at_a_time(plan_mutex_);
  // Not under the other lock: the plan may look at the calls so far.
  const int error = plan_ ? plan_(count_ + 1, operation, path) : 0;
  ++count_;
  const std::lock_guard lock(mutex_);
  calls_.push_back((error > 0 ? "!" : "") + std::string(operation) + ' ' + path);
  return error;
}

absl::Status FaultyFileSystem::Call(std::string_view operation, const std::string& path) {
  const int error = Fault(operation, path);
  return error > 0 ? FileError(operation, path, error) : absl::OkStatus();
}

FaultyFileSystem::Plan FailOnce(int64_t number, int error) {
  return
      [=](int64_t call, std::string_view, std::string_view) { return call == number ? error : 0; };
}

FaultyFileSystem::Plan FailFrom(int64_t number, int error) {
  return
      [=](int64_t call, std::string_view, std::string_view) { return call >= number ? error : 0; };
}

FaultyFileSystem::Plan FailOperation(std::string operation, std::string path, int error) {
  return [=](int64_t, std::string_view called, std::string_view on) {
    return called == operation && on.find(path) != std::string_view::npos ? error : 0;
  };
}

}  // namespace ckpt::storage
