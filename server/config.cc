#include "server/config.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "server/run/configured_policies.h"
#include "server/version.h"
#include "server/yaml_message.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr const char* kVariables[] = {"CKPTD_DATA_DIR",    "CKPTD_LISTEN",    "CKPTD_HTTP",
                                      "CKPTD_CONFIG",      "CKPTD_LOG_LEVEL", "CKPTD_LOG_FORMAT",
                                      "CKPTD_LOCAL_SOCKET"};

constexpr size_t kMaxConfigBytes = 1 << 20;

constexpr const char* kFooter = R"(Environment (flags win over it, it wins over the file):
  CKPTD_DATA_DIR, CKPTD_LISTEN (comma list), CKPTD_HTTP, CKPTD_LOCAL_SOCKET, CKPTD_CONFIG,
  CKPTD_LOG_LEVEL, CKPTD_LOG_FORMAT

Examples:
  ckptd                                       data in ./ckptd-data, gRPC on 127.0.0.1:7070
  ckptd --data-dir /var/lib/ckptd --listen unix:/run/ckptd/ckptd.sock
  ckptd --config ckptd.yaml --check-config    says whether the configuration is good
  ckptd --data-dir /var/lib/ckptd --rebuild-index

Exit codes: 0 stopped in good order, 1 could not start or run, 2 wrong usage.)";

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return FileError("open", path, errno);
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return FileError("read", path, errno);  // a folder, for instance
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxConfigBytes) {
    return FieldInvalid("--config", path, fmt::format("it has over {} bytes", kMaxConfigBytes));
  }
  return text;
}

void SplitList(const std::string& list, google::protobuf::RepeatedPtrField<std::string>* items) {
  items->Clear();
  std::istringstream stream(list);
  for (std::string item; std::getline(stream, item, ',');) {
    if (!item.empty()) *items->Add() = item;
  }
}

void MergeEnvironment(const Environment& environment, v1::DaemonConfig& config) {
  for (const auto& [name, value] : environment) {
    if (name == "CKPTD_DATA_DIR") config.set_data_dir(value);
    if (name == "CKPTD_LISTEN") SplitList(value, config.mutable_listen());
    if (name == "CKPTD_HTTP") config.set_http(value);
    if (name == "CKPTD_LOCAL_SOCKET") config.mutable_local()->set_socket(value);
    if (name == "CKPTD_LOG_LEVEL") config.mutable_log()->set_level(value);
    if (name == "CKPTD_LOG_FORMAT") config.mutable_log()->set_format(value);
  }
}

void MergeFlags(const CommandLine& flags, v1::DaemonConfig& config) {
  if (flags.data_dir) config.set_data_dir(*flags.data_dir);
  if (!flags.listen.empty())
    config.mutable_listen()->Assign(flags.listen.begin(), flags.listen.end());
  if (flags.http) config.set_http(*flags.http);
  if (flags.local_socket) config.mutable_local()->set_socket(*flags.local_socket);
  if (flags.log_level) config.mutable_log()->set_level(*flags.log_level);
  if (flags.log_format) config.mutable_log()->set_format(*flags.log_format);
}

