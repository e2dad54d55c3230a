// The program in README.md is the one that is compiled.
#include <gtest/gtest.h>

#include <string>

#include "client/examples/train_digits/read_file.h"

namespace ckpt::examples {
namespace {

TEST(Readme, ShowsTheMinimalTrainerAsItIs) {
  const auto readme = ReadFile(SOURCE_DIR "/README.md");
  const auto program = ReadFile(SOURCE_DIR "/client/examples/minimal.cc");
  ASSERT_TRUE(readme.ok() && program.ok());
  const std::string code = program->substr(program->find("#include"));
  EXPECT_NE(readme->find("```cpp\n" + code + "```\n"), std::string::npos)
      << "copy client/examples/minimal.cc, from its first #include on, into README.md";
}

}  // namespace
}  // namespace ckpt::examples
