#include "client/examples/train_digits/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace ckpt::examples {
namespace {

using Json = nlohmann::json;

// Tensors are copied to and from memory as they are.
static_assert(std::endian::native == std::endian::little);

constexpr size_t kLengthBytes = 8;
constexpr size_t kHeaderAlignment = 8;
constexpr uint64_t kMaxHeaderBytes = 1 << 20;
constexpr char kMetadataKey[] = "__metadata__";

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("not a safetensors file: {}", what));
}

absl::Status Malformed(std::string_view tensor, std::string_view what) {
  return Malformed(fmt::format("tensor '{}': {}", tensor, what));
}

// Bytes [begin, end) of the data.
struct Range {
  uint64_t begin;
  uint64_t end;
};

// The value at `key`, or null. Hostile JSON may be nested so deep that copying or printing it would
// overflow the stack, so it is only ever referred to until its type is known.
const Json& Field(const Json& object, const char* key) {
  static const Json* const kNull = new Json();
  const auto found = object.find(key);
  return found == object.end() ? *kNull : *found;
}

bool IsListOfCounts(const Json& json) {
  return json.is_array() && std::all_of(json.begin(), json.end(), [](const Json& item) {
           return item.is_number_unsigned() && item.get<uint64_t>() <= INT64_MAX;
         });
}

// Whether a tensor of `shape` takes `bytes` bytes; false also when the product overflows.
bool Takes(const std::vector<int64_t>& shape, uint64_t bytes) {
  uint64_t product = sizeof(float);
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(extent), &product)) return false;
  }
  return product == bytes;
}

absl::StatusOr<Range> ParseRange(const std::string& name, const Json& description,
                                 std::string_view data) {
  const Json& offsets = Field(description, "data_offsets");
  if (!IsListOfCounts(offsets) || offsets.size() != 2) {
    return Malformed(name, "'data_offsets' is no pair of offsets");
  }
  const Range range = {offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
  if (range.begin > range.end || range.end > data.size()) {
    return Malformed(
        name, fmt::format("bytes {} to {} of {} bytes", range.begin, range.end, data.size()));
  }
  return range;
}

absl::StatusOr<Tensor> ParseTensor(const std::string& name, const Json& description, Range range,
                                   std::string_view data) {
  if (Field(description, "dtype") != "F32") return Malformed(name, "'dtype' is not F32");
  const Json& shape = Field(description, "shape");
  if (!IsListOfCounts(shape)) return Malformed(name, "'shape' is no list of sizes");
  Tensor tensor = {.shape = shape.get<std::vector<int64_t>>(), .values = {}};
  const uint64_t bytes = range.end - range.begin;
  if (!Takes(tensor.shape, bytes)) {
    return Malformed(name, fmt::format("shape {} does not take {} bytes", shape.dump(), bytes));
  }
  tensor.values.resize(bytes / sizeof(float));
  if (bytes > 0) std::memcpy(tensor.values.data(), data.data() + range.begin, bytes);
  return tensor;
}

absl::Status ParseMetadata(const Json& json, std::map<std::string, std::string>* metadata) {
  if (!json.is_object()) return Malformed("the metadata is no object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return Malformed(fmt::format("metadata '{}' is no text", key));
    metadata->emplace(key, value.get<std::string>());
  }
  return absl::OkStatus();
}

// A byte that no tensor or more than one owns is a sign of damage, and a place to hide something.
absl::Status CheckNoGaps(std::vector<Range> ranges, uint64_t data_size) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const Range& range : ranges) {
    if (range.begin != end) return Malformed(fmt::format("gap or overlap at byte {}", end));
    end = range.end;
  }
  if (end != data_size) return Malformed(fmt::format("{} bytes too many", data_size - end));
  return absl::OkStatus();
}

}  // namespace

std::string EncodeSafeTensors(const SafeTensors& content) {
  Json header = Json::object();
  if (!content.metadata.empty()) header[kMetadataKey] = content.metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : content.tensors) {
    const uint64_t end = offset + tensor.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');

  std::string file;
  file.reserve(kLengthBytes + text.size() + offset);
  const uint64_t length = text.size();
  file.append(reinterpret_cast<const char*>(&length), kLengthBytes);
  file += text;
  for (const auto& [name, tensor] : content.tensors) {
    file.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
  }
  return file;
}

absl::StatusOr<SafeTensors> DecodeSafeTensors(std::string_view file) {
  uint64_t length = 0;
  if (file.size() < kLengthBytes) return Malformed(fmt::format("only {} bytes", file.size()));
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    return Malformed(fmt::format("a header of {} bytes", length));
  }
  const std::string_view text = file.substr(kLengthBytes, length);
  const std::string_view data = file.substr(kLengthBytes + length);
  const Json header = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return Malformed("the header is no JSON object");

  SafeTensors content;
  std::vector<Range> ranges;
  for (const auto& [name, description] : header.items()) {
    if (name == kMetadataKey) {
      if (absl::Status status = ParseMetadata(description, &content.metadata); !status.ok()) {
        return status;
      }
      continue;
    }
    if (!description.is_object()) return Malformed(name, "no object");
    absl::StatusOr<Range> range = ParseRange(name, description, data);
    if (!range.ok()) return range.status();
    absl::StatusOr<Tensor> tensor = ParseTensor(name, description, *range, data);
    if (!tensor.ok()) return tensor.status();
    ranges.push_back(*range);
    content.tensors.emplace(name, *std::move(tensor));
  }
  if (absl::Status status = CheckNoGaps(std::move(ranges), data.size()); !status.ok()) {
    return status;
  }
  return content;
}

}  // namespace ckpt::examples
