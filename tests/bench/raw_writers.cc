#include "tests/bench/raw_writers.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "storage/base/unique_fd.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr size_t kSmallBlock = 1 << 20;
constexpr size_t kLargeBlock = 4 << 20;
constexpr size_t kAlignment = 4096;
constexpr int kDontCacheFlag = 0x80;  // RWF_DONTCACHE, Linux 6.14

bool IsRefusal(int error) { return error == EINVAL || error == EOPNOTSUPP; }

void Check(bool done, const char* call) {
  if (!done) Fail(std::string(call) + ": " + std::strerror(errno));
}

// Writes the block at `offset`; false when the way is not known here.
bool WriteBlock(int file, std::string_view bytes, size_t offset, size_t size, int flags) {
  const std::string_view block = bytes.substr(offset, size);
  size_t done = 0;
  while (done < block.size()) {
    const iovec data{const_cast<char*>(block.data()) + done, block.size() - done};
    const ssize_t written = pwritev2(file, &data, 1, static_cast<off_t>(offset + done), flags);
    if (written < 0 && IsRefusal(errno)) return false;
    Check(written >= 0, "write");
    done += static_cast<size_t>(written);
  }
  return true;
}

bool WriteInOrder(int file, std::string_view bytes, size_t block, int flags, bool paced) {
  for (size_t offset = 0; offset < bytes.size(); offset += block) {
    if (!WriteBlock(file, bytes, offset, block, flags)) return false;
    if (paced) {
      sync_file_range(file, static_cast<off_t>(offset), static_cast<off_t>(block),
                      SYNC_FILE_RANGE_WRITE);
    }
  }
  return true;
}

bool WriteByTwo(int file, std::string_view bytes) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> known = true;
  const auto work = [&] {
    for (size_t at = next.fetch_add(kLargeBlock); at < bytes.size() && known;
         at = next.fetch_add(kLargeBlock)) {
      if (!WriteBlock(file, bytes, at, kLargeBlock, 0)) known = false;
    }
  };
  std::thread other(work);
  work();
  other.join();
  return known;
}

}  // namespace

AlignedBytes::AlignedBytes(std::string_view bytes)
    : size_(bytes.size() / kAlignment * kAlignment),
      bytes_(static_cast<char*>(std::aligned_alloc(kAlignment, size_))) {
  std::memcpy(bytes_.get(), bytes.data(), size_);
}

void AlignedBytes::Free::operator()(char* bytes) const { std::free(bytes); }

std::optional<double> TimeToWrite(RawWriter writer, const std::string& path,
                                  std::string_view bytes) {
  const int direct = writer == RawWriter::kDirect ? O_DIRECT : 0;
  const double begin = Now();
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | direct, 0600));
  if (!file.valid()) return std::nullopt;
  const bool reserves = writer == RawWriter::kDirect || writer == RawWriter::kDontCache;
  bool known = !reserves || posix_fallocate(file.get(), 0, static_cast<off_t>(bytes.size())) == 0;
  if (known) {
    switch (writer) {
      case RawWriter::kNaive:
        known = WriteInOrder(file.get(), bytes, kSmallBlock, 0, false);
        break;
      case RawWriter::kPaced:
        known = WriteInOrder(file.get(), bytes, kSmallBlock, 0, true);
        break;
      case RawWriter::kDirect:
        known = WriteByTwo(file.get(), bytes);
        break;
      case RawWriter::kDontCache:
        known = WriteInOrder(file.get(), bytes, kLargeBlock, kDontCacheFlag, false);
        break;
    }
  }
  if (known) Check(fdatasync(file.get()) == 0, "fdatasync");
  const double seconds = Now() - begin;
  unlink(path.c_str());
  return known ? std::optional(seconds) : std::nullopt;
}

void ReplaceFile(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    const UniqueFd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    Check(file.valid(), "open");
    WriteInOrder(file.get(), bytes, kSmallBlock, 0, /*paced=*/false);
    Check(fdatasync(file.get()) == 0, "fdatasync");
  }
  Check(rename(temporary.c_str(), path.c_str()) == 0, "rename");
  const std::string folder = std::filesystem::path(path).parent_path();
  const UniqueFd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Check(directory.valid() && fsync(directory.get()) == 0, "fsync");
}

}  // namespace ckpt::bench
