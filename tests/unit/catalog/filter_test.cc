#include "storage/catalog/filter.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::HasSubstr;

v1::Checkpoint Example() {
  v1::Checkpoint checkpoint = MakeCheckpoint(
      "digits", 5,
      {{"loss", 0.25}, {"val/loss", -1.5}, {"odd", NAN}, {"big", INFINITY}, {"a\"b\\", 1}},
      {{"best", "best.ckpt"}, {"all", "all-5.ckpt"}});
  checkpoint.set_epoch(3);
  checkpoint.set_seq(12);
  checkpoint.set_payload(v1::Checkpoint::PAYLOAD_WEIGHTS);
  checkpoint.mutable_create_time()->set_seconds(1'769'860'800);  // 2026-01-31T12:00:00Z
  return checkpoint;
}

bool Holds(std::string_view text) {
  const v1::Checkpoint checkpoint = Example();
  const Filter filter = Must(ParseFilter(text, CheckpointFields()));
  return Matches(filter, CheckpointRow{"digits", 5, checkpoint});
}

TEST(Filter, Matches) {
  const char* const kTrue[] = {
      "",
      "  \t",
      "id = 5",
      "id=5",
      "id != 4",
      "id < 6",
      "id <= 5",
      "id > 4",
      "id >= 5",
      "epoch = 3",
      "seq = 12",
      "size = 105",
      "epoch>=3 AND metrics.loss<0.5 AND policy=\"best\"",
      "metrics.loss = 0.25",
      "metrics.loss = 2.5e-1",
      "metrics.loss = +.25",
      "metrics.loss > -inf",
      R"(metrics."val/loss" = -1.5)",
      R"(metrics."loss" = 0.25)",
      R"(metrics."a\"b\\" = 1)",
      "metrics.big = inf",
      "metrics.big > 1e308",
      "metrics.big = Infinity",
      "metrics.big = +inf",
      "metrics.odd = nan",
      "metrics.odd >= nan",
      "metrics.odd != 3",
      "metrics.loss != nan",
      R"(policy = "best")",
      R"(policy = "all")",
      R"(policy != "other")",
      R"(filepath > "b")",
      R"(filepath = "all-5.ckpt")",
      R"(run = "digits")",
      R"(run >= "d" AND run < "e")",
      R"(payload = "weights")",
      R"(payload = "WEIGHTS")",
      R"(payload != "full")",
      R"(create_time = "2026-01-31T12:00:00Z")",
      R"(create_time = "2026-01-31T13:00:00+01:00")",
      R"(create_time < "2026-01-31T12:00:00.000000001Z")",
      R"(create_time < "9999-12-31T00:00:00Z")",
      R"(create_time > "0001-01-01T00:00:00Z")",
  };
  for (const char* text : kTrue) EXPECT_TRUE(Holds(text)) << text;
}

TEST(Filter, DoesNotMatch) {
  const char* const kFalse[] = {
      "id = 4",
      "id != 5",
      "id < 5",
      "id > 5",
      "id <= 4",
      "id >= 6",
      "epoch = 3 AND id = 4",
      "id = 4 AND epoch = 3",
      "metrics.odd = 0",
      "metrics.odd < 0",
      "metrics.odd > 0",
      "metrics.odd <= 0",
      "metrics.odd != nan",
      "metrics.odd < nan",
      "metrics.loss = nan",
      "metrics.loss < nan",
      "metrics.loss > nan",
      "metrics.loss <= nan",
      "metrics.big < inf",
      // Not there: matches nothing.
      "batch = 0",
      "batch != 0",
      "batch < 1",
      "metrics.none != 0",
      "metrics.none = nan",
      R"(policy = "BEST")",
      R"(policy != "best")",
      R"(policy != "all")",
      R"(filepath > "c")",
      R"(payload = "full")",
      R"(run = "digit")",
      R"(create_time > "2026-01-31T12:00:00Z")",
      R"(create_time = "2026-01-31T12:00:00+01:00")",
  };
  for (const char* text : kFalse) EXPECT_FALSE(Holds(text)) << text;
}

TEST(Filter, MatchesRuns) {
  v1::Run run;
  run.set_name("runs/digits-1");
  run.set_state(v1::Run::STATE_ENDED);
  run.set_epoch(7);
  (*run.mutable_labels())["team"] = "vision";
  (*run.mutable_labels())["a/b-c"] = "x";
  const auto holds = [&](std::string_view text) {
    return Matches(Must(ParseFilter(text, RunFields())), run);
  };
  EXPECT_TRUE(holds(R"(name = "digits-1" AND state = "ENDED" AND epoch > 6)"));
  EXPECT_TRUE(holds(R"(labels.team = "vision" AND labels."a/b-c" = "x")"));
  EXPECT_FALSE(holds(R"(state = "DISCONNECTED")"));
  EXPECT_FALSE(holds(R"(labels.other != "x")"));
}

struct BadFilter {
  const char* text;
  int position;
  const char* what;
};

