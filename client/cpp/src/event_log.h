// The events that a crash of the daemon could still take back.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "client/cpp/src/metric_dictionary.h"

namespace ckpt::client {

// Keeps events from their first number until the daemon reports them durable, and knows which of
// them, and which names, the current stream has been given. Not thread-safe.
class EventLog {
 public:
  // The next event is number `durable_seq` + 1. Before any other call.
  void StartAfter(uint64_t durable_seq);

  // Gives `event` the next number.
  uint64_t Append(v1::Event event);
  // Events up to here are durable and are forgotten.
  void Acknowledge(uint64_t durable_seq);
  // A new stream: every event and every name has to be sent (again).
  void Rewind();
  // Copies the next unsent events, and names they need, into the empty `batch`; they count as sent
  // from now on. False when there are none.
  bool TakeBatch(const v1::Limits& limits, v1::EventBatch* batch);

  uint64_t durable_seq() const { return durable_seq_; }
  uint64_t last_seq() const { return durable_seq_ + events_.size(); }
  // The events that are not durable, oldest first.
  const std::deque<v1::Event>& pending() const { return events_; }
  MetricDictionary& dictionary() { return dictionary_; }

 private:
  // Returns the bytes that were added.
  size_t DeclareNames(const v1::Event& event, v1::EventBatch* batch);

  MetricDictionary dictionary_;
  std::deque<v1::Event> events_;  // numbers durable_seq_ + 1 …
  uint64_t durable_seq_ = 0;
  size_t sent_ = 0;             // of events_
  std::vector<bool> declared_;  // by id of a name
};

}  // namespace ckpt::client
