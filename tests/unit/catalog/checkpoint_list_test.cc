#include "storage/catalog/checkpoint_list.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/digest.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/page_token.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> NamesOf(const std::vector<v1::Checkpoint>& checkpoints) {
  std::vector<std::string> names;
  for (const v1::Checkpoint& checkpoint : checkpoints) names.push_back(checkpoint.name());
  return names;
}

class CheckpointListTest : public ::testing::Test {
 protected:
  void SetUp() override {
    catalog_ = Must(Catalog::Open(dir_.options()));
    AddRun("r");
  }

  void AddRun(std::string_view run) {
    const RunUpdate update = MakeRun(run);
    Must(catalog_->Apply({&update, 1}));
  }

  void Add(std::string_view run, std::vector<v1::Checkpoint> checkpoints) {
    const RunUpdate update = Commit(run, std::move(checkpoints));
    Must(catalog_->Apply({&update, 1}));
  }

  void Delete(std::string_view run, uint64_t id) {
    RunUpdate update = Commit(run, {});
    update.deleted = {std::to_string(id)};
    Must(catalog_->Apply({&update, 1}));
  }

  std::vector<v1::Checkpoint> All(const CheckpointQuery& query, size_t* pages = nullptr) {
    std::vector<v1::Checkpoint> all;
    CheckpointQuery next = query;
    do {
      const CheckpointPage page = Must(catalog_->ListCheckpoints(next));
      EXPECT_LE(std::ssize(page.checkpoints), query.page_size);
      EXPECT_TRUE(page.next_page_token.empty() || !page.checkpoints.empty());
      all.insert(all.end(), page.checkpoints.begin(), page.checkpoints.end());
      next.page_token = page.next_page_token;
      if (pages != nullptr) ++*pages;
    } while (!next.page_token.empty());
    return all;
  }

  std::vector<std::string> Ids(const std::string& order_by, const std::string& filter = "",
                               int page_size = 2) {
    return IdsOf(All({.run = "r", .page_size = page_size, .filter = filter, .order_by = order_by}));
  }

  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CheckpointListTest, Empty) {
  EXPECT_THAT(Ids(""), IsEmpty());
  EXPECT_THAT(Ids("metrics.m desc"), IsEmpty());
  EXPECT_THAT(Ids("epoch"), IsEmpty());
  EXPECT_THAT(All({}), IsEmpty());
  EXPECT_EQ(ReasonOf(catalog_->ListCheckpoints({.run = "none"})), v1::ERROR_REASON_RUN_NOT_FOUND);
}

TEST_F(CheckpointListTest, OrdersByHand) {
  AddRun("q");
  Add("q", {MakeCheckpoint("q", 1, {{"m", 0}})});
  AddRun("r2");
  Add("r2", {MakeCheckpoint("r2", 1, {{"m", 9}})});
  Add("r", {MakeCheckpoint("r", 10, {{"m", 2}}, {{"p", "b"}}), MakeCheckpoint("r", 9, {{"m", 1}}),
            MakeCheckpoint("r", 2, {{"m", NAN}}), MakeCheckpoint("r", 3, {{"m", 2}}, {{"p", "a"}}),
            MakeCheckpoint("r", 4), MakeCheckpoint("r", 300, {{"m", -INFINITY}})});
  EXPECT_THAT(Ids(""), ElementsAre("2", "3", "4", "9", "10", "300"));
  EXPECT_THAT(Ids("id"), ElementsAre("2", "3", "4", "9", "10", "300"));
  EXPECT_THAT(Ids("id desc"), ElementsAre("300", "10", "9", "4", "3", "2"));
  EXPECT_THAT(Ids("metrics.m"), ElementsAre("300", "9", "3", "10", "2", "4"));
  EXPECT_THAT(Ids("metrics.m desc"), ElementsAre("3", "10", "9", "300", "2", "4"));
  EXPECT_THAT(Ids("metrics.none"), ElementsAre("2", "3", "4", "9", "10", "300"));
  EXPECT_THAT(Ids("size desc"), ElementsAre("300", "10", "9", "4", "3", "2"));
  EXPECT_THAT(Ids("filepath"), ElementsAre("3", "10", "2", "4", "9", "300"));
  EXPECT_THAT(Ids("metrics.m desc, id desc"), ElementsAre("10", "3", "9", "300", "4", "2"));
  EXPECT_THAT(NamesOf(All({.page_size = 3})),
              ElementsAre("runs/q/checkpoints/1", "runs/r/checkpoints/2", "runs/r/checkpoints/3",
                          "runs/r/checkpoints/4", "runs/r/checkpoints/9", "runs/r/checkpoints/10",
                          "runs/r/checkpoints/300", "runs/r2/checkpoints/1"));
  EXPECT_THAT(NamesOf(All({.page_size = 2,
                           .filter = "metrics.m >= 0 AND metrics.m != 2",
                           .order_by = "metrics.m desc"})),
              ElementsAre("runs/r2/checkpoints/1", "runs/r/checkpoints/9", "runs/q/checkpoints/1"));
}