void FillDefaults(v1::DaemonConfig& config) {
  if (config.data_dir().empty()) config.set_data_dir("./ckptd-data");
  if (config.listen().empty()) config.add_listen("127.0.0.1:7070");
  if (config.http().empty()) config.set_http("127.0.0.1:7071");
  if (config.log().level().empty()) config.mutable_log()->set_level("info");
  if (config.log().format().empty()) config.mutable_log()->set_format("text");
  if (config.shutdown_grace_seconds() == 0) config.set_shutdown_grace_seconds(20);
  if (!config.has_reflection()) config.set_reflection(true);
  if (!config.limits().has_free_space_reserve_mib()) {
    config.mutable_limits()->set_free_space_reserve_mib(256);
  }
  v1::LocalConfig& local = *config.mutable_local();
  if (local.max_slots() == 0) local.set_max_slots(64);
  if (local.max_trainer_mib() == 0) local.set_max_trainer_mib(65'536);
  if (local.max_total_mib() == 0) local.set_max_total_mib(262'144);
  if (local.max_connections() == 0) local.set_max_connections(1024);
  v1::ScrubConfig& scrub = *config.mutable_scrub();
  if (!scrub.has_interval_hours()) scrub.set_interval_hours(168);
  if (scrub.mib_per_second() == 0) scrub.set_mib_per_second(16);
}

// A number of `limits`: its default when 0, FIELD_INVALID outside `least` to `most`.
absl::Status CheckLimit(const char* name, int value, int fallback, int least, int most,
                        v1::LimitsConfig* limits, void (v1::LimitsConfig::*set)(int32_t)) {
  if (value == 0) {
    (limits->*set)(fallback);
    return absl::OkStatus();
  }
  if (value >= least && value <= most) return absl::OkStatus();
  return FieldInvalid(fmt::format("limits.{}", name), std::to_string(value),
                      fmt::format("it must be {} to {}", least, most));
}

absl::Status CheckLimits(v1::LimitsConfig* limits) {
  using L = v1::LimitsConfig;
  absl::Status status;
  status.Update(
      CheckLimit("io_threads", limits->io_threads(), 4, 1, 64, limits, &L::set_io_threads));
  status.Update(CheckLimit("upload_memory_mib", limits->upload_memory_mib(), 32, 2, 65536, limits,
                           &L::set_upload_memory_mib));
  status.Update(CheckLimit("max_chunk_kib", limits->max_chunk_kib(), 512, 64, 3072, limits,
                           &L::set_max_chunk_kib));
  status.Update(CheckLimit("max_part_gib", limits->max_part_gib(), 1024, 1, 1 << 20, limits,
                           &L::set_max_part_gib));
  status.Update(CheckLimit("max_streams", limits->max_streams(), 4096, 1, 1 << 20, limits,
                           &L::set_max_streams));
  status.Update(CheckLimit("save_timeout_hours", limits->save_timeout_hours(), 24, 1, 24 * 365,
                           limits, &L::set_save_timeout_hours));
  status.Update(CheckLimit("index_cache_mib", limits->index_cache_mib(), 32, 8, 65536, limits,
                           &L::set_index_cache_mib));
  status.Update(CheckLimit("keepalive_seconds", limits->keepalive_seconds(), 30, 1, 3600, limits,
                           &L::set_keepalive_seconds));
  status.Update(CheckLimit("upload_idle_seconds", limits->upload_idle_seconds(), 60, 1, 3600,
                           limits, &L::set_upload_idle_seconds));
  if (!status.ok()) return status;
  if (limits->free_space_reserve_mib() < 0) {
    return FieldInvalid("limits.free_space_reserve_mib",
                        std::to_string(limits->free_space_reserve_mib()),
                        "it must not be negative");
  }
  // Every upload reads into one chunk while it writes another.
  if (limits->upload_memory_mib() * 1024 < 2 * limits->max_chunk_kib()) {
    return FieldInvalid("limits.upload_memory_mib", std::to_string(limits->upload_memory_mib()),
                        "it must hold two chunks of limits.max_chunk_kib");
  }
  return absl::OkStatus();
}

// "HOST:PORT" with a port in digits. An IPv6 host stands in brackets, so that its colons are no
// port's.
bool IsHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  if (host.front() != '[' && host.find(':') != std::string_view::npos) return false;
  const std::string_view digits = address.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
  return error == std::errc() && end == digits.end() && !digits.empty();
}

absl::Status CheckAddresses(const v1::DaemonConfig& config) {
  constexpr std::string_view kUnix = "unix:";
  constexpr const char* kHostPort = "HOST:PORT, with a port of 0 (any free one) to 65535";
  for (const std::string& address : config.listen()) {
    const bool is_path = address.starts_with(kUnix) && address.size() > kUnix.size();
    if (is_path || (!address.starts_with(kUnix) && IsHostPort(address))) continue;
    return FieldInvalid("listen", address, fmt::format("it must be unix:PATH or {}", kHostPort));
  }
  if (config.http() != "off" && !IsHostPort(config.http())) {
    return FieldInvalid("http", config.http(), fmt::format("it must be 'off' or {}", kHostPort));
  }
  return absl::OkStatus();
}

absl::Status CheckScrub(const v1::ScrubConfig& scrub) {
  constexpr int kYear = 24 * 365;
  if (scrub.interval_hours() < 0 || scrub.interval_hours() > kYear) {
    return FieldInvalid("scrub.interval_hours", std::to_string(scrub.interval_hours()),
                        fmt::format("it must be 0 (never) to {}", kYear));
  }
  if (scrub.mib_per_second() < 1 || scrub.mib_per_second() > 1'000'000) {
    return FieldInvalid("scrub.mib_per_second", std::to_string(scrub.mib_per_second()),
                        "it must be 1 to 1000000");
  }
  return absl::OkStatus();
}

absl::Status CheckLocal(const v1::LocalConfig& local) {
  if (!local.socket().empty() && local.socket() != "off" && !local.socket().starts_with('/')) {
    return FieldInvalid("local.socket", local.socket(), "it must be an absolute path or 'off'");
  }
  const std::pair<const char*, int> limits[] = {{"local.max_slots", local.max_slots()},
                                                {"local.max_trainer_mib", local.max_trainer_mib()},
                                                {"local.max_total_mib", local.max_total_mib()},
                                                {"local.max_connections", local.max_connections()}};
  for (const auto& [field, value] : limits) {
    if (value < 0) return FieldInvalid(field, std::to_string(value), "it must be above 0");
  }
  return absl::OkStatus();
}

absl::Status Check(v1::DaemonConfig& config) {
  const std::string& level = config.log().level();
  if (level != "trace" && level != "debug" && level != "info" && level != "warn" &&
      level != "error") {
    return FieldInvalid("log.level", level, "it must be trace, debug, info, warn or error");
  }
  if (config.log().format() != "text" && config.log().format() != "json") {
    return FieldInvalid("log.format", config.log().format(), "it must be text or json");
  }
  if (absl::Status status = CheckAddresses(config); !status.ok()) return status;
  if (config.shutdown_grace_seconds() < 0) {
    return FieldInvalid("shutdown_grace_seconds", std::to_string(config.shutdown_grace_seconds()),
                        "it must not be negative");
  }
  if (absl::Status status = CheckLimits(config.mutable_limits()); !status.ok()) return status;
  if (absl::Status status = CheckScrub(config.scrub()); !status.ok()) return status;
  if (absl::Status status = CheckLocal(config.local()); !status.ok()) return status;
  return ConfiguredPolicies::Create(config).status();
}

}  // namespace

