#include "server/error_details.h"

#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr int kRetryDelaySeconds = 1;

}  // namespace

google::rpc::Status ErrorDetails(const absl::Status& status) {
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(MessageOf(status)));
  if (const auto info = status.GetPayload(kErrorInfoUrl)) {
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(kErrorInfoUrl);
    any->set_value(std::string(*info));
  }
  if (ReasonOf(status) == v1::ERROR_REASON_DRAINING) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(kRetryDelaySeconds);
    details.add_details()->PackFrom(retry);
  }
  return details;
}

}  // namespace ckpt::server
