// One connection to the daemon's local socket: see proto/ckpt/v1/local.proto.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/local.pb.h"
#include "storage/base/unique_fd.h"

namespace ckpt::client {

// Thread-safe. A thread of its own reads the answers.
class LocalConnection {
 public:
  // Connects to the socket at `path` and says Hello, without waiting for the answer: a daemon that
  // refuses ends the connection. UNAVAILABLE: nobody listens there. `again`: the token was good
  // before; a daemon that refuses it now is the next one, and ends the connection with UNAVAILABLE.
  static absl::StatusOr<std::unique_ptr<LocalConnection>> Open(const std::string& path,
                                                               const std::string& token,
                                                               bool again = false);
  // Ends the connection and joins the thread. What was submitted stays the daemon's.
  ~LocalConnection();
  LocalConnection(const LocalConnection&) = delete;
  LocalConnection& operator=(const LocalConnection&) = delete;

  // Differs from that of every other connection of this process; above 0.
  uint64_t serial() const { return serial_; }
  // Why it has ended; OK while it has not.
  absl::Status ended() const;

  // Sends a request, `fd` (unless -1) with it, and gives its id. `held` is let go when the answer
  // has come or the connection has ended, and not before; an Await for it that was not cancelled
  // returns after that. Errors show in Await.
  uint64_t Send(v1::LocalRequest request, int fd, std::shared_ptr<const void> held);
  // Waits for the answer, which is given once. Nothing: the connection has ended, or Cancel.
  std::optional<v1::LocalResponse> Await(uint64_t id);
  // The answer is not wanted any more; an Await for it returns.
  void Cancel(uint64_t id);

 private:
  struct Request {
    std::shared_ptr<const void> held;
    std::optional<v1::LocalResponse> answer;
    bool cancelled = false;
  };

  LocalConnection(UniqueFd socket, bool again);
  void Read();
  bool ReadBytes(char* bytes, size_t size);
  absl::StatusOr<v1::LocalResponse> ReadAnswer();
  void LetGo(uint64_t id);
  void End(const absl::Status& why);

  const uint64_t serial_;
  const UniqueFd socket_;
  const bool again_;
  std::mutex sending_;  // a frame at a time; before mutex_

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Request> requests_;  // without an answer that was fetched
  uint64_t last_id_ = 0;
  absl::Status ended_;

  std::thread reader_;
};

}  // namespace ckpt::client
