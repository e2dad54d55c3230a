#include "ckpt/client.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "client/cpp/src/channel.h"
#include "client/cpp/src/download.h"
#include "client/cpp/src/fetch.h"
#include "client/cpp/src/memory.h"
#include "client/cpp/src/rpc_status.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt {
namespace {

using client::ByteSink;

constexpr int kPageSize = 1000;

}  // namespace

class Client::Impl {
 public:
  explicit Impl(const ClientOptions& options)
      : server_(client::ServerOrDefault(options.server)),
        timeout_(options.timeout),
        control_(client::MakeChannel(server_, client::Traffic::kControl)),
        bulk_(client::MakeChannel(server_, client::Traffic::kBulk)),
        catalog_(v1::CatalogService::NewStub(control_)),
        admin_(v1::AdminService::NewStub(control_)),
        weights_(bulk_) {}

  const std::string& server() const { return server_; }
  v1::CatalogService::Stub& catalog() { return *catalog_; }
  v1::AdminService::Stub& admin() { return *admin_; }

  // One call: Ask<Response>(stub, &Stub::Method, request).
  template <typename Response, typename Stub, typename Method, typename Request>
  absl::StatusOr<Response> Ask(Stub& stub, Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return client::FromGrpc(status, server_);
    return response;
  }

  // One call after the other, until the last page or until `each` has had enough. `items` is the
  // accessor of the response's list.
  template <typename Response, typename Method, typename Request, typename Item>
  absl::Status AskPages(Method method, Request request,
                        const google::protobuf::RepeatedPtrField<Item>& (Response::*items)() const,
                        const std::function<bool(const Item&)>& each) {
    do {
      const absl::StatusOr<Response> page = Ask<Response>(*catalog_, method, request);
      if (!page.ok()) return page.status();
      for (const Item& item : (*page.*items)()) {
        if (!each(item)) return absl::OkStatus();
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return absl::OkStatus();
  }

  // Reads the stream of a call that the daemon works on for as long as it takes.
  template <typename Response, typename Method, typename Request>
  absl::Status Follow(Method method, const Request& request,
                      const std::function<void(const Response&)>& each) {
    grpc::ClientContext context;
    const auto call = ((*admin_).*method)(&context, request);
    for (Response response; call->Read(&response);) each(response);
    return client::FromGrpc(call->Finish(), server_);
  }

  // Reads a part from `offset` on, again and again while streams break but bytes come.
  absl::Status ReadPart(const std::string& checkpoint, const v1::Part& part, int64_t offset,
                        ByteSink sink) {
    v1::DownloadRequest request;
    request.set_checkpoint(checkpoint);
    request.set_rank(part.rank());
    request.set_part(part.part());
    while (true) {
      const int64_t begin = offset;
      request.set_offset(begin);
      absl::Status status =
          client::Download(weights_, server_, request, [&](client::Pieces pieces) {
            for (const std::string_view piece : pieces) offset += std::ssize(piece);
            return sink(pieces);
          });
      if (status.ok() || !client::IsTransient(status) || offset == begin) return status;
      if (!bulk_->WaitForConnected(std::chrono::system_clock::now() + timeout_)) return status;
    }
  }

  // All of a part, verified.
  absl::Status ReadWhole(const std::string& checkpoint, const v1::Part& part, ByteSink sink) {
    WholeDigest digest;
    absl::Status status = ReadPart(checkpoint, part, 0, [&](client::Pieces pieces) {
      for (const std::string_view piece : pieces) digest.Update(piece);
      return sink(pieces);
    });
    if (!status.ok()) return status;
    if (digest.Whole() == part.xxh3_128()) return absl::OkStatus();
    return BlobCorrupt(checkpoint, part.part(), "the received bytes do not match its digest");
  }

 private:
  const std::string server_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<grpc::Channel> control_;
  const std::shared_ptr<grpc::Channel> bulk_;
  const std::unique_ptr<v1::CatalogService::Stub> catalog_;
  const std::unique_ptr<v1::AdminService::Stub> admin_;
  grpc::GenericStub weights_;
};

Client::Client(const ClientOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

const std::string& Client::server() const { return impl_->server(); }

absl::Status Client::ListRuns(std::string_view filter,
                              const std::function<bool(const v1::Run&)>& each) {
  v1::ListRunsRequest request;
  request.set_filter(std::string(filter));
  request.set_page_size(kPageSize);
  return impl_->AskPages<v1::ListRunsResponse>(&v1::CatalogService::Stub::ListRuns, request,
                                               &v1::ListRunsResponse::runs, each);
}

absl::StatusOr<v1::Run> Client::GetRun(std::string_view run) {
  v1::GetRunRequest request;
  request.set_name(RunName(run));
  return impl_->Ask<v1::Run>(impl_->catalog(), &v1::CatalogService::Stub::GetRun, request);
}

absl::Status Client::DeleteRun(std::string_view run) {
  v1::DeleteRunRequest request;
  request.set_name(RunName(run));
  return impl_
      ->Ask<google::protobuf::Empty>(impl_->catalog(), &v1::CatalogService::Stub::DeleteRun,
                                     request)
      .status();
}

absl::Status Client::ListCheckpoints(std::string_view run, std::string_view filter,
                                     std::string_view order_by, int page_size,
                                     const std::function<bool(const v1::Checkpoint&)>& each) {
  v1::ListCheckpointsRequest request;
  request.set_parent(RunName(run.empty() ? "-" : run));
  request.set_filter(std::string(filter));
  request.set_order_by(std::string(order_by));
  request.set_page_size(page_size);
  return impl_->AskPages<v1::ListCheckpointsResponse>(
      &v1::CatalogService::Stub::ListCheckpoints, request,
      &v1::ListCheckpointsResponse::checkpoints, each);
}

absl::StatusOr<v1::Checkpoint> Client::GetCheckpoint(std::string_view run, std::string_view id) {
  v1::GetCheckpointRequest request;
  request.set_name(CheckpointName(run, id));
  return impl_->Ask<v1::Checkpoint>(impl_->catalog(), &v1::CatalogService::Stub::GetCheckpoint,
                                    request);
}

absl::StatusOr<v1::Checkpoint> Client::GetBest(std::string_view run, std::string_view metric,
                                               std::string_view mode, std::string_view policy) {
  v1::GetBestCheckpointRequest request;
  request.set_run(RunName(run));
  request.set_metric(std::string(metric));
  request.set_mode(std::string(mode));
  request.set_policy(std::string(policy));
  return impl_->Ask<v1::Checkpoint>(impl_->catalog(), &v1::CatalogService::Stub::GetBestCheckpoint,
                                    request);
}

absl::Status Client::DeleteCheckpoint(std::string_view run, std::string_view id) {
  v1::DeleteCheckpointRequest request;
  request.set_name(CheckpointName(run, id));
  return impl_
      ->Ask<google::protobuf::Empty>(impl_->catalog(), &v1::CatalogService::Stub::DeleteCheckpoint,
                                     request)
      .status();
}

absl::StatusOr<v1::Checkpoint> Client::Save(
    std::string_view run, std::chrono::milliseconds limit,
    const std::function<bool(const v1::Checkpoint&)>& decided) {
  v1::SaveRunRequest request;
  request.set_name(RunName(run));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + limit);
  const auto call = impl_->catalog().SaveRun(&context, request);
  v1::SaveRunResponse response;
  bool enough = false;
  while (!enough && call->Read(&response)) {
    const bool committed = response.checkpoint().state() == v1::Checkpoint::STATE_COMMITTED;
    enough = committed || !decided(response.checkpoint());
  }
  if (enough) context.TryCancel();  // whatever comes is of no interest
  const absl::Status ended = client::FromGrpc(call->Finish(), impl_->server());
  if (enough) return response.checkpoint();
  return ended.ok() ? absl::InternalError("ckptd ended the call before the save did") : ended;
}

absl::Status Client::ListEvents(std::string_view run,
                                const std::function<bool(const v1::RecordedEvent&)>& each) {
  v1::ListEventsRequest request;
  request.set_parent(RunName(run));
  request.set_page_size(kPageSize);
  return impl_->AskPages<v1::ListEventsResponse>(&v1::CatalogService::Stub::ListEvents, request,
                                                 &v1::ListEventsResponse::events, each);
}

absl::StatusOr<v1::GetHistoryResponse> Client::GetHistory(std::string_view run,
                                                          v1::GetHistoryRequest request) {
  request.set_run(RunName(run));
  return impl_->Ask<v1::GetHistoryResponse>(impl_->catalog(), &v1::CatalogService::Stub::GetHistory,
                                            request);
}

absl::StatusOr<v1::Status> Client::GetStatus() {
  return impl_->Ask<v1::Status>(impl_->admin(), &v1::AdminService::Stub::GetStatus,
                                v1::GetStatusRequest());
}

absl::Status Client::Verify(const v1::VerifyRequest& request,
                            const std::function<void(const v1::VerifyResponse&)>& each) {
  return impl_->Follow(&v1::AdminService::Stub::Verify, request, each);
}

absl::Status Client::Backup(std::string_view path,
                            const std::function<void(const v1::BackupResponse&)>& each) {
  v1::BackupRequest request;
  request.set_path(std::string(path));
  return impl_->Follow(&v1::AdminService::Stub::Backup, request, each);
}

absl::StatusOr<v1::Checkpoint> Client::Fetch(std::string_view run, std::string_view id,
                                             const std::string& path, const FetchOptions& options) {
  absl::StatusOr<v1::Checkpoint> checkpoint = GetCheckpoint(run, id);
  if (!checkpoint.ok()) return checkpoint;
  const auto read = [&](const v1::Part& part, int64_t offset, ByteSink sink) {
    return impl_->ReadPart(checkpoint->name(), part, offset, sink);
  };
  absl::Status status = client::FetchCheckpoint(*checkpoint, path, options, read);
  if (!status.ok()) return status;
  return checkpoint;
}

absl::Status Client::Read(std::string_view run, std::string_view id, std::string_view part,
                          const std::function<absl::Status(std::string_view)>& sink) {
  const absl::StatusOr<v1::Checkpoint> checkpoint = GetCheckpoint(run, id);
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<v1::Part> only = client::SelectOnePart(*checkpoint, part);
  if (!only.ok()) return only.status();
  return impl_->ReadWhole(checkpoint->name(), *only, [&](client::Pieces pieces) {
    absl::Status status;
    for (size_t i = 0; status.ok() && i < pieces.size(); ++i) status = sink(pieces[i]);
    return status;
  });
}

absl::StatusOr<std::string> Client::Read(std::string_view run, std::string_view id,
                                         std::string_view part) {
  const absl::StatusOr<v1::Checkpoint> checkpoint = GetCheckpoint(run, id);
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<v1::Part> only = client::SelectOnePart(*checkpoint, part);
  if (!only.ok()) return only.status();
  std::string content;
  client::Reserve(content, static_cast<size_t>(only->size()));
  absl::Status status = impl_->ReadWhole(checkpoint->name(), *only, [&](client::Pieces pieces) {
    for (const std::string_view piece : pieces) content += piece;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return content;
}

}  // namespace ckpt
