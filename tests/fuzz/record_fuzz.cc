// Manifests and upload sessions as found on disk: what is accepted is whole, and stays the same
// when it is written again.

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>

#include "storage/blob/records.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

// Equal for equal messages, whatever the order of their maps.
std::string Bytes(const ckpt::v1::Manifest& manifest) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  manifest.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using ckpt::fuzz::Check;
  const std::string_view text = ckpt::fuzz::ToText(data, size);
  if (const auto manifest = ckpt::storage::DecodeManifest(text); manifest.ok()) {
    const auto json = ckpt::storage::EncodeManifest(*manifest);
    Check(json.ok(), "an accepted manifest can be written");
    const auto again = ckpt::storage::DecodeManifest(*json);
    Check(again.ok(), "a written manifest is accepted");
    Check(Bytes(*again) == Bytes(*manifest), "it stays the same");
  }
  if (const auto session = ckpt::storage::DecodeSession(text); session.ok()) {
    const auto json = ckpt::storage::EncodeSession(*session);
    Check(json.ok() && ckpt::storage::DecodeSession(*json).ok(), "a session stays one");
  }
  return 0;
}
