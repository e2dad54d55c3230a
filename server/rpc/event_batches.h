// Memory for the events of a trainer's messages.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "ckpt/v1/training_service.pb.h"

namespace ckpt::server {

// A message of events has hundreds of parts: it is made once and used again. Thread-safe. To be
// made as a shared pointer.
class EventBatches : public std::enable_shared_from_this<EventBatches> {
 public:
  // A batch for a message of `message_bytes`; what is in it is left from before. When it is let go,
  // on whatever thread, it is kept for a later call unless four are kept already, the message was
  // over 64 KiB or had more than 256 events, or the batch is found to hold more than 64 KiB, which
  // is looked at once in 64 times. Those that are kept are used in turn, so that each is looked at.
  std::shared_ptr<v1::EventBatch> Take(size_t message_bytes);

 private:
  struct Batch {
    v1::EventBatch events;
    size_t message_bytes = 0;  // of the newest
    int uses = 0;
  };
  void Keep(std::unique_ptr<Batch> batch);

  std::mutex mutex_;
  std::deque<std::unique_ptr<Batch>> kept_;  // guarded by mutex_
};

}  // namespace ckpt::server
