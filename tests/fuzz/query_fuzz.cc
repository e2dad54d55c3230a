// Filters, orders and page tokens of lists. Input: filter, newline, order, newline, page token.

#include <string>

#include "storage/catalog/filter.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/order.h"
#include "storage/catalog/page_token.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using ckpt::fuzz::Check;

ckpt::v1::Checkpoint Sample() {
  ckpt::v1::Checkpoint checkpoint;
  checkpoint.set_name("runs/r/checkpoints/7");
  checkpoint.set_epoch(3);
  (*checkpoint.mutable_metrics())["val_loss"] = 0.25;
  (*checkpoint.mutable_metrics())["val/loss"] = -1e300;
  checkpoint.add_placements()->set_policy("best");
  checkpoint.mutable_create_time()->set_seconds(1'700'000'000);
  return checkpoint;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& checkpoint = *new ckpt::v1::Checkpoint(Sample());
  static const auto& run = *new ckpt::v1::Run();
  const ckpt::storage::CheckpointRow row = {"r", 7, checkpoint};
  std::string_view text = ckpt::fuzz::ToText(data, size);

  const std::string_view filter_text = ckpt::fuzz::TakeLine(text);
  const auto filter = ckpt::storage::ParseFilter(filter_text, ckpt::storage::CheckpointFields());
  if (filter.ok()) ckpt::storage::Matches(*filter, row);
  const auto run_filter = ckpt::storage::ParseFilter(filter_text, ckpt::storage::RunFields());
  if (run_filter.ok()) ckpt::storage::Matches(*run_filter, run);

  if (const auto order = ckpt::storage::ParseOrder(ckpt::fuzz::TakeLine(text)); order.ok()) {
    const std::string key = ckpt::storage::SortKey(*order, row);
    Check(key.ends_with(ckpt::storage::CheckpointKey("r", 7)), "a sort key ends with the row's");
    for (const auto& term : *order) ckpt::storage::ParseNumberSortKey(term, "r", key);
  }

  const ckpt::storage::Question question = {"checkpoints", "r"};
  const auto position = ckpt::storage::ReadPageToken(question, text);
  if (position.ok() && !text.empty()) {
    Check(ckpt::storage::MakePageToken(question, *position) == text, "a token is made one way");
  }
  if (text.empty()) return 0;  // a list goes on after something
  const auto again =
      ckpt::storage::ReadPageToken(question, ckpt::storage::MakePageToken(question, text));
  Check(again.ok() && *again == text, "a position comes back from its token");
  return 0;
}
