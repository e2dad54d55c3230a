#include "storage/catalog/order.h"

#include <cmath>
#include <random>
#include <string>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/digest.h"

namespace ckpt::storage {
namespace {

using ::testing::HasSubstr;

std::string Key(std::string_view order_by, const v1::Checkpoint& checkpoint,
                std::string_view run = "r") {
  const Order order = Must(ParseOrder(order_by));
  return SortKey(order, CheckpointRow{run, std::stoull(IdOf(checkpoint)), checkpoint});
}

TEST(Order, Parses) {
  const Order order = Must(ParseOrder(R"( metrics."val/loss" desc ,epoch,id desc)"));
  ASSERT_EQ(order.size(), 3u);
  EXPECT_EQ(order[0].field.key, "val/loss");
  EXPECT_TRUE(order[0].descending);
  EXPECT_EQ(order[1].field.field->id, FieldId::kEpoch);
  EXPECT_FALSE(order[1].descending);
  EXPECT_TRUE(order[2].descending);
  EXPECT_TRUE(Must(ParseOrder("")).empty());
  EXPECT_TRUE(Must(ParseOrder("  ")).empty());
}

TEST(Order, ExplainsWhatIsWrong) {
  const struct {
    const char* text;
    const char* position;
    const char* what;
  } cases[] = {
      {",", "0", "expected a field, such as id"},
      {"epoch,", "6", "expected a field, such as id"},
      {"epoch asc", "6", "expected desc, a comma or the end"},
      {"epoch DESC", "6", "expected desc, a comma or the end"},
      {"epoch desc desc", "11", "expected a comma or the end"},
      {"epoch; id", "5", "expected desc, a comma or the end"},
      {"epohc", "0", "did you mean 'epoch'?"},
      {"-epoch", "0", "expected a field"},
  };
  for (const auto& test : cases) {
    const auto order = ParseOrder(test.text);
    ASSERT_EQ(ReasonOf(order), v1::ERROR_REASON_QUERY_INVALID) << test.text;
    EXPECT_EQ(MetadataOf(order.status()).at("position"), test.position) << test.text;
    EXPECT_THAT(std::string(MessageOf(order.status())), HasSubstr(test.what));
    EXPECT_THAT(std::string(MessageOf(order.status())), HasSubstr("order_by"));
  }
}

TEST(Order, LimitsTerms) {
  std::string text = "id";
  for (int i = 1; i < 32; ++i) text += ",id";
  EXPECT_TRUE(ParseOrder(text).ok());
  EXPECT_EQ(ReasonOf(ParseOrder(text + ",id")), v1::ERROR_REASON_QUERY_INVALID);
}

TEST(Order, GoldenKeys) {
  v1::Checkpoint checkpoint = MakeCheckpoint("r", 5, {{"m", 1.0}}, {{"p", "ab"}});
  checkpoint.mutable_create_time()->set_seconds(1);
  checkpoint.mutable_create_time()->set_nanos(2);
  const std::string row = "72000000000000000005";
  EXPECT_EQ(Hex(Key("", checkpoint)), row);
  EXPECT_EQ(Hex(Key("metrics.m", checkpoint)), "00bff0000000000000" + row);
  EXPECT_EQ(Hex(Key("metrics.m desc", checkpoint)), "00400fffffffffffff" + row);
  EXPECT_EQ(Hex(Key("metrics.none desc", checkpoint)), "01" + row);
  EXPECT_EQ(Hex(Key("filepath", checkpoint)), "00616200" + row);
  EXPECT_EQ(Hex(Key("filepath desc", checkpoint)), "009e9dff" + row);
  EXPECT_EQ(Hex(Key("create_time", checkpoint)), "00800000000000000100000002" + row);
}

TEST(Order, NumbersInBothDirections) {
  const v1::Checkpoint low = MakeCheckpoint("r", 9, {{"m", -INFINITY}});
  const v1::Checkpoint high = MakeCheckpoint("r", 1, {{"m", 2.0}});
  const v1::Checkpoint nan = MakeCheckpoint("r", 2, {{"m", NAN}});
  const v1::Checkpoint none = MakeCheckpoint("r", 3);
  EXPECT_LT(Key("metrics.m", low), Key("metrics.m", high));
  EXPECT_GT(Key("metrics.m desc", low), Key("metrics.m desc", high));
  for (const char* order : {"metrics.m", "metrics.m desc"}) {
    EXPECT_LT(Key(order, high), Key(order, nan)) << order;
    EXPECT_LT(Key(order, low), Key(order, nan)) << order;
    EXPECT_LT(Key(order, nan), Key(order, none)) << "neither has a value: by id";
  }
}

TEST(Order, TextsInBothDirections) {
  const v1::Checkpoint a = MakeCheckpoint("r", 2, {}, {{"p", "a"}});
  const v1::Checkpoint ab = MakeCheckpoint("r", 1, {}, {{"p", "ab"}});
  EXPECT_LT(Key("filepath", a), Key("filepath", ab));
  EXPECT_GT(Key("filepath desc", a), Key("filepath desc", ab));
}

TEST(Order, TimesBeforeAndAfter1970) {
  v1::Checkpoint early = MakeCheckpoint("r", 2);
  early.mutable_create_time()->set_seconds(-5);
  v1::Checkpoint late = MakeCheckpoint("r", 1);
  late.mutable_create_time()->set_seconds(-5);
  late.mutable_create_time()->set_nanos(1);
  EXPECT_LT(Key("create_time", early), Key("create_time", late));
  EXPECT_GT(Key("create_time desc", early), Key("create_time desc", late));
}

TEST(Order, EqualsByRunThenId) {
  EXPECT_LT(Key("epoch", MakeCheckpoint("a", 9), "a"), Key("epoch", MakeCheckpoint("b", 1), "b"));
  EXPECT_LT(Key("epoch desc", MakeCheckpoint("a", 2), "a"),
            Key("epoch desc", MakeCheckpoint("a", 10), "a"));
}

TEST(Order, NumberKeysAreReadBack) {
  for (const char* order_by : {"metrics.m", "metrics.m desc"}) {
    const OrderTerm term = Must(ParseOrder(order_by)).front();
    const auto with =
        ParseNumberSortKey(term, "r", Key(order_by, MakeCheckpoint("r", 5, {{"m", -2}})));
    ASSERT_TRUE(with.has_value());
    EXPECT_EQ(with->value, -2.0);
    EXPECT_EQ(with->id, 5u);
    const auto without = ParseNumberSortKey(term, "r", Key(order_by, MakeCheckpoint("r", 5)));
    ASSERT_TRUE(without.has_value());
    EXPECT_EQ(without->value, std::nullopt);
    EXPECT_EQ(without->id, 5u);
  }
}

TEST(Order, NumberKeysThatAreNone) {
  const OrderTerm term = Must(ParseOrder("metrics.m")).front();
  const std::string good = Key("metrics.m", MakeCheckpoint("r", 5, {{"m", 1}}));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseNumberSortKey(term, "r", good.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(ParseNumberSortKey(term, "longer", good).has_value());
  std::string nan = good;
  nan.replace(1, 8, 8, '\xff');
  EXPECT_FALSE(ParseNumberSortKey(term, "r", nan).has_value());
}

TEST(Order, SurvivesAnyText) {
  const char* const kPieces[] = {"id",    "metrics",     ".",        "loss", "\"",
                                 "\\",    " ",           "desc",     ",",    "\xff",
                                 "epoch", "create_time", "filepath", "\t"};
  const v1::Checkpoint checkpoint = MakeCheckpoint("r", 5, {{"loss", 1}});
  std::mt19937 random(4);
  int parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 7; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    const auto order = ParseOrder(text);
    if (order.ok()) {
      ++parsed;
      SortKey(*order, CheckpointRow{"r", 5, checkpoint});
    } else {
      ASSERT_LE(std::stoul(MetadataOf(order.status()).at("position")), text.size()) << text;
    }
  }
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace ckpt::storage