std::optional<int> ParseCommandLine(int argc, const char* const* argv, CommandLine* flags) {
  CLI::App app{"ckptd: checkpoint daemon for training processes", "ckptd"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("ckptd ") + kVersion);
  app.add_option("--data-dir", flags->data_dir, "Data folder (default ./ckptd-data)");
  app.add_option("--listen", flags->listen,
                 "gRPC address, HOST:PORT or unix:PATH; repeatable (default 127.0.0.1:7070)");
  app.add_option("--http", flags->http,
                 "Address of /healthz and /metrics, or 'off' (default 127.0.0.1:7071)");
  app.add_option("--local-socket", flags->local_socket,
                 "Unix socket for hand-over in shared memory, or 'off' (default local.sock in the "
                 "data folder)");
  app.add_option("--config", flags->config_file, "Configuration file, YAML");
  app.add_option("--log-level", flags->log_level, "trace, debug, info, warn or error");
  app.add_option("--log-format", flags->log_format, "text or json");
  app.add_flag("--check-config", flags->check_config, "Check the configuration and exit");
  app.add_flag("--rebuild-index", flags->rebuild_index,
               "Make a lost or damaged index again from the checkpoints, and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error);
    return asked ? 0 : 2;
  }
  return std::nullopt;
}

Environment ReadEnvironment() {
  Environment environment;
  for (const char* name : kVariables) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    if (value != nullptr && *value != '\0') environment[name] = value;
  }
  return environment;
}

absl::StatusOr<v1::DaemonConfig> LoadConfig(const CommandLine& flags,
                                            const Environment& environment) {
  v1::DaemonConfig config;
  std::string file = flags.config_file.value_or("");
  if (const auto found = environment.find("CKPTD_CONFIG");
      file.empty() && found != environment.end()) {
    file = found->second;
  }
  if (!file.empty()) {
    const auto text = ReadFile(file);
    if (!text.ok()) return text.status();
    if (absl::Status status = ParseYaml(*text, file, &config); !status.ok()) return status;
  }
  MergeEnvironment(environment, config);
  MergeFlags(flags, config);
  FillDefaults(config);
  if (absl::Status status = Check(config); !status.ok()) return status;
  return config;
}

}  // namespace ckpt::server
