// What a program can do by itself to have bytes on the disk: the baselines of `persist` and
// `peers`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ckpt::bench {

enum class RawWriter {
  kNaive,      // write, 1 MiB at a time
  kPaced,      // the same, with write-back begun behind it
  kDirect,     // O_DIRECT, two threads, 4 MiB at a time, into reserved space
  kDontCache,  // RWF_DONTCACHE, 4 MiB at a time, into reserved space
};

// Bytes at an address that O_DIRECT takes.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::string_view bytes);
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  struct Free {
    void operator()(char* bytes) const;
  };
  size_t size_;
  std::unique_ptr<char, Free> bytes_;
};

// Seconds until `bytes`, whose address and size are aligned, are in the new file `path`, synced
// with fdatasync; the file is removed afterwards. Nothing where the kernel or the file system does
// not know the way. Ends the program when the disk fails.
std::optional<double> TimeToWrite(RawWriter writer, const std::string& path,
                                  std::string_view bytes);

// Puts a file with `bytes` in the place of `path`, as careful programs do it: writes another one,
// 1 MiB at a time, fdatasync, rename, fsync of the folder. Ends the program when the disk fails.
void ReplaceFile(const std::string& path, std::string_view bytes);

}  // namespace ckpt::bench
