#include "client/examples/train_digits/read_file.h"

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace ckpt::examples {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file.is_open() || file.bad() || content.fail()) {
    return absl::NotFoundError(fmt::format("{}: cannot be read", path));
  }
  return std::move(content).str();
}

}  // namespace ckpt::examples