TEST_F(CheckpointListTest, LeavesOutPolicyStates) {
  v1::Checkpoint checkpoint = MakeCheckpoint("r", 1, {{"m", 1}});
  checkpoint.add_policy_states()->set_policy("p");
  Add("r", {checkpoint});
  for (const char* order_by : {"", "id desc", "metrics.m", "epoch"}) {
    EXPECT_EQ(Must(catalog_->ListCheckpoints({.run = "r", .order_by = order_by}))
                  .checkpoints.at(0)
                  .policy_states_size(),
              0);
  }
  EXPECT_EQ(Must(catalog_->GetCheckpoint("r", "1")).policy_states_size(), 1);
  EXPECT_EQ(Must(catalog_->GetLatest("r")).policy_states_size(), 1);
  EXPECT_EQ(Must(catalog_->GetBest("r", "m", false, "")).policy_states_size(), 1);
}

TEST_F(CheckpointListTest, PageSizes) {
  std::vector<v1::Checkpoint> checkpoints;
  for (uint64_t id = 1; id <= 1001; ++id) checkpoints.push_back(MakeCheckpoint("r", id));
  Add("r", std::move(checkpoints));
  const auto rows = [&](int page_size) {
    return Must(catalog_->ListCheckpoints({.run = "r", .page_size = page_size})).checkpoints.size();
  };
  EXPECT_EQ(rows(0), 100u);
  EXPECT_EQ(rows(-5), 100u);
  EXPECT_EQ(rows(7), 7u);
  EXPECT_EQ(rows(5000), 1000u);
}

TEST_F(CheckpointListTest, AFullLastPageHasNoToken) {
  Add("r", {MakeCheckpoint("r", 1, {{"m", 1}}), MakeCheckpoint("r", 2, {{"m", 2}})});
  for (const char* order_by : {"", "id desc", "metrics.m", "metrics.m desc", "epoch"}) {
    EXPECT_EQ(Must(catalog_->ListCheckpoints({.run = "r", .page_size = 2, .order_by = order_by}))
                  .next_page_token,
              "")
        << order_by;
  }
}

TEST_F(CheckpointListTest, PagesAreBoundedInBytes) {
  std::vector<v1::Checkpoint> checkpoints;
  for (uint64_t id = 1; id <= 6; ++id) {
    checkpoints.push_back(MakeCheckpoint("r", id, {{std::string(800 << 10, 'm'), 1}}));
  }
  Add("r", std::move(checkpoints));
  Add("r", {MakeCheckpoint("r", 7, {{std::string(3 << 20, 'm'), 1}})});
  for (const char* order_by : {"", "id desc", "epoch", "metrics.x"}) {
    size_t pages = 0;
    EXPECT_EQ(All({.run = "r", .order_by = order_by}, &pages).size(), 7u) << order_by;
    EXPECT_EQ(pages, 4u) << order_by;
  }
}

