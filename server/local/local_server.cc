#include "server/local/local_server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "server/local/local_connection.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::chrono::milliseconds kRetryDelay(200);
constexpr size_t kTokenBytes = 16;

absl::StatusOr<std::string> NewToken() {
  std::string token(kTokenBytes, '\0');
  if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    return FileError("getrandom", "token of the local socket", errno);
  }
  return token;
}

absl::Status CannotListen(const std::string& path, std::string_view why) {
  return FieldInvalid("local.socket", path, fmt::format("ckptd cannot listen there: {}", why));
}

class LocalServerImpl final : public LocalServer {
 public:
  LocalServerImpl(const v1::LocalConfig& config, std::string token, const ServerContext& context)
      : services_{config,
                  std::move(token),
                  SlotMemory(int64_t{config.max_total_mib()} << 20),
                  {context, std::max(1, context.executors.io_threads() / 2)}},
        work_(asio::make_work_guard(io_)),
        acceptor_(io_),
        retry_(io_) {}
  ~LocalServerImpl() override {
    // Answers that were given before are sent, as far as their trainers take them.
    asio::post(io_, [this] { io_.stop(); });
    if (thread_.joinable()) thread_.join();
    if (!path_.empty()) unlink(path_.c_str());
  }

  absl::Status Listen();

  const std::string& token() const override { return services_.token; }
  const SlotMemory& slot_memory() const override { return services_.slot_memory; }
  void StopTaking() override;
  void FinishStoring(std::chrono::system_clock::time_point deadline) override {
    services_.submitter.Finish(deadline);
  }

 private:
  absl::Status RemoveStale(const std::string& path);
  void Accept();
  void AcceptLater();

  LocalServices services_;  // outlives io_, which may hold connections
  asio::io_context io_;
  // Answers to what was submitted come when nothing else is waited for any more.
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  stream_protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  std::vector<std::weak_ptr<LocalConnection>> connections_;
  std::string path_;  // of the socket that is ours
  std::thread thread_;
};

// A socket may be left over from a daemon that was killed.
absl::Status LocalServerImpl::RemoveStale(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) return CannotListen(path, "something else than a socket is there");
  stream_protocol::socket probe(io_);
  error_code error;
  probe.connect(stream_protocol::endpoint(path), error);
  if (!error) return CannotListen(path, "another process listens there");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FileError("unlink", path, errno);
  return absl::OkStatus();
}

absl::Status LocalServerImpl::Listen() {
  const std::string& path = services_.config.socket();
  if (path.size() >= sizeof sockaddr_un::sun_path) {
    return CannotListen(
        path, fmt::format("the path is longer than {} bytes", sizeof sockaddr_un::sun_path - 1));
  }
  if (absl::Status status = RemoveStale(path); !status.ok()) return status;
  error_code error;
  const stream_protocol::endpoint endpoint(path);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (error) return CannotListen(path, error.message());
  path_ = path;
  // Who may connect is decided by the peer's user id. Nobody can before listen.
  const mode_t mode = services_.config.allow_uids().empty() ? 0600 : 0666;
  if (chmod(path.c_str(), mode) != 0) return FileError("chmod", path, errno);
  acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return CannotListen(path, error.message());
  Accept();
  thread_ = std::thread([this] { io_.run(); });
  return absl::OkStatus();
}

void LocalServerImpl::Accept() {
  acceptor_.async_accept([this](error_code error, stream_protocol::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) return AcceptLater();
    auto connection = std::make_shared<LocalConnection>(std::move(socket), services_);
    std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
    connections_.push_back(connection);
    connection->Start();
    Accept();
  });
}

// Out of descriptors, most likely: the condition would meet the next accept at once.
void LocalServerImpl::AcceptLater() {
  retry_.expires_after(kRetryDelay);
  retry_.async_wait([this](error_code error) {
    if (!error) Accept();
  });
}

void LocalServerImpl::StopTaking() {
  std::promise<void> stopped;
  asio::post(io_, [this, &stopped] {
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    for (const auto& weak : connections_) {
      if (const auto connection = weak.lock()) connection->Stop();
    }
    stopped.set_value();
  });
  stopped.get_future().wait();
  services_.submitter.AwaitOpened();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalServer>> LocalServer::Start(const v1::LocalConfig& config,
                                                                const ServerContext& context) {
  auto token = NewToken();
  if (!token.ok()) return token.status();
  auto server = std::make_unique<LocalServerImpl>(config, *std::move(token), context);
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace ckpt::server
