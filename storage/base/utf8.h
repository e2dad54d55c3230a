// Code points of UTF-8 text. Pure; never fails: a byte that is not UTF-8 reads as U+FFFD.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ckpt {

// Removes the first code point of `text`, which is not empty, and returns it.
char32_t TakeCodePoint(std::string_view& text);

// `text`, with U+FFFD for each byte that is not UTF-8: what protobuf strings may hold.
std::string ToUtf8(std::string_view text);

size_t CountCodePoints(std::string_view text);

// The longest beginning of `text` that has at most `max_bytes` bytes and ends between code points.
std::string_view Utf8Prefix(std::string_view text, size_t max_bytes);

// Whether `code_point` can be written in UTF-8: below 0x110000 and no surrogate.
bool IsScalarValue(char32_t code_point);

// Appends `code_point`, a scalar value, to `out`.
void AppendUtf8(char32_t code_point, std::string& out);

}  // namespace ckpt
