#include "tests/unit/storage/testing/faulty_file_system.h"

#include <utility>

#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& owner, std::unique_ptr<File> base, std::string path)
      : owner_(owner), base_(std::move(base)), path_(std::move(path)) {}

  absl::Status Write(int64_t offset, std::span<const std::string_view> pieces) override {
    const absl::Status status = owner_.Call("write", path_);
    return status.ok() ? base_->Write(offset, pieces) : status;
  }
  absl::StatusOr<int64_t> Read(int64_t offset, std::span<char> buffer) const override {
    const absl::Status status = owner_.Call("read", path_);
    if (!status.ok()) return status;
    return base_->Read(offset, buffer);
  }
  absl::Status Sync() override {
    const absl::Status status = owner_.Call("sync", path_);
    return status.ok() ? base_->Sync() : status;
  }
  absl::Status StartWriteback(int64_t offset, int64_t length) override {
    const absl::Status status = owner_.Call("writeback", path_);
    return status.ok() ? base_->StartWriteback(offset, length) : status;
  }
  absl::Status Truncate(int64_t size) override {
    const absl::Status status = owner_.Call("truncate", path_);
    return status.ok() ? base_->Truncate(size) : status;
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
    return status.ok() ? base_->SetMode(mode) : status;
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
  FaultyFileSystem& owner_;
  const std::unique_ptr<File> base_;
  const std::string path_;
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
    return status.ok() ? base_->MakeDirectory(path) : status;
  }
  absl::Status RemoveDirectory(const std::string& path) override {
    const absl::Status status = owner_.Call("rmdir", path);
    return status.ok() ? base_->RemoveDirectory(path) : status;
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("rename", to);
    return status.ok() ? base_->Rename(from, to) : status;
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    const absl::Status status = owner_.Call("exchange", b);
    return status.ok() ? base_->Exchange(a, b) : status;
  }
  absl::Status Link(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("link", to);
    return status.ok() ? base_->Link(from, to) : status;
  }
  absl::Status Clone(const std::string& from, const std::string& to) override {
    const absl::Status status = owner_.Call("clone", to);
    return status.ok() ? base_->Clone(from, to) : status;
  }
  absl::Status Unlink(const std::string& path) override {
    const absl::Status status = owner_.Call("unlink", path);
    return status.ok() ? base_->Unlink(path) : status;
  }
  absl::Status Sync(const std::string& path) override {
    const absl::Status status = owner_.Call("syncdir", path);
    return status.ok() ? base_->Sync(path) : status;
  }
  absl::StatusOr<int64_t> FreeBytes() override {
    const absl::Status status = owner_.Call("statfs", ".");
    if (!status.ok()) return status;
    return base_->FreeBytes();
  }

 private:
  FaultyFileSystem& owner_;
  const std::unique_ptr<Directory> base_;
};

}  // namespace

void FaultyFileSystem::set_plan(Plan plan) {
  const std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
}

void FaultyFileSystem::Reset() {
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

absl::Status FaultyFileSystem::Call(std::string_view operation, const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::string call = std::string(operation) + ' ' + path;
  const auto number = static_cast<int64_t>(calls_.size()) + 1;
  const int error = plan_ ? plan_(number, operation, path) : 0;
  calls_.push_back(error == 0 ? call : '!' + call);
  return error == 0 ? absl::OkStatus() : FileError(operation, path, error);
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
