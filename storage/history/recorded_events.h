// Events of one run on their way into the index.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::storage {

// An event as it is recorded, and the rank it came from.
struct EventRow {
  int rank = 0;
  v1::EventRecord record;
};

// A list. Most events are nothing but an event, and stay where they were received: they are many,
// and are not copied. Copies of a list share what it refers to. Not thread-safe.
class RecordedEvents {
 public:
  struct Row {
    int rank = 0;
    const v1::Event* event = nullptr;         // never null
    const v1::EventRecord* record = nullptr;  // `event` and what it has besides; null: nothing
  };

  // Nobody may change `event` from now on; it lives as long as something that is kept, see Keep.
  void Add(int rank, const v1::Event& event) { rows_.push_back({rank, &event, nullptr}); }
  void Add(EventRow row);
  // `owner` stays until this list and its copies are gone.
  void Keep(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }
  // Puts `later` behind these.
  void Append(RecordedEvents later);
  void Reserve(size_t rows) { rows_.reserve(rows); }

  bool empty() const { return rows_.empty(); }
  size_t size() const { return rows_.size(); }
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }

 private:
  std::vector<Row> rows_;
  std::vector<std::shared_ptr<const void>> owners_;
};

}  // namespace ckpt::storage
