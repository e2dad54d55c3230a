// One trainer at the local socket.
#pragma once

#include <sys/socket.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ckpt/v1/config.pb.h"
#include "ckpt/v1/local.pb.h"
#include "server/local/frame.h"
#include "server/local/slot.h"
#include "server/local/submitter.h"
#include "storage/base/unique_fd.h"

namespace ckpt::server {

// Whether a process of user `peer` may connect to a daemon of user `own`. PERMISSION_DENIED.
absl::Status CheckUser(uint32_t peer, uint32_t own, const v1::LocalConfig& config);

// What the connections share. Outlives them.
struct LocalServices {
  const v1::LocalConfig config;
  const std::string token;
  SlotMemory slot_memory;
  Submitter submitter;
  int connections = 0;  // used by the one thread
};

// Lives while an operation on its socket is under way, or a part of it is. Everything happens on
// the thread of the socket's executor. A trainer that dies leaves what it has sent: those requests
// are taken to the end, and its slots are let go as they are stored.
//
// A connection takes kMaxPending requests at a time, unread answers included: a trainer that reads
// none is read no further.
class LocalConnection : public std::enable_shared_from_this<LocalConnection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  static constexpr int kMaxPending = 256;

  LocalConnection(Socket socket, LocalServices& services);
  ~LocalConnection();
  LocalConnection(const LocalConnection&) = delete;
  LocalConnection& operator=(const LocalConnection&) = delete;

  // Begins to read, if the peer may connect; else tells it why not. Once.
  void Start();
  // Reads no more.
  void Stop();

 private:
  struct OwnedSlot {
    std::shared_ptr<const Slot> slot;
    bool busy = false;  // holds a part that is not answered
  };

  absl::Status CheckPeer();
  void Read();
  void Receive();
  absl::Status TakeDescriptors(const msghdr& message);
  void Process();
  absl::Status Take(v1::LocalRequest& request);
  absl::Status OnHello(uint64_t id, const v1::LocalHello& hello);
  absl::Status CheckRoom(int64_t bytes) const;
  absl::Status Register(const v1::RegisterSlot& request);
  absl::Status Release(const v1::ReleaseSlot& request);
  void OnSubmit(uint64_t id, v1::SubmitPart& submit);
  absl::StatusOr<std::shared_ptr<const storage::Content>> ContentOf(const v1::SubmitPart& submit);
  absl::StatusOr<std::shared_ptr<const storage::Content>> FileOf(const v1::SubmitPart& submit);
  void LetGo(const v1::SubmitPart& submit);

  void Answer(v1::LocalResponse response);
  void AnswerError(uint64_t id, const absl::Status& status);
  // Tells the peer why, and reads no more.
  void Refuse(const absl::Status& why);
  void WriteNext();

  Socket socket_;
  boost::asio::steady_timer hello_timer_;
  LocalServices& services_;
  FrameReader reader_;
  UniqueFd descriptor_;  // came with bytes whose frame is not taken yet
  bool welcomed_ = false;
  bool stopped_ = false;  // nothing more is read
  bool waiting_ = false;  // for bytes
  std::map<uint32_t, OwnedSlot> slots_;
  size_t files_ = 0;                // handed over and not answered
  int64_t bytes_ = 0;               // of slots and files
  int pending_ = 0;                 // requests without a written answer
  std::deque<std::string> unsent_;  // frames; the front is being written
  bool mute_ = false;               // the peer takes no answers any more
};

}  // namespace ckpt::server
