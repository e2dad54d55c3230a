#include "client/cpp/src/rpc_status.h"

#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

// What gRPC says about a failed connection, without its preamble.
std::string_view ConnectionError(std::string_view message) {
  for (const std::string_view preamble : {"last error: ", "UNKNOWN: ", "UNAVAILABLE: "}) {
    const size_t at = message.find(preamble);
    if (at != std::string_view::npos) message.remove_prefix(at + preamble.size());
  }
  return message;
}

// The message for an error that the daemon itself has not explained.
std::string Explain(const grpc::Status& status, std::string_view server) {
  const std::string& message = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return fmt::format(
          "no answer from ckptd at {} ({}); is ckptd running? Start it, or name another server "
          "with "
          "--server or CKPT_SERVER",
          server, ConnectionError(message));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return fmt::format("ckptd at {} did not answer in time", server);
    case grpc::StatusCode::UNIMPLEMENTED:
      return fmt::format("the server at {} does not know this call ({}); is it a ckptd?", server,
                         message);
    default:
      return message.empty() ? fmt::format("the call to ckptd at {} failed", server) : message;
  }
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, std::string_view server) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  google::rpc::Status details;
  const bool explained =
      details.ParseFromString(status.error_details()) && details.details_size() > 0;
  details.set_code(static_cast<int>(code));
  details.set_message(explained ? status.error_message() : Explain(status, server));
  return FromDetails(details);
}

absl::Status FromDetails(const google::rpc::Status& details) {
  absl::Status result(static_cast<absl::StatusCode>(details.code()), details.message());
  for (const google::protobuf::Any& detail : details.details()) {
    result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return result;
}

bool IsTransient(const absl::Status& status) {
  const v1::ErrorReason reason = ReasonOf(status);
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      // Broken transports look like this; the daemon's own errors carry a reason.
      return reason == v1::ERROR_REASON_UNSPECIFIED;
    case absl::StatusCode::kResourceExhausted:
      // gRPC in the daemon has ended calls to have memory again. It also refuses messages "larger
      // than max", which stay so.
      return reason == v1::ERROR_REASON_UNSPECIFIED &&
             status.message().find("larger than max") == std::string_view::npos;
    default:
      return reason == v1::ERROR_REASON_UPLOAD_BUSY;
  }
}

std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryInfoUrl);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return std::chrono::seconds(info.retry_delay().seconds()) +
         std::chrono::milliseconds(info.retry_delay().nanos() / 1'000'000);
}

}  // namespace ckpt::client
