// /healthz and /metrics.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace ckpt::server {

// What the pages show. Called on the HTTP thread; may block shortly.
struct HttpPages {
  // Empty when the daemon serves, else why not.
  std::function<std::string()> not_serving_reason;
  // Prometheus' text format.
  std::function<std::string()> metrics;
};

// One thread, at most 64 connections, each closed after 30 seconds without a request. Requests over
// 8 KiB are refused.
class HttpServer {
 public:
  // Listens on HOST:PORT. FIELD_INVALID naming the address and why it cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                           HttpPages pages);
  virtual ~HttpServer() = default;  // stops
  // Address with the port that was chosen for port 0.
  virtual const std::string& address() const = 0;
};

}  // namespace ckpt::server
