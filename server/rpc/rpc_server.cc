#include "server/rpc/rpc_server.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <netdb.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "server/rpc/admin_service.h"
#include "server/rpc/catalog_service.h"
#include "server/rpc/training_service.h"
#include "server/rpc/weight_service.h"
#include "storage/base/errors.h"
#include "storage/base/unique_fd.h"

namespace ckpt::server {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr int kMaxMessageBytes = 4 << 20;
// What gRPC may hold of what has come, besides the uploads' own budget. Where all keep to their
// windows, little of it is used; two hundred uploads that ignore them fill it, and a few calls may
// end, a trainer's perhaps: it comes again, as IsTransient of the client says.
constexpr int64_t kReceiveBytes = int64_t{512} << 20;
constexpr std::chrono::milliseconds kMaxKeepaliveTimeout(20'000);
constexpr int kMinPingIntervalMs = 10'000;

std::string WhyNotBound(const sockaddr* address, socklen_t size) {
  const UniqueFd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() || bind(socket.get(), address, size) != 0) {
    return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): start-up has one thread
  }
  return "it is in use or not permitted";
}

// gRPC only says that it failed; asks the system why.
std::string WhyNotListening(const std::string& address) {
  if (address.starts_with(kUnix)) {
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string path = address.substr(kUnix.size());
    if (path.size() >= sizeof name.sun_path) {
      return fmt::format("the path is longer than {} bytes", sizeof name.sun_path - 1);
    }
    path.copy(name.sun_path, path.size());
    return WhyNotBound(reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "it must be HOST:PORT or unix:PATH";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(),
                                &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string why = WhyNotBound(found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return why;
}

absl::Status CannotListen(const std::string& address) {
  return FieldInvalid("listen", address,
                      fmt::format("ckptd cannot listen there: {}", WhyNotListening(address)));
}

// gRPC removes a socket that is in its way, as it must after a crash; that of a process which still
// answers would be stolen from it.
bool SomebodyAnswers(const std::string& address) {
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = address.substr(kUnix.size());
  if (path.size() >= sizeof name.sun_path) return false;
  path.copy(name.sun_path, path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return socket.valid() &&
         connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
}

// gRPC's own log is for its developers; what matters of it reaches us as a status.
void LogFromGrpc(gpr_log_func_args* args) {
  spdlog::debug("grpc {}:{}: {}", args->file, args->line, args->message);
}

// The window of a fast stream grows, whether it is read or not. gRPC 1.51 makes windows smaller as
// the quota fills; when it is full, it frees buffers, lets idle connections go, and then ends calls
// (RESOURCE_EXHAUSTED).
void BoundMemory(grpc::ServerBuilder& builder, int64_t upload_bytes) {
  grpc::ResourceQuota quota("ckptd");
  quota.Resize(static_cast<size_t>(upload_bytes + kReceiveBytes));
  builder.SetResourceQuota(quota);
}

class RpcServerImpl final : public RpcServer {
 public:
  explicit RpcServerImpl(const ServerContext& context)
      : training_(context), weights_(context), catalog_(context), admin_(context) {}

  absl::Status Listen(const RpcOptions& options, int64_t upload_bytes);

  const std::vector<std::string>& addresses() const override { return addresses_; }
  void SetServing(bool serving) override;
  void Shutdown(std::chrono::system_clock::time_point deadline) override {
    server_->Shutdown(deadline);
    server_->Wait();
  }

 private:
  TrainingServiceImpl training_;
  WeightServiceImpl weights_;
  CatalogServiceImpl catalog_;
  AdminServiceImpl admin_;
  std::vector<std::string> addresses_;
  std::unique_ptr<grpc::Server> server_;
};

absl::Status RpcServerImpl::Listen(const RpcOptions& options, int64_t upload_bytes) {
  gpr_set_log_function(LogFromGrpc);
  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  BoundMemory(builder, upload_bytes);
  const std::chrono::milliseconds keepalive = options.keepalive;
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(keepalive.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             static_cast<int>(std::min(keepalive, kMaxKeepaliveTimeout).count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.RegisterService(&training_);
  builder.RegisterService(&weights_);
  builder.RegisterService(&catalog_);
  builder.RegisterService(&admin_);
  std::vector<int> ports(options.listen.size());
  for (size_t i = 0; i < options.listen.size(); ++i) {
    if (options.listen[i].starts_with(kUnix) && SomebodyAnswers(options.listen[i])) {
      return FieldInvalid("listen", options.listen[i], "another process listens there");
    }
    builder.AddListeningPort(options.listen[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  server_ = builder.BuildAndStart();
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& address = options.listen[i];
    if (ports[i] == 0) return CannotListen(address);
    const bool is_unix = address.starts_with(kUnix);
    addresses_.push_back(
        is_unix ? address : fmt::format("{}:{}", address.substr(0, address.rfind(':')), ports[i]));
  }
  if (server_ == nullptr) return CannotListen(fmt::format("{}", fmt::join(options.listen, ", ")));
  return absl::OkStatus();
}

void RpcServerImpl::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus(serving);
  for (const char* service :
       {v1::TrainingService::service_full_name(), v1::WeightService::service_full_name(),
        v1::CatalogService::service_full_name(), v1::AdminService::service_full_name()}) {
    health->SetServingStatus(service, serving);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcOptions& options,
                                                            const ServerContext& context) {
  auto server = std::make_unique<RpcServerImpl>(context);
  absl::Status status = server->Listen(options, context.upload_budget.bytes());
  if (!status.ok()) return status;
  return server;
}

}  // namespace ckpt::server
