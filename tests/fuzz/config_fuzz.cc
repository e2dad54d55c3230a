// The configuration file.

#include "ckpt/v1/config.pb.h"
#include "server/yaml_message.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ckpt::v1::DaemonConfig config;
  const absl::Status status =
      ckpt::server::ParseYaml(ckpt::fuzz::ToText(data, size), "fuzz.yaml", &config);
  ckpt::fuzz::Check(status.ok() || !status.message().empty(), "an error says what is wrong");
  return 0;
}
