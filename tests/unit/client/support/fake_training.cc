#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_services.h"

namespace ckpt::testing {

grpc::Status FakeDaemon::Training::Train(
    grpc::ServerContext* /*context*/,
    grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>* io) {
  Stream stream{io, {}};
  v1::TrainRequest request;
  grpc::Status status;
  while (status.ok() && io->Read(&request)) {
    std::lock_guard lock(daemon_.mutex_);
    streams_.insert(&stream);
    status = Count();
    if (!status.ok()) break;
    if (request.has_hello()) {
      status = Greet(stream, request.hello());
    } else if (request.has_events()) {
      status = Take(stream, request.events());
    } else if (request.has_abandon()) {
      daemon_.abandoned.push_back(request.abandon());
      daemon_.open_saves.erase(request.abandon().save());
    }
  }
  std::lock_guard lock(daemon_.mutex_);
  streams_.erase(&stream);
  if (status.ok()) ++daemon_.half_closes;
  return status;
}

void FakeDaemon::Training::SendToAll(const v1::TrainResponse& response) {
  std::lock_guard lock(daemon_.mutex_);
  for (Stream* stream : streams_) stream->io->Write(response);
}

grpc::Status FakeDaemon::Training::Count() {
  if (++messages_ != daemon_.script.cut_train_at) return grpc::Status::OK;
  ++daemon_.cuts;
  return {grpc::StatusCode::UNAVAILABLE, "cut by the test"};
}

grpc::Status FakeDaemon::Training::Send(Stream& stream, const v1::TrainResponse& response) {
  grpc::Status status = Count();
  if (status.ok()) stream.io->Write(response);
  return status;
}

grpc::Status FakeDaemon::Training::Greet(Stream& stream, const v1::Hello& hello) {
  daemon_.hellos.push_back(hello);
  if (daemon_.script.greet) {
    const absl::Status refused = daemon_.script.greet(hello);
    if (!refused.ok()) return ToGrpc(refused);
  }
  if (hello.writer_epoch() == 0) {
    ++daemon_.writer_epoch_;
  } else if (hello.writer_epoch() != daemon_.writer_epoch_) {
    return ToGrpc(WriterFenced("run", 0, hello.writer_epoch(), daemon_.writer_epoch_));
  }
  v1::TrainResponse response;
  v1::Welcome* welcome = response.mutable_welcome();
  welcome->mutable_run()->set_name(hello.run());
  welcome->set_writer_epoch(daemon_.writer_epoch_);
  welcome->set_durable_seq(daemon_.events.size());
  welcome->set_quiet_batches(daemon_.script.quiet_batches);
  for (const auto& warnings : daemon_.script.warnings) *welcome->add_warnings() = warnings;
  for (const auto& [name, save] : daemon_.open_saves) *welcome->add_open_saves() = save;
  grpc::Status status = Send(stream, response);
  if (hello.writer_epoch() == 0) return status;
  for (const std::string& save : hello.awaited_saves()) {
    if (daemon_.open_saves.contains(save)) continue;
    v1::TrainResponse ended;
    ended.mutable_outcome()->set_save(save);
    const auto committed = daemon_.checkpoints.find(save);
    if (committed != daemon_.checkpoints.end()) {
      *ended.mutable_outcome()->mutable_checkpoint() = committed->second;
    } else {
      ended.mutable_outcome()->set_reason(v1::ERROR_REASON_SAVE_NOT_OPEN);
    }
    status = Send(stream, ended);
  }
  for (size_t seq = hello.last_decided_seq() + 1; status.ok() && seq <= daemon_.events.size();
       ++seq) {
    if (!daemon_.decisions_[seq - 1].has_value()) continue;
    v1::TrainResponse again;
    *again.mutable_decision() = *daemon_.decisions_[seq - 1];
    status = Send(stream, again);
  }
  return status;
}

grpc::Status FakeDaemon::Training::Take(Stream& stream, const v1::EventBatch& batch) {
  ++daemon_.batches;
  for (const v1::MetricName& name : batch.metrics()) {
    const auto [at, is_new] = stream.names.emplace(name.id(), name.name());
    if (!is_new && at->second != name.name())
      return ToGrpc(ProtocolViolation("two names of an id"));
  }
  for (const v1::Event& event : batch.events()) {
    const grpc::Status status = TakeEvent(stream, event);
    if (!status.ok()) return status;
  }
  if (daemon_.script.hold_progress) return grpc::Status::OK;
  v1::TrainResponse response;
  response.mutable_progress()->set_durable_seq(daemon_.events.size());
  return Send(stream, response);
}

grpc::Status FakeDaemon::Training::TakeEvent(Stream& stream, v1::Event event) {
  if (event.seq() <= daemon_.events.size()) {
    ++daemon_.resent;
    return grpc::Status::OK;
  }
  if (event.seq() != daemon_.events.size() + 1) {
    return ToGrpc(SequenceGap(daemon_.events.size() + 1, event.seq()));
  }
  std::map<std::string, double> metrics;
  for (int i = 0; i < event.metric_ids_size(); ++i) {
    if (!stream.names.contains(event.metric_ids(i))) return ToGrpc(ProtocolViolation("no name"));
    metrics[stream.names[event.metric_ids(i)]] = event.values(i);
  }
  for (int i = 0; i < event.integer_metric_ids_size(); ++i) {
    if (!stream.names.contains(event.integer_metric_ids(i))) {
      return ToGrpc(ProtocolViolation("no name"));
    }
    metrics[stream.names[event.integer_metric_ids(i)]] = static_cast<double>(event.integers(i));
  }
  daemon_.events.push_back(event);
  daemon_.metrics.push_back(std::move(metrics));
  std::optional<v1::Decision> decision;
  if (daemon_.script.decide) decision = daemon_.script.decide(event);
  if (!decision.has_value() && event.wants_decision()) decision.emplace();
  if (decision.has_value()) {
    decision->set_seq(event.seq());
    if (decision->quiet_batches() == 0) decision->set_quiet_batches(daemon_.script.quiet_batches);
    daemon_.OpenSaves(*decision);
    if (!event.staged_upload().empty()) {  // the stage's bytes have arrived: nothing is owed
      for (const v1::Checkpoint& save : decision->saves()) daemon_.open_saves.erase(save.name());
      decision->clear_saves();
    }
  }
  daemon_.decisions_.push_back(decision);
  if (!decision.has_value()) return grpc::Status::OK;
  v1::TrainResponse response;
  *response.mutable_decision() = *decision;
  return Send(stream, response);
}

}  // namespace ckpt::testing
