// What a gRPC server takes in of a stream before it is read.
#pragma once

#include <grpc/grpc.h>
#include <grpcpp/server_builder.h>

namespace ckpt::server {

// One chunk of an upload. A connection has, with gRPC 1.51, 64 KiB besides what the messages that
// are being read still lack.
inline constexpr int kStreamWindowBytes = 1 << 20;

// By itself gRPC takes ever more of a stream that is fast, whether it is read or not.
inline void FixStreamWindow(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
}

}  // namespace ckpt::server
