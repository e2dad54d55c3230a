#include "storage/history/history_rows.h"

#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"
#include "storage/history/history_writer.h"

namespace ckpt::storage {
namespace {

class HistoryRowsTest : public ::testing::Test {
 protected:
  // A sealed segment from 11 on, and two blocks behind it, after gaps.
  void SetUp() override {
    index_ = Must(IndexDb::Open(dir_.options()));
    Write(11, kSegmentEvents);
    Write(2001, 5);
    Write(3001, 5);
  }

  void Write(uint64_t first, size_t count) {
    std::vector<EventRow> rows(count);
    for (size_t i = 0; i < count; ++i) {
      rows[i].record.mutable_event()->set_seq(first + i);
      rows[i].record.mutable_event()->add_metric_ids(1);
      rows[i].record.mutable_event()->add_values(0.5);
    }
    const RecordedEvents list = Recorded(rows);
    HistoryWriter writer;
    writer.Add("r", list);
    Batch batch = index_->NewBatch();
    Must(writer.Write(index_->View(), batch));
    Must(index_->Write(std::move(batch)));
  }

  void Put(std::string prefix, uint64_t seq, std::string_view value) {
    AppendU64(prefix, seq);
    Batch batch = index_->NewBatch();
    batch.Put(Table::kHistory, prefix, value);
    Must(index_->Write(std::move(batch)));
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
};

TEST_F(HistoryRowsTest, SeeksTheBlockOfAnEvent) {
  const ReadView view = index_->View();
  EventBlocks blocks(view, "r", 0);
  const std::vector<std::pair<uint64_t, uint64_t>> cases = {
      {0, 11}, {1, 11}, {11, 11}, {1034, 11}, {1500, 11}, {2001, 2001}, {2003, 2001}, {9999, 3001}};
  for (const auto& [seq, first] : cases) {
    blocks.Seek(seq);
    ASSERT_TRUE(blocks.Valid());
    EXPECT_EQ(blocks.first_seq(), first) << seq;
  }
  blocks.Prev();
  blocks.Prev();
  EXPECT_EQ(Must(blocks.ReadAll()).columns.at(0).values.size(), kSegmentEvents);
  blocks.Prev();
  EXPECT_FALSE(blocks.Valid());
  EventBlocks others(view, "r", 1);
  others.Seek(5);
  EXPECT_FALSE(others.Valid());
}

TEST_F(HistoryRowsTest, StatesAreKept) {
  const HistoryState state = Must(ReadState(index_->View(), "r", 0));
  EXPECT_EQ(state.first_seq, 11U);
  EXPECT_EQ(state.last_seq, 3005U);
  EXPECT_EQ(state.sealed_seq, 1034U);
  EXPECT_EQ(state.tail_events, 10U);
  EXPECT_EQ(Must(ReadState(index_->View(), "r", 1)).last_seq, 0U);
}

TEST_F(HistoryRowsTest, ReportsDamage) {
  const auto read = [&](uint64_t seq) {
    const ReadView view = index_->View();
    EventBlocks blocks(view, "r", 0);
    blocks.Seek(seq);
    return ReasonOf(blocks.ReadAll());
  };
  EXPECT_EQ(read(11), v1::ERROR_REASON_UNSPECIFIED);
  Put(SeriesPrefix("r", HistoryRow::kValues, 0, 1), 11, kDamaged);
  EXPECT_EQ(read(11), v1::ERROR_REASON_INDEX_DAMAGED);
  const std::string prefix = HistoryPrefix("r", HistoryRow::kEvents, 0);
  Put(prefix, 2001, kDamaged);
  EXPECT_EQ(read(2001), v1::ERROR_REASON_INDEX_DAMAGED);
  EventColumns other;
  other.Add({.seq = 5});
  Put(prefix, 3001, EncodeEvents(other, /*sealed=*/false));
  EXPECT_EQ(read(3001), v1::ERROR_REASON_INDEX_DAMAGED) << "a block under the key of another one";
}

}  // namespace
}  // namespace ckpt::storage
