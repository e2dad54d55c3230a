#include "storage/catalog/fields.h"

#include <cmath>
#include <string>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FieldRef Named(std::string_view text, std::span<const Field> fields = CheckpointFields()) {
  QueryScanner scanner("filter", text);
  return Must(TakeField(scanner, fields));
}

TEST(Fields, TakesNamesAndKeys) {
  EXPECT_EQ(Named("epoch").field->id, FieldId::kEpoch);
  const FieldRef plain = Named("metrics.val_loss");
  EXPECT_EQ(plain.field->id, FieldId::kMetrics);
  EXPECT_EQ(plain.key, "val_loss");
  EXPECT_FALSE(plain.key_quoted);
  const FieldRef quoted = Named(R"(metrics."val/loss")");
  EXPECT_EQ(quoted.key, "val/loss");
  EXPECT_TRUE(quoted.key_quoted);
}

TEST(Fields, ExplainsWhatIsWrong) {
  const struct {
    const char* text;
    const char* what;
  } cases[] = {
      {"", "expected a field, such as id"},
      {"= 3", "expected a field, such as id"},
      {"epohc", "there is no field 'epohc'; did you mean 'epoch'?"},
      {"Epoch", "did you mean 'epoch'?"},
      {"polcy", "did you mean 'policy'?"},
      {"file_path", "did you mean 'filepath'?"},
      {"createtime", "did you mean 'create_time'?"},
      {"metric.val_loss", "did you mean 'metrics.val_loss'?"},
      {"accuracy",
       "there is no field 'accuracy'; the fields are id, epoch, batch, seq, size, "
       "payload, policy, filepath, run, create_time, metrics.val_loss"},
      {"x", "there is no field 'x'; the fields are"},
      {"metrics", "expected '.' and a name, as in metrics.val_loss"},
      {"metrics.", "expected a name, as in metrics.val_loss"},
      {"metrics.\"\"", "expected a name, as in metrics.val_loss"},
      {"metrics.\"a", "not closed"},
  };
  for (const auto& test : cases) {
    QueryScanner scanner("filter", test.text);
    const auto field = TakeField(scanner, CheckpointFields());
    EXPECT_EQ(ReasonOf(field), v1::ERROR_REASON_QUERY_INVALID) << test.text;
    EXPECT_THAT(std::string(MessageOf(field.status())), HasSubstr(test.what));
  }
}

TEST(Fields, ReadsCheckpoints) {
  v1::Checkpoint checkpoint = MakeCheckpoint("r", 5, {{"loss", 0.5}, {"odd", NAN}},
                                             {{"best", "best.ckpt"}, {"last", "last.ckpt"}});
  checkpoint.set_epoch(3);
  checkpoint.set_batch(4);
  checkpoint.set_seq(9);
  checkpoint.set_payload(v1::Checkpoint::PAYLOAD_FULL);
  checkpoint.mutable_create_time()->set_seconds(10);
  checkpoint.mutable_create_time()->set_nanos(5);
  const CheckpointRow row{"r", 5, checkpoint};
  EXPECT_THAT(ValuesOf(Named("id"), row), ElementsAre(FieldValue(5.0)));
  EXPECT_THAT(ValuesOf(Named("epoch"), row), ElementsAre(FieldValue(3.0)));
  EXPECT_THAT(ValuesOf(Named("batch"), row), ElementsAre(FieldValue(4.0)));
  EXPECT_THAT(ValuesOf(Named("seq"), row), ElementsAre(FieldValue(9.0)));
  EXPECT_THAT(ValuesOf(Named("size"), row), ElementsAre(FieldValue(105.0)));
  EXPECT_THAT(ValuesOf(Named("payload"), row), ElementsAre(FieldValue("full")));
  EXPECT_THAT(ValuesOf(Named("policy"), row), ElementsAre(FieldValue("best"), FieldValue("last")));
  EXPECT_THAT(ValuesOf(Named("filepath"), row),
              ElementsAre(FieldValue("best.ckpt"), FieldValue("last.ckpt")));
  EXPECT_THAT(ValuesOf(Named("run"), row), ElementsAre(FieldValue("r")));
  EXPECT_THAT(ValuesOf(Named("create_time"), row),
              ElementsAre(FieldValue(absl::FromUnixSeconds(10) + absl::Nanoseconds(5))));
  EXPECT_THAT(ValuesOf(Named("metrics.loss"), row), ElementsAre(FieldValue(0.5)));
  EXPECT_EQ(ValuesOf(Named("metrics.odd"), row).size(), 1u) << "NaN is a value";
}

TEST(Fields, LeavesOutWhatIsNotThere) {
  const v1::Checkpoint checkpoint = MakeCheckpoint("r", 5);
  const CheckpointRow row{"r", 5, checkpoint};
  for (const char* name :
       {"batch", "payload", "policy", "filepath", "create_time", "metrics.loss"}) {
    EXPECT_THAT(ValuesOf(Named(name), row), IsEmpty()) << name;
  }
}

TEST(Fields, ReadsRuns) {
  v1::Run run;
  run.set_name("runs/digits");
  run.set_epoch(3);
  (*run.mutable_labels())["team"] = "vision";
  EXPECT_THAT(ValuesOf(Named("name", RunFields()), run), ElementsAre(FieldValue("digits")));
  EXPECT_THAT(ValuesOf(Named("epoch", RunFields()), run), ElementsAre(FieldValue(3.0)));
  EXPECT_THAT(ValuesOf(Named("labels.team", RunFields()), run), ElementsAre(FieldValue("vision")));
  EXPECT_THAT(ValuesOf(Named("labels.x", RunFields()), run), IsEmpty());
  EXPECT_THAT(ValuesOf(Named("state", RunFields()), run), IsEmpty());
  run.set_state(v1::Run::STATE_ENDED);
  EXPECT_THAT(ValuesOf(Named("state", RunFields()), run), ElementsAre(FieldValue("ended")));
  run.set_state(v1::Run::STATE_DISCONNECTED);
  EXPECT_THAT(ValuesOf(Named("state", RunFields()), run), ElementsAre(FieldValue("disconnected")));
}

}  // namespace
}  // namespace ckpt::storage
