#include "storage/fs/copy_file.h"

#include <memory>
#include <string_view>
#include <utility>

#include "storage/fs/sequential_writer.h"

namespace ckpt::storage {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

}  // namespace

absl::Status CopyFile(Directory& source, const std::string& from, Directory& target,
                      const std::string& to, int mode) {
  const auto file = source.Open(from, OpenMode::kRead);
  if (!file.ok()) return file.status();
  auto copy = target.Open(to, OpenMode::kCreate);
  if (!copy.ok()) return copy.status();
  if (absl::Status status = (*copy)->SetMode(mode); !status.ok()) return status;
  SequentialWriter writer(*std::move(copy), 0);
  std::string buffer(kPieceBytes, '\0');
  for (;;) {
    const auto got = (*file)->Read(writer.offset(), buffer);
    if (!got.ok()) return got.status();
    if (*got == 0) return writer.Sync();
    const std::string_view piece(buffer.data(), static_cast<size_t>(*got));
    if (absl::Status status = writer.Append({&piece, 1}); !status.ok()) return status;
  }
}

}  // namespace ckpt::storage
