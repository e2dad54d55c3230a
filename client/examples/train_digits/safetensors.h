// The safetensors file format, as far as single-precision tensors go:
//
//   8 bytes   n, little-endian
//   n bytes   JSON: {"__metadata__": {key: text}, name: {"dtype": "F32", "shape": [...],
//             "data_offsets": [begin, end]}, ...}, padded with spaces to a multiple of 8
//   the rest  the tensors, little-endian, without gaps; offsets count from here
//
// Files written here open in every safetensors library.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ckpt::examples {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;  // as many as the product of `shape`
};

struct SafeTensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;
};

// The same content always gives the same bytes.
std::string EncodeSafeTensors(const SafeTensors& content);

// INVALID_ARGUMENT says what is wrong with `file`: any header that does not describe exactly the
// bytes that follow it, and any dtype but F32.
absl::StatusOr<SafeTensors> DecodeSafeTensors(std::string_view file);

}  // namespace ckpt::examples
