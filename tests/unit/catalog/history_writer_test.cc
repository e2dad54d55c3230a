#include "storage/history/history_writer.h"

#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"
#include "storage/history/history_rows.h"

namespace ckpt::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kLoss = 3;

std::vector<EventRow> Events(uint64_t from, uint64_t to, int rank = 0) {
  std::vector<EventRow> rows;
  for (uint64_t seq = from; seq <= to; ++seq) {
    EventRow& row = rows.emplace_back();
    row.rank = rank;
    row.record.mutable_event()->set_seq(seq);
    row.record.mutable_event()->add_metric_ids(kLoss);
    row.record.mutable_event()->add_values(static_cast<double>(seq));
  }
  return rows;
}

class HistoryWriterTest : public ::testing::Test {
 protected:
  void SetUp() override { index_ = Must(IndexDb::Open(dir_.options())); }

  // Each list is written in one batch.
  void Write(const std::vector<std::vector<EventRow>>& updates, std::string_view run = "r") {
    std::vector<RecordedEvents> lists;
    HistoryWriter writer;
    for (const auto& events : updates) {
      lists.push_back(Recorded(events));
      writer.Add(run, lists.back());
    }
    Batch batch = index_->NewBatch();
    Must(writer.Write(index_->View(), batch));
    Must(index_->Write(std::move(batch)));
  }

  // "first+events" of each block, with a * if it is sealed.
  std::vector<std::string> Blocks(uint32_t rank = 0) {
    std::vector<std::string> found;
    const ReadView view = index_->View();
    EventBlocks blocks(view, "r", rank);
    for (blocks.Seek(0); blocks.Valid(); blocks.Next()) {
      const DecodedEvents block = Must(blocks.Read());
      found.push_back(std::to_string(blocks.first_seq()) + "+" +
                      std::to_string(block.events.size()) + (block.sealed ? "*" : ""));
      const EventColumns all = Must(blocks.ReadAll());
      EXPECT_EQ(all.columns.at(0).values.size(), all.size());
    }
    EXPECT_TRUE(blocks.status().ok());
    return found;
  }

  size_t Rows(HistoryRow row) {
    std::string prefix = RunPrefix("r");
    prefix.push_back(static_cast<char>(row));
    size_t rows = 0;
    const ReadView view = index_->View();
    Cursor cursor = view.Scan(Table::kHistory, prefix);
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) ++rows;
    return rows;
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
};

TEST_F(HistoryWriterTest, GathersABatchInOneBlock) {
  Write({Events(1, 3), Events(4, 4), Events(5, 9)});
  Write({Events(10, 10)});
  EXPECT_THAT(Blocks(), ElementsAre("1+9", "10+1"));
  EXPECT_EQ(Rows(HistoryRow::kValues), 0U);
}

TEST_F(HistoryWriterTest, SealsWhatHasComeTogether) {
  Write({Events(1, 1000)});
  Write({Events(1001, 1023)});
  EXPECT_THAT(Blocks(), ElementsAre("1+1000", "1001+23"));
  Write({Events(1024, 1024)});
  EXPECT_THAT(Blocks(), ElementsAre("1+1024*"));
  EXPECT_EQ(Rows(HistoryRow::kValues), 1U);
  EXPECT_EQ(Rows(HistoryRow::kSummary), 1U);
  Write({Events(1025, 1025)});
  Write({Events(1026, 4000)});
  EXPECT_THAT(Blocks(), ElementsAre("1+1024*", "1025+1024*", "2049+1024*", "3073+928"));
  const HistoryState state = Must(ReadState(index_->View(), "r", 0));
  EXPECT_EQ(state.first_seq, 1U);
  EXPECT_EQ(state.last_seq, 4000U);
  EXPECT_EQ(state.sealed_seq, 3072U);
  EXPECT_EQ(state.tail_events, 928U);
}

TEST_F(HistoryWriterTest, SealsAtOnceWhatComesAtOnce) {
  Write({Events(1, 4096)});
  EXPECT_THAT(Blocks(), ElementsAre("1+1024*", "1025+1024*", "2049+1024*", "3073+1024*"));
  Write({Events(4097, 4097)});
  EXPECT_EQ(Blocks().back(), "4097+1");
}

TEST_F(HistoryWriterTest, PassesOverWhatIsRecorded) {
  Write({Events(5, 9)});
  Write({Events(3, 9)});
  Write({Events(8, 12), Events(11, 13)});
  EXPECT_THAT(Blocks(), ElementsAre("5+5", "10+4"));
  Write({Events(1, 1100)});
  EXPECT_THAT(Blocks(), ElementsAre("5+1024*", "1029+72"));
}

// A block of more metrics than a reader took was written, and the run could never be read again.
TEST_F(HistoryWriterTest, ABlockMayHaveAllMetricsOfARun) {
  constexpr uint32_t kMetrics = 16384;  // of one run at most, 1,024 of one event
  std::vector<EventRow> events = Events(1, 16);
  for (uint32_t id = 0; id < kMetrics; ++id) {
    v1::Event& event = *events[id / 1024].record.mutable_event();
    if (id % 1024 == 0) event.clear_metric_ids();
    if (id % 1024 == 0) event.clear_values();
    event.add_metric_ids(id);
    event.add_values(id);
  }
  const auto first_block = [&] {
    const ReadView view = index_->View();
    EventBlocks blocks(view, "r", 0);
    blocks.Seek(0);
    return Must(blocks.ReadAll());
  };
  Write({events});
  EXPECT_EQ(first_block().metrics.size(), kMetrics);
  Write({Events(17, 1100)});
  EXPECT_EQ(first_block().metrics.size(), kMetrics);
  EXPECT_EQ(first_block().size(), kSegmentEvents) << "sealed";
}

TEST_F(HistoryWriterTest, KeepsRunsAndRanksApart) {
  std::vector<EventRow> mixed = Events(1, 2, 0);
  for (EventRow& row : Events(1, 3, 1)) mixed.push_back(row);
  Write({mixed, Events(4, 4, 1)});
  Write({Events(1, 7)}, "rr");
  EXPECT_THAT(Blocks(0), ElementsAre("1+2"));
  EXPECT_THAT(Blocks(1), ElementsAre("1+4"));
  EXPECT_THAT(Blocks(2), IsEmpty());
}

TEST_F(HistoryWriterTest, ReportsDamage) {
  Write({Events(1, 1000)});
  const auto damage = [&](const std::string& key) {
    Batch batch = index_->NewBatch();
    batch.Put(Table::kHistory, key, kDamaged);
    Must(index_->Write(std::move(batch)));
    HistoryWriter writer;
    const RecordedEvents list = Recorded(Events(1001, 1100));
    writer.Add("r", list);
    Batch next = index_->NewBatch();
    return ckpt::ReasonOf(writer.Write(index_->View(), next));
  };
  std::string key = HistoryPrefix("r", HistoryRow::kEvents, 0);
  AppendU64(key, 1);
  EXPECT_EQ(damage(key), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(damage(HistoryPrefix("r", HistoryRow::kState, 0)), v1::ERROR_REASON_INDEX_DAMAGED);
}

}  // namespace
}  // namespace ckpt::storage
