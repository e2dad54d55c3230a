#include "storage/catalog/ranking.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ranked = std::vector<std::pair<double, uint64_t>>;

class RankingTest : public ::testing::Test {
 protected:
  void SetUp() override { index_ = Must(IndexDb::Open(dir_.options())); }

  void Put(std::string_view run, std::string_view metric, const Ranked& rows) {
    Batch batch = index_->NewBatch();
    for (const auto& [value, id] : rows) {
      batch.Put(Table::kRanking, RankingKey(run, metric, value, id), "");
    }
    Must(index_->Write(std::move(batch)));
  }

  void PutRow(Table table, std::string_view key, std::string_view value) {
    Batch batch = index_->NewBatch();
    batch.Put(table, key, value);
    Must(index_->Write(std::move(batch)));
  }

  void PutCheckpoint(const v1::Checkpoint& checkpoint) {
    PutRow(Table::kCheckpoints, CheckpointKey("r", std::stoull(IdOf(checkpoint))),
           checkpoint.SerializeAsString());
    for (const auto& [metric, value] : checkpoint.metrics()) {
      Put("r", metric, {{value, std::stoull(IdOf(checkpoint))}});
    }
  }

  static Ranked Rest(RankingCursor& cursor) {
    Ranked rows;
    for (; cursor.Valid(); cursor.Next()) rows.emplace_back(cursor.value(), cursor.id());
    EXPECT_TRUE(cursor.status().ok()) << cursor.status();
    return rows;
  }

  Ranked Walk(bool descending) {
    const ReadView view = index_->View();
    RankingCursor cursor(view, "r", "m", descending);
    EXPECT_FALSE(cursor.Valid());
    cursor.SeekToFirst();
    return Rest(cursor);
  }

