#include "tests/unit/client/support/fake_daemon.h"

#include <fmt/format.h>

#include <chrono>

#include "absl/strings/cord.h"
#include "google/rpc/status.pb.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_services.h"

namespace ckpt::testing {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(MessageOf(status)));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(payload));
  });
  return {static_cast<grpc::StatusCode>(status.code()), details.message(),
          details.SerializeAsString()};
}

FakeDaemon::FakeDaemon(std::string listen)
    : training_(std::make_unique<Training>(*this)),
      weights_(std::make_unique<Weights>(*this)),
      catalog_(std::make_unique<Catalog>(*this)),
      admin_(std::make_unique<Admin>(*this)) {
  Listen(listen);
}

FakeDaemon::~FakeDaemon() { Stop(); }

void FakeDaemon::Listen(const std::string& address) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service :
       {static_cast<grpc::Service*>(training_.get()), static_cast<grpc::Service*>(weights_.get()),
        static_cast<grpc::Service*>(catalog_.get()), static_cast<grpc::Service*>(admin_.get())}) {
    builder.RegisterService(service);
  }
  server_ = builder.BuildAndStart();
  const bool is_unix = address.starts_with("unix:");
  address_ = is_unix ? address : fmt::format("127.0.0.1:{}", port);
}

void FakeDaemon::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());  // cancels what is in progress at once
  server_.reset();
}

void FakeDaemon::Restart() {
  Stop();
  Listen(address_);
}

void FakeDaemon::SendDecision(v1::Decision decision) {
  v1::TrainResponse response;
  {
    std::lock_guard lock(mutex_);
    OpenSaves(decision);
  }
  *response.mutable_decision() = std::move(decision);
  training_->SendToAll(response);
}

void FakeDaemon::SendOutcome(const v1::SaveOutcome& outcome) {
  v1::TrainResponse response;
  *response.mutable_outcome() = outcome;
  training_->SendToAll(response);
}

void FakeDaemon::AddCheckpoint(v1::Checkpoint checkpoint,
                               const std::map<std::string, std::string>& parts) {
  std::lock_guard lock(mutex_);
  checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  int64_t size = 0;
  for (const auto& [name, content] : parts) {
    StreamDigest digest;
    digest.Update(content);
    v1::Part* part = checkpoint.add_parts();
    part->set_part(name);
    part->set_size(digest.size());
    part->set_xxh3_128(digest.Whole());
    size += digest.size();
  }
  checkpoint.set_size(size);
  contents[checkpoint.name()] = parts;
  checkpoints[checkpoint.name()] = std::move(checkpoint);
}

void FakeDaemon::OpenSaves(v1::Decision& decision) {
  for (v1::Checkpoint& save : *decision.mutable_saves()) {
    save.set_name(fmt::format("runs/run/checkpoints/{}", next_save_++));
    save.set_state(v1::Checkpoint::STATE_SAVING);
    save.set_seq(decision.seq());
    open_saves[save.name()] = save;
    for (v1::PolicyDecision& policy : *decision.mutable_policies()) policy.set_save(save.name());
  }
}

}  // namespace ckpt::testing
