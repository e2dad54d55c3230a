#include "client/ckptctl/row_writer.h"

#include <gtest/gtest.h>

#include <sstream>

namespace ckpt::ctl {
namespace {

TEST(TableWriterTest, AlignsAndEscapes) {
  std::ostringstream out;
  const auto table = MakeTableWriter(out, {"RUN", "EPOCH", "FILE"});
  table->Write({"größe", "3", "a\nb"});
  table->Write({"a-longer-name", "12", ""});
  table->Finish();
  EXPECT_EQ(out.str(),
            "RUN            EPOCH  FILE\n"
            "größe          3      a\\nb\n"
            "a-longer-name  12\n");
}

TEST(TableWriterTest, ALongListComesInPieces) {
  std::ostringstream out;
  const auto table = MakeTableWriter(out, {"N"});
  for (int i = 0; i < 2500; ++i) table->Write({std::to_string(i)});
  EXPECT_NE(out.str().find("1998\n"), std::string::npos) << "not everything is held back";
  table->Finish();
  EXPECT_TRUE(out.str().ends_with("2499\n"));
  EXPECT_EQ(out.str().find('N'), 0u);
  EXPECT_EQ(out.str().rfind('N'), 0u) << "one header";
}

TEST(CsvWriterTest, QuotesWhatNeedsIt) {
  std::ostringstream out;
  const auto csv = MakeCsvWriter(out, {"a", "b"});
  csv->Write({"plain", "with, comma"});
  csv->Write({"say \"hi\"", "two\nlines"});
  csv->Finish();
  EXPECT_EQ(out.str(),
            "a,b\n"
            "plain,\"with, comma\"\n"
            "\"say \"\"hi\"\"\",\"two\nlines\"\n");
}

}  // namespace
}  // namespace ckpt::ctl