  Ranked WalkFrom(bool descending, double value, uint64_t id) {
    const ReadView view = index_->View();
    RankingCursor cursor(view, "r", "m", descending);
    cursor.Seek(value, id);
    return Rest(cursor);
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
};

TEST_F(RankingTest, EmptyMetric) {
  Put("r", "mm", {{1, 1}});
  Put("r", "l", {{1, 1}});
  Put("r2", "m", {{1, 1}});
  EXPECT_THAT(Walk(false), IsEmpty());
  EXPECT_THAT(Walk(true), IsEmpty());
  EXPECT_THAT(WalkFrom(true, 1, 1), IsEmpty());
}

TEST_F(RankingTest, FirstOfEqualsInBothDirections) {
  Put("r", "mm", {{99, 9}});
  Put("r", "m",
      {{1, 4}, {1, 3}, {-INFINITY, 9}, {2, 8}, {2, 1}, {INFINITY, 5}, {-0.0, 7}, {0.0, 6}});
  EXPECT_EQ(
      Walk(false),
      (Ranked{{-INFINITY, 9}, {0, 6}, {0, 7}, {1, 3}, {1, 4}, {2, 1}, {2, 8}, {INFINITY, 5}}));
  EXPECT_EQ(
      Walk(true),
      (Ranked{{INFINITY, 5}, {2, 1}, {2, 8}, {1, 3}, {1, 4}, {0, 6}, {0, 7}, {-INFINITY, 9}}));
}

// From any place, there or not, the walk goes on as if it had come from the start.
TEST_F(RankingTest, SeeksToTheRestOfTheWalk) {
  std::mt19937 random(6);
  Ranked rows;
  for (uint64_t id = 1; id <= 40; ++id) rows.emplace_back(random() % 8, id);
  Put("r", "m", rows);
  for (const bool descending : {false, true}) {
    const Ranked all = Walk(descending);
    ASSERT_EQ(all.size(), rows.size());
    for (double value = -0.5; value <= 8; value += 0.5) {
      for (uint64_t id = 0; id <= 41; ++id) {
        const auto start = std::find_if(all.begin(), all.end(), [&](const auto& row) {
          if (row.first != value) return descending ? row.first < value : row.first > value;
          return row.second >= id;
        });
        ASSERT_EQ(WalkFrom(descending, value, id), Ranked(start, all.end())) << value << " " << id;
      }
    }
  }
}

TEST_F(RankingTest, StopsAtADamagedKey) {
  Put("r", "m", {{1, 1}});
  PutRow(Table::kRanking, RankingPrefix("r", "m") + "short", "");
  const ReadView view = index_->View();
  RankingCursor cursor(view, "r", "m", /*descending=*/true);
  cursor.SeekToFirst();
  while (cursor.Valid()) cursor.Next();
  EXPECT_EQ(ReasonOf(cursor.status()), v1::ERROR_REASON_INDEX_DAMAGED);
}

TEST_F(RankingTest, StopsAtNan) {
  PutRow(Table::kRanking, RankingPrefix("r", "m") + std::string(16, '\xff'), "");
  for (const bool descending : {false, true}) {
    const ReadView view = index_->View();
    RankingCursor cursor(view, "r", "m", descending);
    cursor.SeekToFirst();
    EXPECT_FALSE(cursor.Valid());
    EXPECT_EQ(ReasonOf(cursor.status()), v1::ERROR_REASON_INDEX_DAMAGED);
  }
}

TEST_F(RankingTest, FindsTheBest) {
  PutCheckpoint(MakeCheckpoint("r", 1, {{"m", 3}}, {{"a", "1"}}));
  PutCheckpoint(MakeCheckpoint("r", 2, {{"m", 1}}, {{"a", "2"}, {"b", "b"}}));
  PutCheckpoint(MakeCheckpoint("r", 3, {{"m", 1}}, {{"a", "3"}}));
  PutCheckpoint(MakeCheckpoint("r", 4, {{"m", 2}}, {{"c", "4"}}));
  const struct {
    bool maximize;
    const char* policy;
    const char* id;
  } cases[] = {{false, "", "2"},  {true, "", "1"},  {false, "a", "2"}, {true, "a", "1"},
               {false, "b", "2"}, {true, "b", "2"}, {false, "c", "4"}, {true, "c", "4"}};
  for (const auto& test : cases) {
    EXPECT_EQ(IdOf(Must(FindBest(index_->View(), "r", "m", test.maximize, test.policy))), test.id)
        << test.maximize << test.policy;
  }
}

TEST_F(RankingTest, NoBest) {
  PutCheckpoint(MakeCheckpoint("r", 1, {{"m", 3}}, {{"a", "1"}}));
  const auto none = FindBest(index_->View(), "r", "x", false, "");
  EXPECT_EQ(ReasonOf(none), v1::ERROR_REASON_ALIAS_UNRESOLVED);
  EXPECT_THAT(std::string(MessageOf(none.status())), HasSubstr("metric 'x'"));
  const auto other = FindBest(index_->View(), "r", "m", false, "z");
  EXPECT_EQ(MetadataOf(other.status()).at("alias"), "best:z");
  EXPECT_EQ(ReasonOf(FindBest(index_->View(), "r", std::string_view("m\0", 2), false, "")),
            v1::ERROR_REASON_ALIAS_UNRESOLVED);
}

TEST_F(RankingTest, ARankedCheckpointWithoutRowIsDamage) {
  Put("r", "m", {{1, 1}});
  EXPECT_EQ(ReasonOf(FindBest(index_->View(), "r", "m", false, "")),
            v1::ERROR_REASON_INDEX_DAMAGED);
}

TEST(Ranking, NanDoesNotRank) {
  EXPECT_FALSE(Ranks(NAN));
  EXPECT_TRUE(Ranks(INFINITY));
  EXPECT_TRUE(Ranks(-INFINITY));
  EXPECT_TRUE(Ranks(0));
}

}  // namespace
}  // namespace ckpt::storage
