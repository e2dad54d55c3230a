#include "storage/catalog/rows.h"

#include "catalog_testing.h"
#include "ckpt/v1/resources.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::HasSubstr;

TEST(Rows, ParsesWhatWasSerialised) {
  v1::Run run;
  run.set_epoch(7);
  EXPECT_EQ(Must(ParseRow<v1::Run>(Table::kRuns, "k", run.SerializeAsString())).epoch(), 7);
}

TEST(Rows, NamesTheDamagedRow) {
  const auto row = ParseRow<v1::Run>(Table::kRuns, "k1", kDamaged);
  EXPECT_EQ(ReasonOf(row), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_THAT(std::string(MessageOf(row.status())), HasSubstr("row 6b31 of 'runs' is damaged"));
}

TEST(Rows, ReadsFromViewsAndBatches) {
  const TempDir dir;
  const std::unique_ptr<IndexDb> index = Must(IndexDb::Open(dir.options()));
  v1::Run run;
  run.set_epoch(7);
  Batch batch = index->NewBatch();
  batch.Put(Table::kRuns, "k", run.SerializeAsString());
  EXPECT_EQ(Must(ReadRow<v1::Run>(batch, Table::kRuns, "k"))->epoch(), 7);
  EXPECT_FALSE(Must(ReadRow<v1::Run>(index->View(), Table::kRuns, "k")).has_value());
  batch.Put(Table::kRuns, "damaged", kDamaged);
  EXPECT_EQ(ReasonOf(ReadRow<v1::Run>(batch, Table::kRuns, "damaged")),
            v1::ERROR_REASON_INDEX_DAMAGED);
}

}  // namespace
}  // namespace ckpt::storage
