#include "storage/history/event_log.h"

#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"
#include "storage/history/history_writer.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// With a stage of `bytes` bytes it has a row of its own.
EventRow MakeEvent(int rank, uint64_t seq, size_t bytes = 0) {
  EventRow row;
  row.rank = rank;
  row.record.mutable_event()->set_seq(seq);
  row.record.mutable_event()->set_staged_upload(std::string(bytes, 's'));
  return row;
}

EventRow WithMetric(EventRow row) {
  row.record.mutable_event()->add_metric_ids(7);
  row.record.mutable_event()->add_values(1.0 / static_cast<double>(row.record.event().seq()));
  return row;
}

std::vector<uint64_t> SeqsOf(const EventPage& page) {
  std::vector<uint64_t> seqs;
  for (const v1::EventRecord& record : page.events) seqs.push_back(record.event().seq());
  return seqs;
}

class EventLogTest : public ::testing::Test {
 protected:
  void SetUp() override { index_ = Must(IndexDb::Open(dir_.options())); }

  void Append(std::string_view run, const std::vector<EventRow>& events) {
    Batch batch = index_->NewBatch();
    const RecordedEvents list = Recorded(events);
    PutEventRows(run, list, batch);
    HistoryWriter history;
    history.Add(run, list);
    Must(history.Write(index_->View(), batch));
    Must(index_->Write(std::move(batch)));
  }

  // As the first ckptd did.
  void AppendRow(const EventRow& row) {
    Batch batch = index_->NewBatch();
    batch.Put(Table::kEvents, EventKey("r", row.rank, row.record.event().seq()),
              row.record.SerializeAsString());
    Must(index_->Write(std::move(batch)));
  }

  EventPage Find(int rank, int page_size, std::string_view token = "") {
    return Must(FindEvents(index_->View(), "r", rank, page_size, token));
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
};

TEST_F(EventLogTest, KeepsRecordsAsGiven) {
  EventRow row = MakeEvent(1, 3);
  row.record.mutable_event()->add_metric_ids(7);
  row.record.mutable_event()->add_values(0.5);
  row.record.mutable_decision()->set_quiet_batches(9);
  Append("r", {row});
  const auto record = Must(FindEvent(index_->View(), "r", 1, 3));
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->SerializeAsString(), row.record.SerializeAsString());
  EXPECT_FALSE(Must(FindEvent(index_->View(), "r", 0, 3)).has_value());
  EXPECT_FALSE(Must(FindEvent(index_->View(), "r", 1, 4)).has_value());
  EXPECT_FALSE(Must(FindEvent(index_->View(), "q", 1, 3)).has_value());
  EXPECT_FALSE(Must(FindEvent(index_->View(), std::string_view("r\0", 2), 1, 3)).has_value());
}

TEST_F(EventLogTest, PagesBySequenceNumberOfOneRank) {
  Append("r", {MakeEvent(0, 1), MakeEvent(1, 1), MakeEvent(0, 2, 1)});
  Append("rr", {MakeEvent(0, 7)});
  EXPECT_THAT(SeqsOf(Find(0, 100)), ElementsAre(1, 2));
  EXPECT_THAT(SeqsOf(Find(1, 100)), ElementsAre(1));
  EXPECT_THAT(SeqsOf(Find(2, 100)), IsEmpty());

  const EventPage first = Find(0, 1);
  EXPECT_THAT(SeqsOf(first), ElementsAre(1));
  Append("r", {MakeEvent(0, 4), MakeEvent(0, 300)});
  const EventPage second = Find(0, 2, first.next_page_token);
  EXPECT_THAT(SeqsOf(second), ElementsAre(2, 4));
  const EventPage third = Find(0, 2, second.next_page_token);
  EXPECT_THAT(SeqsOf(third), ElementsAre(300));
  EXPECT_EQ(third.next_page_token, "");
}

