// Events of one run on their way into the index.
#pragma once

#include <cstddef>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/history/packed_events.h"

namespace ckpt::storage {

// An event as it is recorded, and the rank it came from.
struct EventRow {
  int rank = 0;
  v1::EventRecord record;
};

// The numbers of all of them, and whole the few that have more to say. Not thread-safe.
class RecordedEvents {
 public:
  // Events of one rank that came one after the other.
  struct Part {
    int rank = 0;
    PackedEvents events;
  };

  void Add(int rank, const v1::Event& event);
  // `row` is kept whole if it has a decision or a stage.
  void Add(EventRow row);
  // Puts `later` behind these.
  void Append(RecordedEvents later);
  // As PackedEvents::Reserve, for those of `rank` that come next.
  void Reserve(int rank, size_t events, size_t values);

  bool empty() const { return size() == 0; }
  size_t size() const;
  const std::vector<Part>& parts() const { return parts_; }      // in order
  const std::vector<EventRow>& whole() const { return whole_; }  // in order

 private:
  PackedEvents& LastOf(int rank);

  std::vector<Part> parts_;
  std::vector<EventRow> whole_;
};

}  // namespace ckpt::storage
