// Uploads: one part through any sequence of appends, wrong and right ends, reopenings and
// discards, beside a model of what must be there. Input: two bytes a step, what and how much.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "storage/base/digest.h"
#include "storage/blob/layout.h"
#include "storage/blob/staging.h"
#include "storage/fs/folders.h"
#include "storage/fs/posix_file_system.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace {

using ckpt::fuzz::Check;
using namespace ckpt::storage;  // NOLINT(google-build-using-namespace): its subject

constexpr size_t kMaxSteps = 24;

std::string Digest(const std::string& bytes) {
  ckpt::StreamDigest digest;
  digest.Update(bytes);
  return digest.Whole();
}

class Model {
 public:
  explicit Model(Directory& root) : root_(root) { Reopen(); }

  void Step(uint8_t what, uint8_t much) {
    switch (what % 6) {
      case 0:
        return Append(much);
      case 1:
        return FinishWell();
      case 2:
        return FinishBadly(much);
      case 3:
        return Reopen();
      case 4:
        Check(writer_->Restart().ok(), "a part can always be begun again");
        bytes_.clear();
        finished_ = false;
        return;
      default:
        Check(staging_->Discard(SaveFolderName("r", "1", "")).ok(), "discarding is harmless");
        return Reopen();
    }
  }

 private:
  // As after a restart of the daemon: only what was finished must be there.
  void Reopen() {
    writer_.reset();
    staging_ = std::make_unique<Staging>(root_);
    auto writer = staging_->OpenPart({.run = "r", .save = "1"});
    Check(writer.ok(), "a free part can be opened");
    writer_ = *std::move(writer);
    Check(writer_->offset() <= static_cast<int64_t>(bytes_.size()), "nothing is made up");
    finished_ = writer_->finished().has_value();
    bytes_.resize(static_cast<size_t>(writer_->offset()));
  }

  void Append(uint8_t much) {
    const std::string piece(static_cast<size_t>(much) * 64 + 1, static_cast<char>('a' + much % 26));
    const std::string_view view = piece;
    const bool taken = writer_->Append({&view, 1}).ok();
    Check(taken != finished_, "an open part takes bytes, a finished one does not");
    if (taken) bytes_ += piece;
    Check(writer_->offset() == static_cast<int64_t>(bytes_.size()), "the offset is the size");
  }

  void FinishWell() {
    const auto part = writer_->Finish(static_cast<int64_t>(bytes_.size()), Digest(bytes_));
    Check(part.ok(), "the right end is accepted");
    Check(part->xxh3_128() == Digest(bytes_), "the digest is that of the bytes");
    finished_ = true;
    Reopen();
    Check(finished_, "what is finished stays finished");
  }

  void FinishBadly(uint8_t much) {
    const bool size = much % 2 == 0;
    const auto claimed = static_cast<int64_t>(bytes_.size()) + (size ? 1 + much : 0);
    const auto part = writer_->Finish(claimed, size ? Digest(bytes_) : Digest(bytes_ + "x"));
    Check(!part.ok(), "a wrong end is refused");
    if (!size) {
      bytes_.clear();
      finished_ = false;
    }
    Check(writer_->offset() == static_cast<int64_t>(bytes_.size()), "a wrong size changes nothing");
  }

  Directory& root_;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<PartWriter> writer_;
  std::string bytes_;
  bool finished_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir& folder = *new TempDir();
  static PosixFileSystem& files = *new PosixFileSystem();
  static Directory& root = *files.OpenDirectory(folder.path())->release();
  Check(RemoveTree(root, kStagingFolder).ok() && EnsureFolder(root, kStagingFolder).ok(),
        "the folder can be made anew");
  Model model(root);
  for (size_t i = 0; i + 1 < std::min(size, 2 * kMaxSteps); i += 2)
    model.Step(data[i], data[i + 1]);
  return 0;
}
