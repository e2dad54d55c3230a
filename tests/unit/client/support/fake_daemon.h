// A daemon in this process, small enough to be scripted: real gRPC on a real socket, no disk.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/admin_service.grpc.pb.h"
#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "ckpt/v1/training_service.grpc.pb.h"
#include "ckpt/v1/weight_service.grpc.pb.h"

namespace ckpt::testing {

// An error as the daemon puts it on the wire.
grpc::Status ToGrpc(const absl::Status& status);

// What a test scripts and looks at. Every function object is called under the fake's lock.
struct Script {
  // Policies' answer to an event; unset: no policy acted. Saves are opened by the fake.
  std::function<std::optional<v1::Decision>(const v1::Event&)> decide;
  int64_t quiet_batches = 0;
  // Refuses a Hello.
  std::function<absl::Status(const v1::Hello&)> greet;
  std::vector<v1::PolicyWarnings> warnings;

  // The stream breaks just before the fake handles, or sends, message number N (from 1), once.
  int cut_train_at = 0;
  int cut_upload_at = 0;
  int cut_download_at = 0;
  // Progress is not reported, as if nothing became durable.
  bool hold_progress = false;

  // Answers to the next Finish messages, and to the next chunks; OK ones pass.
  std::vector<absl::Status> finish_errors;
  std::vector<absl::Status> chunk_errors;
  // Bytes that an upload may send at a time: the next ones when those have come. 0: no window.
  int64_t upload_window = 0;
  // Refuses every upload.
  absl::Status upload_error;
  // The upload is answered "not complete yet"; the outcome comes from SendOutcome.
  bool answer_saving = false;
  // Flips a byte of each download after its checksum was made / before.
  bool damage_download_on_wire = false;
  bool damage_stored = false;

  // Of SaveRun: there is no save; it fails after it was decided.
  absl::Status save_refused;
  absl::Status save_failed;
};

class FakeDaemon {
 public:
  // Listens at once; "127.0.0.1:0" picks a port that stays the same over restarts.
  explicit FakeDaemon(std::string listen = "127.0.0.1:0");
  ~FakeDaemon();

  const std::string& address() const { return address_; }
  // Breaks every stream and closes the port; what is "durable" stays.
  void Stop();
  void Restart();

  // Changes the script or reads the records below, under the lock.
  template <typename Function>
  auto With(Function function) {
    std::lock_guard lock(mutex_);
    return function(*this);
  }

  // To every connected trainer.
  void SendDecision(v1::Decision decision);
  void SendOutcome(const v1::SaveOutcome& outcome);
  // Makes a committed checkpoint out of nothing.
  void AddCheckpoint(v1::Checkpoint checkpoint, const std::map<std::string, std::string>& parts);

  Script script;

  // Records.
  std::vector<v1::Hello> hellos;
  std::vector<v1::Event> events;                       // durable, by sequence number from 1
  std::vector<std::map<std::string, double>> metrics;  // of each of them
  std::map<std::string, v1::Checkpoint> open_saves;
  std::map<std::string, v1::Checkpoint> checkpoints;                   // committed
  std::map<std::string, std::map<std::string, std::string>> contents;  // by name, part
  std::map<std::string, std::string> staged;                           // by id/part
  std::vector<v1::AbandonSave> abandoned;
  std::vector<std::string> deleted;
  std::map<std::string, v1::Run> runs;
  std::vector<v1::MetricSeries> series;
  std::vector<v1::GetHistoryRequest> history_requests;
  v1::Status status;
  int batches = 0;      // EventBatch messages
  int resent = 0;       // events that were durable already
  int uploads = 0;      // Upload streams
  int cuts = 0;         // made where the script said
  int half_closes = 0;  // Train streams that ended in good order

 private:
  class Training;
  class Weights;
  class Catalog;
  class Admin;

  void Listen(const std::string& address);
  // With the lock held: opens the saves of a decision and gives them names.
  void OpenSaves(v1::Decision& decision);

  std::mutex mutex_;
  std::string address_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::optional<v1::Decision>> decisions_;  // by sequence number
  int next_save_ = 1;
  uint64_t writer_epoch_ = 0;
};

}  // namespace ckpt::testing
