#include "client/cpp/src/local_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/cpp/src/rpc_status.h"
#include "storage/base/errors.h"

namespace ckpt::client {

namespace {

// Snapshots that stay with the daemon, and one more while it drops another.
size_t Kept(const v1::Welcome& welcome) {
  size_t kept = 0;
  for (const v1::CheckpointPolicy& policy : welcome.run().policies()) {
    if (policy.options().placement() != v1::StorageOptions::PLACEMENT_MEMORY) continue;
    kept += static_cast<size_t>(std::max(1, policy.options().snapshots()));
  }
  return kept == 0 ? 0 : kept + 1;
}

}  // namespace

LocalLink::LocalLink(LocalOptions options)
    : options_(std::move(options)), pool_(std::make_shared<LocalPool>(options_.snapshots)) {}

void LocalLink::OnWelcome(const v1::Welcome& welcome) {
  if (!options_.enabled) return;
  pool_->Allow(options_.snapshots + Kept(welcome));
  std::shared_ptr<LocalConnection> before;  // let go outside of the lock
  std::unique_lock lock(mutex_);
  const bool same = welcome.local_token() == token_;
  if (same && connection_ != nullptr && connection_->ended().ok()) return;
  path_ = welcome.local_socket();
  token_ = welcome.local_token();
  before = std::move(connection_);
  refused_ = absl::OkStatus();
  if (path_.empty()) return;
  const absl::Status connected = Connect(/*again=*/false);
  const bool reserve = connected.ok() && options_.reserve > 0 && !std::exchange(reserved_, true);
  lock.unlock();
  if (!connected.ok()) Complain(connected);
  if (reserve) pool_->Reserve(options_.reserved, options_.reserve);
}

std::shared_ptr<LocalConnection> LocalLink::connection() {
  std::shared_ptr<LocalConnection> ended;  // let go outside of the lock
  std::unique_lock lock(mutex_);
  if (connection_ == nullptr || connection_->ended().ok()) return connection_;
  ended = std::move(connection_);
  // A daemon that is gone comes back; other reasons do not pass.
  if (absl::IsUnavailable(ended->ended())) {
    Connect(/*again=*/true).IgnoreError();
    return connection_;
  }
  refused_ = ended->ended();
  lock.unlock();
  Complain(ended->ended());
  return nullptr;
}

absl::Status LocalLink::refused() {
  std::lock_guard lock(mutex_);
  return refused_;
}

absl::Status LocalLink::Connect(bool again) {
  absl::StatusOr<std::unique_ptr<LocalConnection>> opened =
      LocalConnection::Open(path_, token_, again);
  if (!opened.ok()) return opened.status();
  connection_ = *std::move(opened);
  return absl::OkStatus();
}

LocalSlot* LocalLink::Fill(LocalSnapshot& snapshot, size_t place, std::string_view bytes) {
  std::unique_ptr<LocalSlot> released;
  LocalSlot* slot = snapshot.Fit(place, bytes.size(), released);
  const std::shared_ptr<LocalConnection> connected = connection();
  if (released != nullptr && connected != nullptr &&
      released->registered_on == connected->serial()) {
    v1::LocalRequest request;
    request.mutable_release_slot()->set_slot(released->number());
    connected->Cancel(connected->Send(std::move(request), -1, nullptr));
  }
  if (slot == nullptr) {
    Complain(absl::ResourceExhaustedError("there is not enough memory for a slot"));
  } else {
    slot->Fill(bytes);
  }
  return slot;
}

void LocalLink::Complain(const absl::Status& why) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(complained_, true)) return;
  }
  if (!options_.notify) return;
  options_.notify(fmt::format("no hand-over in shared memory ({}); weights go over gRPC instead",
                              MessageOf(why)));
}

LocalSubmission::LocalSubmission(std::shared_ptr<LocalConnection> connection,
                                 const v1::UploadStart& start, LocalSlot& slot,
                                 const std::shared_ptr<LocalSnapshot>& snapshot)
    : connection_(std::move(connection)), slot_(slot) {
  if (slot.registered_on != connection_->serial()) {
    v1::LocalRequest request;
    request.mutable_register_slot()->set_slot(slot.number());
    request.mutable_register_slot()->set_size(static_cast<int64_t>(slot.capacity()));
    registered_ = connection_->Send(std::move(request), slot.fd(), snapshot);
    slot.registered_on = connection_->serial();
  }
  v1::LocalRequest request;
  v1::SubmitPart& submit = *request.mutable_submit();
  *submit.mutable_start() = start;
  submit.set_slot(slot.number());
  submit.set_generation(slot.generation());
  submitted_ = connection_->Send(std::move(request), -1, snapshot);
}

LocalSubmission::Outcome LocalSubmission::Await() {
  const auto lost = [this] { return Outcome{std::nullopt, connection_->ended()}; };
  if (registered_ != 0) {
    const std::optional<v1::LocalResponse> registered = connection_->Await(registered_);
    if (!registered.has_value()) return lost();
    if (registered->has_error()) {
      slot_.registered_on = 0;
      return {std::nullopt, FromDetails(registered->error())};
    }
  }
  const std::optional<v1::LocalResponse> answer = connection_->Await(submitted_);
  if (!answer.has_value()) return lost();
  if (answer->has_error()) return {FromDetails(answer->error()), absl::OkStatus()};
  return {answer->stored(), absl::OkStatus()};
}

void LocalSubmission::Cancel() {
  connection_->Cancel(registered_);
  connection_->Cancel(submitted_);
}

}  // namespace ckpt::client
