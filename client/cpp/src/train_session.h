// A training process's conversation with the daemon, across broken streams and daemon restarts.
//
// A thread of its own keeps one Train stream up:
//   1. Hello, and Welcome; everything up to Welcome.durable_seq leaves the log.
//   2. Every other event is sent (again), then new ones as they come. Events that come while a
//      message is on its way go into the next one together.
//   3. When the stream breaks: a pause, then 1. Errors that a retry cannot cure end the session.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/src/event_log.h"
#include "client/cpp/src/quiet_counter.h"
#include "client/cpp/src/train_stream.h"

namespace ckpt::client {

// Where the saves of a session are kept. Called on the session's thread, not under its lock.
class SaveListener {
 public:
  virtual ~SaveListener() = default;
  // The daemon has decided on a save; its bytes are owed until it ends.
  virtual void OnDecided(const v1::Checkpoint& save) = 0;
  // Whether `save` was announced by OnDecided and has not ended.
  virtual bool Owes(const std::string& save) = 0;
  virtual void OnOutcome(const v1::SaveOutcome& outcome) = 0;
  // The stream is new. Of saves in `open` the daemon may not have the bytes any more.
  virtual void OnWelcomed(const std::vector<std::string>& open) = 0;
  // Names of the saves whose outcome has not come, at most 1,024: a new stream asks for them.
  virtual std::vector<std::string> Awaited() = 0;
  // There will be no other stream: outcomes that have not come will not come any more.
  virtual void OnLost(const absl::Status& why) = 0;
};

struct SessionOptions {
  std::string server;
  v1::Hello hello;  // of a new process
  std::chrono::milliseconds reconnect_timeout{0};
  size_t max_buffered_events = 0;
  // Told, on the session's thread, of each Welcome, before anything is sent after it.
  std::function<void(const v1::Welcome&)> welcomed;
  // Told, on the session's thread, when the daemon is lost and when it is back.
  std::function<void(std::string_view)> notify;
};

// Report comes from one thread at a time; everything else may come from any.
class TrainSession final : private TrainStream::Handler {
 public:
  // When to wait for the decision on an event.
  enum class Ask { kNever, kIfDue, kAlways };

  TrainSession(v1::TrainingService::Stub& stub, SessionOptions options, SaveListener& saves);
  // Breaks the stream, if it is still up, and joins the thread.
  ~TrainSession() override;

  // Waits for the first Welcome. Errors: the daemon's; UNAVAILABLE after reconnect_timeout.
  absl::Status AwaitWelcome();
  // The newest one, limits filled in.
  v1::Welcome welcome() const;

  // Sends an event, whose number is assigned here. Waits while the log is full, and for the
  // decision where `ask` says so; the decision is empty otherwise. On UNAVAILABLE the event may or
  // may not be on its way: it is not to be reported again.
  absl::StatusOr<v1::Decision> Report(v1::Event event, Logs logs, Ask ask);
  // Decisions that came without a Report waiting for them, since the last call.
  std::vector<v1::Decision> TakeUnasked();
  // Gives a save up. Repeated after a reconnect, if need be, until the daemon knows.
  void Abandon(const std::string& save, const std::string& why);

  // Waits until every event reported so far is durable.
  absl::Status AwaitDurable();
  // Ends the stream in good order; waits a few seconds for the daemon to do so too. Every other
  // call fails with FAILED_PRECONDITION from now on.
  void Close();

 private:
  enum class Link { kDown, kUp };

  void OnOpen() override;
  void OnResponse(v1::TrainResponse response) override;
  void OnWritten() override;
  void OnClosing() override;

  void OnWelcome(v1::Welcome welcome);
  void OnDecision(v1::Decision decision);
  void AdoptOpenSaves(const v1::Welcome& welcome);

  void KeepConnected();
  absl::Status RunStream();
  void Notify(const std::string& text);

  // The following need `mutex_`.
  absl::Status Resume(const v1::Welcome& welcome);
  absl::Status Wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done);
  absl::Status Usable() const;
  void Send();

  v1::TrainingService::Stub& stub_;
  const SessionOptions options_;
  SaveListener& saves_;

  // Of the session's thread alone.
  uint64_t last_decided_ = 0;
  bool lost_announced_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // any of what follows
  EventLog log_;
  QuietCounter quiet_;
  std::optional<v1::Welcome> welcome_;
  TrainStream* stream_ = nullptr;
  Link link_ = Link::kDown;
  std::chrono::steady_clock::time_point lost_since_ = std::chrono::steady_clock::now();
  bool writing_ = false;
  bool half_closed_ = false;
  uint64_t awaited_seq_ = 0;  // 0: none
  std::optional<v1::Decision> answer_;
  std::vector<v1::Decision> unasked_;
  std::vector<v1::AbandonSave> abandons_;
  absl::Status last_error_;  // why the link is down
  absl::Status failure_;     // final
  bool closing_ = false;
  bool stopping_ = false;
  bool ended_ = false;  // the thread is done

  std::thread thread_;
};

}  // namespace ckpt::client
