#include "client/cpp/src/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdlib>

namespace ckpt::client {
namespace {

constexpr char kDefaultServer[] = "127.0.0.1:7070";
constexpr char kUnixPrefix[] = "unix:";

// A page of 1,000 checkpoints is large, a chunk is not.
constexpr int kMaxControlMessage = 64 << 20;
constexpr int kMaxBulkMessage = 8 << 20;

constexpr int kKeepaliveMs = 30'000;
// The pause between attempts is ours to choose (see Backoff); the channel only must not add to it.
constexpr int kChannelBackoffMs = 100;
constexpr int kConnectTimeoutMs = 10'000;

bool IsUnix(std::string_view server) { return server.starts_with(kUnixPrefix); }

}  // namespace

std::string ServerOrDefault(std::string_view server) {
  if (!server.empty()) return std::string(server);
  const char* from_environment = std::getenv("CKPT_SERVER");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return kDefaultServer;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server, Traffic traffic) {
  const bool bulk = traffic == Traffic::kBulk;
  grpc::ChannelArguments arguments;
  // Channels with equal arguments share a connection; this one tells them apart.
  arguments.SetString("ckpt.traffic", bulk ? "bulk" : "control");
  arguments.SetMaxReceiveMessageSize(bulk ? kMaxBulkMessage : kMaxControlMessage);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetCompressionAlgorithm(GRPC_COMPRESS_NONE);
  // The daemon is near; a proxy of the environment is for other places.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kChannelBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kChannelBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  if (!IsUnix(server)) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  }
  const std::string target = IsUnix(server) ? server : "dns:///" + server;
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace ckpt::client
