#include "tests/unit/storage/testing/temp_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "storage/fs/posix_file_system.h"

namespace ckpt::storage {

namespace fs = std::filesystem;

TempDir::TempDir() : TempDir(testing::TempDir()) {}

TempDir::TempDir(const std::string& parent) : path_(fs::path(parent) / "ckpt-storage-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder at " << path_;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TempDir::operator/(std::string_view name) const {
  return path_ + '/' + std::string(name);
}

std::unique_ptr<Directory> TempDir::Open() const {
  PosixFileSystem file_system;
  auto directory = file_system.OpenDirectory(path_);
  if (!directory.ok()) ADD_FAILURE() << directory.status();
  return directory.ok() ? *std::move(directory) : nullptr;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "(missing)";
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  if (fs::exists(path)) fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  if (!file.flush()) ADD_FAILURE() << "cannot write " << path;
}

std::vector<std::string> FilesBelow(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    files.push_back(entry.path().lexically_relative(path));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Bytes(size_t size, int seed) {
  constexpr size_t kPiece = 1 << 16;
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  std::string piece(std::min(size, kPiece), '\0');
  for (char& byte : piece) byte = static_cast<char>(random());
  std::string bytes;
  bytes.reserve(size + kPiece);
  for (uint64_t index = 0; bytes.size() < size; ++index) {
    const size_t begin = bytes.size();
    bytes += piece;
    for (size_t i = 0; i < std::min(piece.size(), sizeof index); ++i) {
      bytes[begin + i] = static_cast<char>(bytes[begin + i] ^ static_cast<char>(index >> (8 * i)));
    }
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace ckpt::storage
