// Who may include whom. The rules are those of the layout in README.md; what the compiler cannot
// check is checked here.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace ckpt {
namespace {

using Prefixes = std::vector<std::string_view>;

// Libraries that only some folders may know of.
struct LibraryRule {
  const char* library;
  Prefixes headers;
  Prefixes users;
};
const LibraryRule kLibraryRules[] = {
    {"RocksDB", {"rocksdb/"}, {"storage/catalog/", "storage/history/"}},
    {"gRPC", {"grpc/", "grpcpp/"}, {"server/rpc/", "client/cpp/src/"}},
    {"Asio",
     {"boost/asio", "boost/beast"},
     {"server/run/", "server/local/", "server/http/", "server/main"}},
};

// What of this project a folder may include. The first rule whose folder holds the file counts.
struct FolderRule {
  std::string_view folder;
  Prefixes includes;
};
const FolderRule kFolderRules[] = {
    {"server/policy/",
     {"server/policy/", "storage/base/", "ckpt/v1/policy.pb.h", "ckpt/v1/resources.pb.h",
      "ckpt/v1/errors.pb.h"}},
    {"server/", {"server/", "storage/", "ckpt/v1/"}},
    {"storage/base/", {"storage/base/", "ckpt/v1/"}},
    {"storage/", {"storage/", "ckpt/v1/"}},
    {"client/", {"client/", "ckpt/", "storage/base/"}},
};
const Prefixes kProject = {"server/", "storage/", "client/", "tests/", "ckpt/"};

bool StartsWithAny(std::string_view text, const Prefixes& prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return text.starts_with(prefix); });
}

bool IsHeaderOf(const LibraryRule& rule, std::string_view header) {
  const bool service_stub = header.ends_with(".grpc.pb.h");
  return StartsWithAny(header, rule.headers) ||
         (service_stub && std::string_view(rule.library) == "gRPC");
}

// Why `file` may not include `header`; empty if it may.
std::string Violation(std::string_view file, std::string_view header) {
  for (const LibraryRule& rule : kLibraryRules) {
    if (IsHeaderOf(rule, header) && !StartsWithAny(file, rule.users)) {
      return std::string("only some folders may use ") + rule.library;
    }
  }
  if (!StartsWithAny(header, kProject)) return "";
  for (const FolderRule& rule : kFolderRules) {
    if (!file.starts_with(rule.folder)) continue;
    if (StartsWithAny(header, rule.includes)) return "";
    return "not allowed in " + std::string(rule.folder);
  }
  return "no rule for this folder";
}

std::vector<std::string> IncludesOf(const std::filesystem::path& path) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"].*)");
  std::vector<std::string> headers;
  std::ifstream file(path);
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (std::regex_match(line, match, include)) headers.push_back(match[1]);
  }
  return headers;
}

TEST(IncludeRulesTest, HoldInTheTree) {
  const std::filesystem::path root = CKPT_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"server", "storage", "client"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      const std::string file = entry.path().lexically_relative(root);
      for (const std::string& header : IncludesOf(entry.path())) {
        EXPECT_EQ(Violation(file, header), "") << file << " includes " << header;
      }
      ++files;
    }
  }
  EXPECT_GT(files, 0);
}

TEST(IncludeRulesTest, Rules) {
  const struct {
    const char* file;
    const char* header;
    bool allowed;
  } cases[] = {
      {"storage/catalog/index_db.cc", "rocksdb/db.h", true},
      {"storage/history/blocks.cc", "rocksdb/db.h", true},
      {"storage/checkpoint_store.cc", "rocksdb/db.h", false},
      {"server/run/run_actor.cc", "rocksdb/db.h", false},
      {"server/rpc/training_service.h", "ckpt/v1/training_service.grpc.pb.h", true},
      {"client/cpp/src/channel.cc", "grpcpp/grpcpp.h", true},
      {"client/cpp/include/ckpt/run.h", "grpcpp/grpcpp.h", false},
      {"client/ckptctl/main.cc", "ckpt/v1/admin_service.grpc.pb.h", false},
      {"server/run/run_actor.cc", "grpcpp/grpcpp.h", false},
      {"storage/base/errors.cc", "grpc/grpc.h", false},
      {"server/main.cc", "boost/asio/io_context.hpp", true},
      {"server/http/router.cc", "boost/beast/http.hpp", true},
      {"server/rpc/upload.cc", "boost/asio/post.hpp", false},
      {"server/policy/decide.cc", "boost/asio/post.hpp", false},
      {"storage/fs/file.cc", "boost/asio/post.hpp", false},
      {"client/cpp/src/run.cc", "server/policy/decide.h", false},
      {"server/run/run_actor.cc", "ckpt/run.h", false},
      {"server/run/run_actor.cc", "client/cpp/src/run.h", false},
      {"client/cpp/src/run.cc", "storage/base/errors.h", true},
      {"client/cpp/src/run.cc", "storage/checkpoint_store.h", false},
      {"storage/catalog/catalog.cc", "server/policy/decide.h", false},
      {"storage/base/errors.cc", "storage/fs/file.h", false},
      {"server/policy/decide.h", "ckpt/v1/policy.pb.h", true},
      {"server/policy/decide.h", "ckpt/v1/training_service.pb.h", false},
      {"server/policy/decide.h", "storage/checkpoint_store.h", false},
      {"server/policy/decide.h", "server/run/run_state.h", false},
      {"server/policy/decide.cc", "storage/base/errors.h", true},
      {"server/run/run_actor.cc", "tests/unit/policy/trainer.h", false},
      {"server/run/run_actor.cc", "vector", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Violation(c.file, c.header).empty(), c.allowed) << c.file << " " << c.header;
  }
}

}  // namespace
}  // namespace ckpt
