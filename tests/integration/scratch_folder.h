// A temporary folder of one test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace ckpt::integration {

// Created empty, removed with all its content. With a short `parent` its path is short enough for
// Unix sockets in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& parent = "/tmp")
      : path_(parent + "/ckptd-test.XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  // The path of `name` in the folder.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace ckpt::integration
