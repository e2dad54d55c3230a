#include "server/http/http_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr int kMaxConnections = 64;
constexpr uint32_t kMaxHeaderBytes = 8 << 10;
constexpr std::chrono::seconds kTimeout(30);
constexpr std::chrono::milliseconds kRetryDelay(200);

using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

Response Text(const Request& request, http::status status, const char* type, std::string body) {
  Response response(status, request.version());
  response.set(http::field::content_type, type);
  response.keep_alive(request.keep_alive());
  response.body() = std::move(body);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

Response Route(const HttpPages& pages, const Request& request) {
  constexpr const char* kPlain = "text/plain; charset=utf-8";
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    Response response = Text(request, http::status::method_not_allowed, kPlain, "GET or HEAD\n");
    response.set(http::field::allow, "GET, HEAD");
    return response;
  }
  const auto target = request.target().substr(0, request.target().find('?'));
  if (target == "/healthz") {
    const std::string reason = pages.not_serving_reason();
    if (reason.empty()) return Text(request, http::status::ok, kPlain, "ok\n");
    return Text(request, http::status::service_unavailable, kPlain, reason + "\n");
  }
  if (target == "/metrics") {
    return Text(request, http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                pages.metrics());
  }
  return Text(request, http::status::not_found, kPlain, "here are /healthz and /metrics\n");
}

// One connection: read a request, answer it, until the peer has had enough.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpPages& pages, int& connections)
      : stream_(std::move(socket)), pages_(pages), connections_(connections) {
    ++connections_;
  }
  ~Connection() { --connections_; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(kMaxHeaderBytes);
    stream_.expires_after(kTimeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->Answer();
                     });
  }

 private:
  void Answer() {
    response_ = Route(pages_, parser_->get());
    stream_.expires_after(kTimeout);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, size_t) {
                        if (!error && self->response_.keep_alive()) self->Read();
                      });
  }

  beast::tcp_stream stream_;
  const HttpPages& pages_;
  int& connections_;
  beast::flat_buffer buffer_{size_t{2} * kMaxHeaderBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  Response response_;
};

class HttpServerImpl final : public HttpServer {
 public:
  explicit HttpServerImpl(HttpPages pages)
      : pages_(std::move(pages)), acceptor_(io_), retry_(io_) {}
  ~HttpServerImpl() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos) return FieldInvalid("http", address, "it must be HOST:PORT");
    const std::string host = address.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');  // IPv6
    beast::error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(bracketed ? host.substr(1, host.size() - 2) : host,
                                        address.substr(colon + 1), tcp::resolver::passive, error);
    if (!error) {
      const tcp::endpoint endpoint = found.begin()->endpoint();
      acceptor_.open(endpoint.protocol(), error);
      if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
      if (!error) acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
      return FieldInvalid("http", address,
                          fmt::format("ckptd cannot listen there: {}", error.message()));
    }
    address_ = fmt::format("{}:{}", host, acceptor_.local_endpoint().port());
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

 private:
  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error) return AcceptLater();
      if (connections_ < kMaxConnections) {
        std::make_shared<Connection>(std::move(socket), pages_, connections_)->Read();
      }
      Accept();
    });
  }

  // Out of descriptors, most likely: the condition would meet the next accept at once.
  void AcceptLater() {
    retry_.expires_after(kRetryDelay);
    retry_.async_wait([this](beast::error_code error) {
      if (!error) Accept();
    });
  }

  HttpPages pages_;
  int connections_ = 0;  // used by the one thread; outlives io_, which may hold connections
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::string address_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              HttpPages pages) {
  auto server = std::make_unique<HttpServerImpl>(std::move(pages));
  if (absl::Status status = server->Listen(address); !status.ok()) return status;
  return server;
}

}  // namespace ckpt::server
