// Connections to a daemon: where it is, and how its channels are set up.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace grpc {
class Channel;
}  // namespace grpc

namespace ckpt::client {

// The server to talk to: `server`, or if that is empty $CKPT_SERVER, or else 127.0.0.1:7070.
std::string ServerOrDefault(std::string_view server);

// What goes over a channel. Bulk data has a connection of its own, so that an upload in full swing
// does not stand in front of a decision.
enum class Traffic { kControl, kBulk };

// A channel to "HOST:PORT" or "unix:PATH". Connects when first used.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server, Traffic traffic);

}  // namespace ckpt::client
