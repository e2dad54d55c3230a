// The daemon's configuration: file, then environment, then flags.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/config.pb.h"

namespace ckpt::server {

// The command line, as given. Unset fields were not.
struct CommandLine {
  std::optional<std::string> data_dir;
  std::vector<std::string> listen;
  std::optional<std::string> http;
  std::optional<std::string> local_socket;
  std::optional<std::string> config_file;
  std::optional<std::string> log_level;
  std::optional<std::string> log_format;
  bool check_config = false;
  bool rebuild_index = false;
};

// Parses the arguments. On --help, --version or a usage error prints what is due and gives the exit
// code instead.
std::optional<int> ParseCommandLine(int argc, const char* const* argv, CommandLine* flags);

// What CKPTD_* variables can say.
using Environment = std::map<std::string, std::string>;
Environment ReadEnvironment();

// Merges all three and fills in defaults. FIELD_INVALID, NAME_INVALID, POLICY_…, and the errors of
// reading the file; each says which source is to blame.
absl::StatusOr<v1::DaemonConfig> LoadConfig(const CommandLine& flags,
                                            const Environment& environment);

}  // namespace ckpt::server
