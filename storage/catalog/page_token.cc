#include "storage/catalog/page_token.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

constexpr char kVersion = 1;
constexpr int kDefaultRows = 100;
constexpr int kMaxRows = 1000;

std::string Digest(Question question, std::string_view position) {
  std::string bytes;
  for (const std::string_view text : question) {
    AppendU64(bytes, text.size());  // so that no two questions run together to the same bytes
    bytes.append(text);
  }
  return BlockDigest(bytes.append(position));
}

}  // namespace

std::string MakePageToken(Question question, std::string_view position) {
  std::string bytes(1, kVersion);
  bytes.append(Digest(question, position)).append(position);
  return absl::WebSafeBase64Escape(bytes);
}

absl::StatusOr<std::string> ReadPageToken(Question question, std::string_view token) {
  if (token.empty()) return std::string();
  std::string bytes;
  if (!absl::WebSafeBase64Unescape({token.data(), token.size()}, &bytes)) {
    return PageTokenInvalid();
  }
  const std::string_view view = bytes;
  if (view.size() <= 1 + kU64Bytes || view[0] != kVersion) return PageTokenInvalid();
  const std::string_view position = view.substr(1 + kU64Bytes);
  if (view.substr(1, kU64Bytes) != Digest(question, position)) return PageTokenInvalid();
  return std::string(position);
}

int PageRows(int page_size) {
  return page_size <= 0 ? kDefaultRows : std::min(page_size, kMaxRows);
}

}  // namespace ckpt::storage
