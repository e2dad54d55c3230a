// Frames of the local socket: no bytes crash the reader or make it hold more than one frame, and
// however they are cut, they are the same messages.
#include <google/protobuf/stubs/logging.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/local/frame.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

// The messages, each as bytes; "refused" at the end if the stream was.
std::vector<std::string> Read(std::string_view bytes, size_t step) {
  ckpt::server::FrameReader reader;
  std::vector<std::string> messages;
  for (size_t at = 0; at < bytes.size(); at += step) {
    reader.Feed(bytes.substr(at, step));
    while (true) {
      auto next = reader.Next();
      if (!next.ok()) {
        messages.emplace_back("refused");
        return messages;
      }
      if (!next->has_value()) break;
      messages.push_back((*next)->SerializeAsString());
    }
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const google::protobuf::LogSilencer silencer;  // of text that is not UTF-8
  const std::string_view bytes = ckpt::fuzz::ToText(data, size);
  const std::vector<std::string> whole = Read(bytes, size + 1);
  ckpt::fuzz::Check(Read(bytes, 1) == whole, "byte by byte they are the same messages");
  ckpt::fuzz::Check(Read(bytes, 7) == whole, "in pieces they are the same messages");
  return 0;
}