// Over sealed segments, the tail, and events with rows of their own in each.
TEST_F(EventLogTest, EveryEventIsThereOnceWhereverItIsKept) {
  AppendRow(WithMetric(MakeEvent(0, 1)));
  AppendRow(WithMetric(MakeEvent(0, 2)));
  std::vector<EventRow> events;
  for (uint64_t seq = 3; seq <= 2500; ++seq) {
    EventRow& row = events.emplace_back(WithMetric(MakeEvent(0, seq)));
    if (seq % 500 == 0) row.record.mutable_decision()->set_quiet_batches(static_cast<int64_t>(seq));
  }
  Append("r", events);
  std::vector<EventRow> more = {WithMetric(MakeEvent(0, 2501)), WithMetric(MakeEvent(0, 2502, 4))};
  Append("r", more);
  uint64_t expected = 0;
  std::string token;
  do {
    const EventPage page = Find(0, 333, token);
    for (const v1::EventRecord& record : page.events) {
      ASSERT_EQ(record.event().seq(), ++expected);
      ASSERT_EQ(record.event().values(0), 1.0 / static_cast<double>(expected));
      EXPECT_EQ(record.decision().quiet_batches(),
                expected > 2 && expected <= 2500 && expected % 500 == 0
                    ? static_cast<int64_t>(expected)
                    : 0);
    }
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_EQ(expected, 2502U);
  for (const uint64_t seq : {1, 2, 3, 500, 1026, 1027, 2051, 2500, 2501, 2502}) {
    const auto record = Must(FindEvent(index_->View(), "r", 0, seq));
    ASSERT_TRUE(record.has_value()) << seq;
    EXPECT_EQ(record->event().seq(), seq);
    EXPECT_EQ(record->event().values_size(), 1);
  }
  EXPECT_FALSE(Must(FindEvent(index_->View(), "r", 0, 2503)).has_value());
  EXPECT_EQ(Must(FindEvent(index_->View(), "r", 0, 2502))->event().staged_upload(), "ssss");
}

TEST_F(EventLogTest, TokensBelongToRunAndRank) {
  Append("r", {MakeEvent(0, 1), MakeEvent(0, 2)});
  const std::string token = Find(0, 1).next_page_token;
  ASSERT_NE(token, "");
  for (const auto& [run, rank] : {std::pair{"r", 1}, std::pair{"q", 0}}) {
    EXPECT_EQ(ReasonOf(FindEvents(index_->View(), run, rank, 1, token)),
              v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  }
}

TEST_F(EventLogTest, PagesAreBoundedInBytes) {
  for (uint64_t seq = 1; seq <= 5; ++seq) Append("r", {MakeEvent(0, seq, 900 << 10)});
  Append("r", {MakeEvent(0, 6, 3 << 20)});
  std::vector<std::vector<uint64_t>> pages;
  std::string token;
  do {
    const EventPage page = Find(0, 100, token);
    pages.push_back(SeqsOf(page));
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_THAT(pages,
              ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4), ElementsAre(5), ElementsAre(6)));
}

TEST_F(EventLogTest, ReportsDamage) {
  const auto damage = [&](Table table, const std::string& key) {
    Batch batch = index_->NewBatch();
    batch.Put(table, key, kDamaged);
    Must(index_->Write(std::move(batch)));
  };
  Append("r", {MakeEvent(0, 1)});
  damage(Table::kEvents, EventKey("r", 0, 2));
  EXPECT_EQ(ReasonOf(FindEvents(index_->View(), "r", 0, 10, "")), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(ReasonOf(FindEvent(index_->View(), "r", 0, 2)), v1::ERROR_REASON_INDEX_DAMAGED);
  Append("r", {MakeEvent(1, 1)});
  std::string block = HistoryPrefix("r", HistoryRow::kEvents, 1);
  AppendU64(block, 1);
  damage(Table::kHistory, block);
  EXPECT_EQ(ReasonOf(FindEvents(index_->View(), "r", 1, 10, "")), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(ReasonOf(FindEvent(index_->View(), "r", 1, 1)), v1::ERROR_REASON_INDEX_DAMAGED);
}

}  // namespace
}  // namespace ckpt::storage
