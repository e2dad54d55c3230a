// The wire form of a message that holds one UploadChunk and nothing else, as the streams of bytes
// do: a header, and then the bytes, which are neither copied into a message nor out of one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ckpt/v1/weight_service.pb.h"

namespace ckpt {

// What comes before the bytes of a chunk, `size` of them, in a message whose field `field` it is.
// `chunk` has everything but the bytes.
std::string ChunkHeader(int field, const v1::UploadChunk& chunk, size_t size);

// Takes the header off `pieces`, which in their order are such a message; what is left are the
// bytes. False if it is made in any other way, which protobuf may still allow: then `pieces` and
// `chunk` are as they were.
bool TakeChunkHeader(int field, std::vector<std::string_view>& pieces, v1::UploadChunk& chunk);

}  // namespace ckpt