TEST_F(CheckpointListTest, RefusesTokensOfOtherQuestions) {
  Add("r", {MakeCheckpoint("r", 1), MakeCheckpoint("r", 2)});
  AddRun("q");
  const CheckpointQuery asked = {.run = "r", .page_size = 1};
  const std::string token = Must(catalog_->ListCheckpoints(asked)).next_page_token;
  for (const CheckpointQuery& query : {
           CheckpointQuery{.run = "q", .page_token = token},
           CheckpointQuery{.run = "", .page_token = token},
           CheckpointQuery{.run = "r", .page_token = token, .filter = "id > 0"},
           CheckpointQuery{.run = "r", .page_token = token, .order_by = "id"},
           CheckpointQuery{.run = "r", .page_token = token + "A"},
       }) {
    EXPECT_EQ(ReasonOf(catalog_->ListCheckpoints(query)), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  }
  EXPECT_TRUE(catalog_->ListCheckpoints({.run = "r", .page_size = 5, .page_token = token}).ok());
}

// Whoever makes a token with a valid digest gets a list or an error.
TEST_F(CheckpointListTest, SurvivesForgedPositions) {
  Add("r", {MakeCheckpoint("r", 1, {{"m", 1}}), MakeCheckpoint("r", 2, {{"m", 2}})});
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    const char* const kOrders[] = {"", "id", "id desc", "metrics.m", "metrics.m desc", "epoch"};
    const char* order_by = kOrders[random() % std::size(kOrders)];
    std::string position(1 + random() % 24, '\0');
    for (char& byte : position) byte = static_cast<char>(random() % 3 == 0 ? random() : 0);
    const std::string token = MakePageToken({"checkpoints", "r", "", order_by}, position);
    const auto page =
        catalog_->ListCheckpoints({.run = "r", .page_token = token, .order_by = order_by});
    if (!page.ok()) {
      ASSERT_EQ(ReasonOf(page), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
    }
  }
}

// An order as the contract says it, without the sort keys of the implementation.
struct NamedOrder {
  const char* order_by;
  std::function<std::optional<double>(const v1::Checkpoint&)> value;
  bool descending;
};

std::optional<double> MetricOf(const v1::Checkpoint& checkpoint, const char* metric) {
  const auto value = checkpoint.metrics().find(metric);
  if (value == checkpoint.metrics().end() || std::isnan(value->second)) return std::nullopt;
  return value->second;
}

const std::vector<NamedOrder>& Orders() {
  using C = v1::Checkpoint;
  static const auto* const kOrders = new std::vector<NamedOrder>{
      {"", [](const C&) { return std::nullopt; }, false},
      {"id", [](const C& c) { return std::stod(IdOf(c)); }, false},
      {"id desc", [](const C& c) { return std::stod(IdOf(c)); }, true},
      {"metrics.m", [](const C& c) { return MetricOf(c, "m"); }, false},
      {"metrics.m desc", [](const C& c) { return MetricOf(c, "m"); }, true},
      {"epoch", [](const C& c) { return double(c.epoch()); }, false},
      {"epoch desc", [](const C& c) { return double(c.epoch()); }, true},
      {"batch desc",
       [](const C& c) { return c.has_batch() ? std::optional(double(c.batch())) : std::nullopt; },
       true},
  };
  return *kOrders;
}

bool Before(const NamedOrder& order, const v1::Checkpoint& a, const v1::Checkpoint& b) {
  const auto x = order.value(a);
  const auto y = order.value(b);
  if (x.has_value() != y.has_value()) return x.has_value();
  if (x != y) return order.descending ? *x > *y : *x < *y;
  return std::stoi(IdOf(a)) < std::stoi(IdOf(b));
}

v1::Checkpoint RandomCheckpoint(std::mt19937& random, uint64_t id) {
  v1::Checkpoint checkpoint = MakeCheckpoint("r", id);
  const double kValues[] = {-INFINITY, -1, 0, 0, 1, 2.5, INFINITY, NAN};
  if (random() % 4 != 0) (*checkpoint.mutable_metrics())["m"] = kValues[random() % 8];
  checkpoint.set_epoch(random() % 4);
  if (random() % 2 == 0) checkpoint.set_batch(random() % 3);
  return checkpoint;
}

TEST_F(CheckpointListTest, EveryOrderAgreesWithASort) {
  std::mt19937 random(8);
  std::vector<v1::Checkpoint> all;
  for (uint64_t id = 1; id <= 60; ++id) all.push_back(RandomCheckpoint(random, id));
  Add("r", all);
  for (const NamedOrder& order : Orders()) {
    std::vector<v1::Checkpoint> expected = all;
    std::sort(expected.begin(), expected.end(),
              [&](const auto& a, const auto& b) { return Before(order, a, b); });
    for (const int page_size : {1, 3, 7, 60, 100}) {
      EXPECT_EQ(Ids(order.order_by, "", page_size), IdsOf(expected)) << order.order_by;
    }
    std::erase_if(expected, [](const auto& checkpoint) { return checkpoint.epoch() >= 2; });
    EXPECT_EQ(Ids(order.order_by, "epoch < 2", 4), IdsOf(expected)) << order.order_by;
  }
}

// What a filter accepts, as the contract says it.
struct NamedFilter {
  const char* filter;
  std::function<bool(double id, std::optional<double> m, double epoch)> accepts;
};

// Bounds of ids and metrics decide where a list looks, and must not decide what it finds.
TEST_F(CheckpointListTest, EveryFilterAgreesWithAScan) {
  using M = std::optional<double>;
  const NamedFilter kFilters[] = {
      {"id > 10 AND id <= 20", [](double id, M, double) { return id > 10 && id <= 20; }},
      {"id = 7", [](double id, M, double) { return id == 7; }},
      {"id >= 6.5 AND id < 9.5", [](double id, M, double) { return id >= 6.5 && id < 9.5; }},
      {"id > 1e300", [](double, M, double) { return false; }},
      {"id < 0", [](double, M, double) { return false; }},
      {"id >= -inf", [](double, M, double) { return true; }},
      {"id != 3", [](double id, M, double) { return id != 3; }},
      {"metrics.m < 1", [](double, M m, double) { return m < 1 && m.has_value(); }},
      {"metrics.m <= 0", [](double, M m, double) { return m <= 0 && m.has_value(); }},
      {"metrics.m >= 2.5", [](double, M m, double) { return m >= 2.5; }},
      {"metrics.m = -0.0", [](double, M m, double) { return m == 0.0; }},
      {"metrics.m > inf", [](double, M, double) { return false; }},
      {"metrics.m <= -inf", [](double, M m, double) { return m == -INFINITY; }},
      {"metrics.m > 0 AND metrics.m < 2", [](double, M m, double) { return m > 0 && m < 2; }},
      {"metrics.m > 2 AND metrics.m < 0", [](double, M, double) { return false; }},
      {"metrics.none > 0", [](double, M, double) { return false; }},
      {"epoch = 1 AND metrics.m < 2 AND id > 20",
       [](double id, M m, double epoch) {
         return epoch == 1 && m.has_value() && m < 2 && id > 20;
       }},
  };
  std::mt19937 random(11);
  std::vector<v1::Checkpoint> all;
  for (uint64_t id = 1; id <= 60; ++id) all.push_back(RandomCheckpoint(random, id));
  Add("r", all);
  for (const NamedOrder& order : Orders()) {
    for (const NamedFilter& filter : kFilters) {
      std::vector<v1::Checkpoint> expected = all;
      std::erase_if(expected, [&](const v1::Checkpoint& checkpoint) {
        return !filter.accepts(std::stod(IdOf(checkpoint)), MetricOf(checkpoint, "m"),
                               double(checkpoint.epoch()));
      });
      std::sort(expected.begin(), expected.end(),
                [&](const auto& a, const auto& b) { return Before(order, a, b); });
      for (const int page_size : {1, 3, 100}) {
        EXPECT_EQ(Ids(order.order_by, filter.filter, page_size), IdsOf(expected))
            << filter.filter << " by " << order.order_by;
      }
    }
  }
  // NaN is asked for by name, and is in no range.
  const auto nan = std::count_if(all.begin(), all.end(), [](const v1::Checkpoint& checkpoint) {
    const auto value = checkpoint.metrics().find("m");
    return value != checkpoint.metrics().end() && std::isnan(value->second);
  });
  ASSERT_GT(nan, 0);
  for (const NamedOrder& order : Orders()) {
    EXPECT_EQ(std::ssize(Ids(order.order_by, "metrics.m = nan")), nan) << order.order_by;
  }
}

// Checkpoints come and go between the pages: what stayed is listed once, in order.
TEST_F(CheckpointListTest, PagesSurviveChangesBetweenThem) {
  std::mt19937 random(9);
  for (const NamedOrder& order : Orders()) {
    const std::string run = "run" + Hex(order.order_by);
    AddRun(run);
    std::map<uint64_t, v1::Checkpoint> alive;
    uint64_t next_id = 2;
    const auto add = [&](uint64_t id) {
      v1::Checkpoint checkpoint = RandomCheckpoint(random, id);
      checkpoint.set_name(CheckpointName(run, std::to_string(id)));
      alive[id] = checkpoint;
      Add(run, {checkpoint});
    };
    for (int i = 0; i < 25; ++i) add(next_id += 2);
    std::set<uint64_t> stayed;
    for (const auto& [id, checkpoint] : alive) stayed.insert(id);

    CheckpointQuery query{.run = run, .page_size = 3, .order_by = order.order_by};
    std::vector<v1::Checkpoint> listed;
    do {
      const CheckpointPage page = Must(catalog_->ListCheckpoints(query));
      listed.insert(listed.end(), page.checkpoints.begin(), page.checkpoints.end());
      query.page_token = page.next_page_token;
      const auto victim = std::next(alive.begin(), random() % alive.size());
      Delete(run, victim->first);
      stayed.erase(victim->first);
      alive.erase(victim);
      add(2 * (random() % 30) + 1);  // the same id again is no change
    } while (!query.page_token.empty());

    EXPECT_TRUE(std::is_sorted(listed.begin(), listed.end(), [&](const auto& a, const auto& b) {
      return Before(order, a, b);
    })) << order.order_by;
    std::set<std::string> ids;
    for (const v1::Checkpoint& checkpoint : listed) {
      EXPECT_TRUE(ids.insert(IdOf(checkpoint)).second) << order.order_by << " lists one twice";
    }
    for (const uint64_t id : stayed) {
      EXPECT_TRUE(ids.contains(std::to_string(id))) << order.order_by << " lost " << id;
    }
  }
}

// Damage far from the page stays unseen, because it is not read: the cost is that of the page.
TEST_F(CheckpointListTest, ReadsNoMoreThanThePage) {
  std::vector<v1::Checkpoint> checkpoints;
  for (uint64_t id = 1; id <= 30; ++id) {
    checkpoints.push_back(MakeCheckpoint("r", id, {{"m", std::abs(15.5 - double(id))}}));
  }
  Add("r", std::move(checkpoints));
  catalog_.reset();
  WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", 8), kDamaged);
  WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", 23), kDamaged);
  catalog_ = Must(Catalog::Open(dir_.options()));
  const auto page = [&](const char* order_by) {
    return catalog_->ListCheckpoints({.run = "r", .page_size = 4, .order_by = order_by});
  };
  EXPECT_THAT(IdsOf(Must(page("")).checkpoints), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(IdsOf(Must(page("id")).checkpoints), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(IdsOf(Must(page("id desc")).checkpoints), ElementsAre("30", "29", "28", "27"));
  EXPECT_THAT(IdsOf(Must(page("metrics.m")).checkpoints), ElementsAre("15", "16", "14", "17"));
  EXPECT_THAT(IdsOf(Must(page("metrics.m desc")).checkpoints), ElementsAre("1", "30", "2", "29"));
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", false, ""))), "15");
  EXPECT_EQ(IdOf(Must(catalog_->GetLatest("r"))), "30");
  for (const char* order_by : {"epoch", "metrics.m, id"}) {
    EXPECT_EQ(ReasonOf(page(order_by)), v1::ERROR_REASON_INDEX_DAMAGED) << order_by;
  }
}

// As above, with bounds in the filter: what is beyond them, or past the page, is not read.
TEST_F(CheckpointListTest, ReadsNoMoreThanTheFilterLeaves) {
  std::vector<v1::Checkpoint> checkpoints;
  for (uint64_t id = 1; id <= 40; ++id) {
    checkpoints.push_back(MakeCheckpoint("r", id, {{"m", std::abs(20.5 - double(id))}}));
  }
  Add("r", std::move(checkpoints));
  catalog_.reset();
  for (const uint64_t id : {12, 29}) {
    WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", id), kDamaged);
  }
  catalog_ = Must(Catalog::Open(dir_.options()));
  const struct {
    const char* filter;
    const char* order_by;
    std::vector<std::string> ids;
  } kCases[] = {
      {"id > 36", "", {"37", "38", "39", "40"}},
      {"id >= 37", "id desc", {"40", "39", "38", "37"}},
      {"id <= 3", "id desc", {"3", "2", "1"}},
      {"id <= 3", "epoch", {"1", "2", "3"}},
      {"id >= 38", "metrics.m", {"38", "39", "40"}},
      {"metrics.m < 2", "", {"19", "20", "21", "22"}},
      {"metrics.m < 2", "id desc", {"22", "21", "20", "19"}},
      {"metrics.m < 2", "epoch", {"19", "20", "21", "22"}},
      {"metrics.m < 1", "metrics.m", {"20", "21"}},
      {"metrics.m > 18.6", "metrics.m desc", {"1", "40"}},
      {"metrics.m >= 18.5", "metrics.m", {"2", "39", "1", "40"}},
      {"metrics.m < 3 AND metrics.m > 1 AND id > 20", "", {"22", "23"}},
  };
  for (const auto& c : kCases) {
    const auto page = catalog_->ListCheckpoints(
        {.run = "r", .page_size = 4, .filter = c.filter, .order_by = c.order_by});
    ASSERT_TRUE(page.ok()) << c.filter << " by " << c.order_by << ": " << page.status();
    EXPECT_EQ(IdsOf(page->checkpoints), c.ids) << c.filter << " by " << c.order_by;
  }
}

TEST_F(CheckpointListTest, ReportsDamage) {
  Add("r", {MakeCheckpoint("r", 1, {{"m", 1}})});
  catalog_.reset();
  WriteRow(dir_, Table::kRanking, RankingKey("r", "x", 1, 7), "");
  WriteRow(dir_, Table::kCheckpoints, RunPrefix("r") + "odd", "");
  catalog_ = Must(Catalog::Open(dir_.options()));
  for (const char* order_by : {"", "metrics.x", "epoch"}) {
    EXPECT_EQ(ReasonOf(catalog_->ListCheckpoints({.run = "r", .order_by = order_by})),
              v1::ERROR_REASON_INDEX_DAMAGED)
        << order_by;
  }
}

}  // namespace
}  // namespace ckpt::storage
