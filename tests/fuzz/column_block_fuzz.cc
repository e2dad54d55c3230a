// Blocks of columns as found on disk: what is accepted is whole, and stays the same when it is
// written again. The input is what a checksum covers, without the version, so that decoders are
// reached.

#include <string>

#include "storage/base/digest.h"
#include "storage/history/column_block.h"
#include "storage/history/event_columns.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using ckpt::fuzz::Check;

std::string BlockOf(std::string_view payload) {
  const std::string bytes = '\1' + std::string(payload);
  return bytes + ckpt::BlockDigest(bytes).substr(4);
}

void CheckEvents(const std::string& block) {
  const auto decoded = ckpt::storage::DecodeEvents(block);
  if (!decoded.has_value()) return;
  const std::string again = ckpt::storage::EncodeEvents(decoded->events, decoded->sealed);
  const auto twice = ckpt::storage::DecodeEvents(again);
  Check(twice.has_value(), "accepted events can be written");
  Check(ckpt::storage::EncodeEvents(twice->events, twice->sealed) == again, "they stay the same");
  for (size_t i = 0; i < decoded->events.size(); ++i) {
    Check(decoded->events.Event(i).seq() > 0, "each event can be had");
  }
  for (const auto& column : decoded->events.columns) decoded->events.Points(column);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view payload = ckpt::fuzz::ToText(data, size);
  ckpt::storage::BlockReader::Open(payload);
  const std::string block = BlockOf(payload);
  CheckEvents(block);
  if (const auto values = ckpt::storage::DecodeValues(block, 1000); values.has_value()) {
    const std::string again = ckpt::storage::EncodeValues(*values);
    const auto twice = ckpt::storage::DecodeValues(again, 1000);
    Check(twice.has_value() && ckpt::storage::EncodeValues(*twice) == again, "values stay");
  }
  if (const auto groups = ckpt::storage::DecodeSummary(block); groups.has_value()) {
    const std::string again = ckpt::storage::EncodeSummary(*groups);
    const auto twice = ckpt::storage::DecodeSummary(again);
    Check(twice.has_value() && ckpt::storage::EncodeSummary(*twice) == again, "a summary stays");
  }
  return 0;
}
