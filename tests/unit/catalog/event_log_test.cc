#include "storage/history/event_log.h"

#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

EventRow MakeEvent(int rank, uint64_t seq, size_t bytes = 0) {
  EventRow row;
  row.rank = rank;
  row.record.mutable_event()->set_seq(seq);
  row.record.mutable_event()->set_staged_upload(std::string(bytes, 's'));
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
    AppendEvents(run, events, batch);
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
  Append("r", {MakeEvent(0, 300), MakeEvent(0, 2), MakeEvent(1, 1), MakeEvent(0, 1)});
  Append("rr", {MakeEvent(0, 7)});
  EXPECT_THAT(SeqsOf(Find(0, 100)), ElementsAre(1, 2, 300));
  EXPECT_THAT(SeqsOf(Find(1, 100)), ElementsAre(1));
  EXPECT_THAT(SeqsOf(Find(2, 100)), IsEmpty());

  const EventPage first = Find(0, 2);
  EXPECT_THAT(SeqsOf(first), ElementsAre(1, 2));
  Append("r", {MakeEvent(0, 4)});
  const EventPage second = Find(0, 2, first.next_page_token);
  EXPECT_THAT(SeqsOf(second), ElementsAre(4, 300));
  EXPECT_EQ(second.next_page_token, "");
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
  Append("r", {MakeEvent(0, 1)});
  Batch batch = index_->NewBatch();
  batch.Put(Table::kEvents, EventKey("r", 0, 2), kDamaged);
  Must(index_->Write(std::move(batch)));
  EXPECT_EQ(ReasonOf(FindEvents(index_->View(), "r", 0, 10, "")), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(ReasonOf(FindEvent(index_->View(), "r", 0, 2)), v1::ERROR_REASON_INDEX_DAMAGED);
}

}  // namespace
}  // namespace ckpt::storage
