// The daemon's end of the local socket, scripted: see proto/ckpt/v1/local.proto.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ckpt/v1/local.pb.h"
#include "storage/base/unique_fd.h"

namespace ckpt::testing {

// Serves one connection at a time, on a thread of its own. Reads content out of slots with pread.
class FakeLocalSocket {
 public:
  // The answer to a request; nothing: it is held back.
  using Answer = std::function<std::optional<v1::LocalResponse>(const v1::LocalRequest&)>;

  // `answer` empty: everything is taken.
  FakeLocalSocket(const std::string& path, std::string token, Answer answer = {});
  ~FakeLocalSocket();

  // Ends the connection, once there is one, as a daemon does that dies, but goes on listening.
  void Break();
  // Answers a request after all, once it has come.
  void Send(const v1::LocalResponse& response);
  // Waits for `count` submits; gives what was in their slots, by part.
  std::map<std::string, std::string> AwaitSubmits(size_t count);
  std::vector<v1::LocalRequest> requests();

  static std::optional<v1::LocalResponse> Stored(const v1::LocalRequest& request);
  static std::optional<v1::LocalResponse> Error(const v1::LocalRequest& request,
                                                const absl::Status& error);

 private:
  void Serve();
  void ServeConnection(int socket);
  std::optional<v1::LocalResponse> Take(const v1::LocalRequest& request, UniqueFd fd);

  const std::string path_;
  const std::string token_;
  const Answer answer_;
  UniqueFd listener_;

  std::mutex mutex_;
  std::condition_variable changed_;
  int connection_ = -1;
  bool stopping_ = false;
  std::vector<v1::LocalRequest> requests_;
  std::map<uint32_t, UniqueFd> slots_;  // of this connection
  std::map<std::string, std::string> submitted_;
  size_t submits_ = 0;

  std::thread thread_;
};

}  // namespace ckpt::testing
