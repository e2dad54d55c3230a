#include "client/examples/train_digits/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace ckpt::examples {
namespace {

TEST(ReadFile, ReturnsEveryByte) {
  const std::string path = testing::TempDir() + "read_file_test";
  for (const std::string& content : {std::string(), std::string("a\r\n\0\xff", 5)}) {
    std::ofstream(path, std::ios::binary) << content;
    const auto read = ReadFile(path);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, content);
  }
}

TEST(ReadFile, SaysWhatCannotBeRead) {
  for (const std::string path : {"/nowhere/file", "/"}) {
    const auto read = ReadFile(path);
    EXPECT_TRUE(absl::IsNotFound(read.status())) << path;
    EXPECT_THAT(std::string(read.status().message()), testing::HasSubstr(path));
  }
}

}  // namespace
}  // namespace ckpt::examples
