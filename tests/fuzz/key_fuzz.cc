// Keys of the index: they sort as what they say, and foreign keys are told. Input: two doubles, two
// numbers, then a text.

#include <cmath>
#include <cstring>
#include <string>

#include "storage/catalog/key_encoding.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using ckpt::fuzz::Check;

template <typename Number>
Number Take(std::string_view& text) {
  Number number = {};
  const size_t bytes = std::min(sizeof(number), text.size());
  std::memcpy(&number, text.data(), bytes);
  text.remove_prefix(bytes);
  return number;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ckpt::storage;  // NOLINT(google-build-using-namespace): its subject
  std::string_view text = ckpt::fuzz::ToText(data, size);
  const auto a = Take<double>(text);
  const auto b = Take<double>(text);
  const auto m = Take<uint64_t>(text);
  const auto n = Take<uint64_t>(text);
  SplitRunKey(text);
  if (const auto id = ParseCheckpointId(text)) {
    Check(std::to_string(*id) == text, "an id is written one way");
  }
  const std::string end = PrefixEnd(text);
  Check(end.empty() || end > text, "a prefix's end comes after it");

  Check((CheckpointKey("r", m) < CheckpointKey("r", n)) == (m < n), "ids sort by number");
  if (std::isnan(a) || std::isnan(b) || !HasKey(text)) return 0;
  const std::string low = RankingKey("r", text, a, m);
  const std::string high = RankingKey("r", text, b, m);
  Check((low < high) == (a < b), "values sort by number");
  const std::string prefix = RankingPrefix("r", text);
  Check(low.starts_with(prefix), "a ranking key begins with its prefix");
  Check(DecodeDouble(std::string_view(low).substr(prefix.size(), kDoubleBytes)) == a,
        "a value comes back from its key");
  return 0;
}