TEST(Filter, ExplainsWhatIsWrong) {
  constexpr const char* kNoLogic =
      "OR, NOT and parentheses are not supported; comparisons are joined by AND";
  const BadFilter cases[] = {
      {"epoch", 5, "expected one of = != < <= > >="},
      {"epoch ~ 3", 6, "expected one of = != < <= > >="},
      {"epoch == 3", 7, "expected a number, such as 0.25, -3, 1e-4, inf or nan"},
      {"epoch = ", 8, "expected a number"},
      {"epoch = three", 8, "expected a number"},
      {"epoch = 1e999", 8, "expected a number"},
      {"epoch = 0x10", 8, "expected a number"},
      {"epoch = --1", 8, "expected a number"},
      {"epoch = \"3\"", 8, "expected a number"},
      {"epoch = 3 epoch = 4", 10, "expected AND or the end"},
      {"epoch = 3 and epoch = 4", 10, "expected AND or the end"},
      {"epoch = 3 && epoch = 4", 10, "expected AND or the end"},
      {"epoch = 3, id = 4", 9, "expected AND or the end"},
      {"epoch = 3 AND", 13, "expected a field, such as id"},
      {"AND epoch = 3", 0, "there is no field 'AND'"},
      {"epoch = 3 OR epoch = 4", 10, kNoLogic},
      {"epoch = 3 or epoch = 4", 10, kNoLogic},
      {"epoch = 3 || epoch = 4", 10, kNoLogic},
      {"NOT epoch = 3", 0, kNoLogic},
      {"epoch = 3 AND not id = 4", 14, kNoLogic},
      {"!epoch = 3", 0, kNoLogic},
      {"(epoch = 3)", 0, kNoLogic},
      {"epoch = 3)", 9, kNoLogic},
      {"policy = best", 9, "expected text in double quotes"},
      {"policy = 'best'", 9, "expected text in double quotes"},
      {"policy = \"best", 9, "this quote is not closed"},
      {"payload = \"half\"", 10, "payload is one of \"weights\", \"full\""},
      {"payload < \"full\"", 8, "payload can only be = or !="},
      {"create_time > \"yesterday\"", 14, "expected a time, such as \"2026-01-31T12:00:00Z\""},
      {"create_time > 3", 14, "expected text in double quotes"},
      {"polcy = \"best\"", 0, "did you mean 'policy'?"},
      {"metrics = 3", 8, "expected '.' and a name"},
      {"metrics.val/loss < 3", 11,
       "a name with other characters than letters, digits and _ needs quotes, as in "
       "metrics.\"a/b\""},
  };
  for (const BadFilter& test : cases) {
    const auto filter = ParseFilter(test.text, CheckpointFields());
    ASSERT_EQ(ReasonOf(filter), v1::ERROR_REASON_QUERY_INVALID) << test.text;
    EXPECT_EQ(MetadataOf(filter.status()).at("position"), std::to_string(test.position))
        << filter.status();
    EXPECT_THAT(std::string(MessageOf(filter.status())), HasSubstr(test.what));
  }
}

TEST(Filter, RunsAreNotKnownToBeRunning) {
  const auto filter = ParseFilter("state = \"RUNNING\"", RunFields());
  EXPECT_EQ(ReasonOf(filter), v1::ERROR_REASON_QUERY_INVALID);
  EXPECT_THAT(std::string(MessageOf(filter.status())),
              HasSubstr("state is one of \"ended\", \"disconnected\""));
}

std::string Repeated(std::string_view term, std::string_view separator, int count) {
  std::string text(term);
  for (int i = 1; i < count; ++i) text.append(separator).append(term);
  return text;
}

TEST(Filter, LimitsTermsAndText) {
  EXPECT_EQ(Must(ParseFilter(Repeated("id=1", " AND ", 32), CheckpointFields())).size(), 32u);
  EXPECT_EQ(ReasonOf(ParseFilter(Repeated("id=1", " AND ", 33), CheckpointFields())),
            v1::ERROR_REASON_QUERY_INVALID);
  EXPECT_EQ(ReasonOf(ParseFilter(std::string(4097, ' '), CheckpointFields())),
            v1::ERROR_REASON_QUERY_INVALID);
}

// Whatever the text: a filter that can be asked, or an error that says where.
TEST(Filter, SurvivesAnyText) {
  const char* const kPieces[] = {"id",
                                 "metrics",
                                 ".",
                                 "loss",
                                 "\"",
                                 "\\",
                                 "=",
                                 "!=",
                                 "<",
                                 ">=",
                                 " ",
                                 "AND",
                                 "OR",
                                 "(",
                                 ")",
                                 "0.5",
                                 "inf",
                                 "nan",
                                 "-",
                                 "1e9",
                                 "policy",
                                 "create_time",
                                 "\"2026-01-31T12:00:00Z\"",
                                 "payload",
                                 "\"full\"",
                                 "\xff",
                                 "\xc3\xa9",
                                 "\t",
                                 "\n",
                                 ",",
                                 "desc",
                                 "labels",
                                 "state"};
  const v1::Checkpoint checkpoint = Example();
  std::mt19937 random(3);
  int parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 9; n > 0; --n) {
      text += random() % 8 == 0 ? std::string(1, static_cast<char>(random()))
                                : kPieces[random() % std::size(kPieces)];
    }
    const auto filter = ParseFilter(text, CheckpointFields());
    if (filter.ok()) {
      ++parsed;
      Matches(*filter, CheckpointRow{"digits", 5, checkpoint});
    } else {
      ASSERT_EQ(ReasonOf(filter), v1::ERROR_REASON_QUERY_INVALID) << text;
      ASSERT_LE(std::stoul(MetadataOf(filter.status()).at("position")), text.size()) << text;
    }
  }
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace ckpt::storage
