// Events without what protobuf needs for them, in a few pieces of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ckpt/v1/resources.pb.h"

namespace ckpt::storage {

// What history knows of an event. The lists lie elsewhere, and pair up.
struct EventNumbers {
  uint64_t seq = 0;
  int64_t kind = v1::Event::KIND_UNSPECIFIED;
  int64_t epoch = 0;
  int64_t batch = 0;
  int64_t time_unix_nanos = 0;
  std::span<const uint32_t> metrics;  // ids of `values`
  std::span<const double> values;
  std::span<const uint32_t> integer_metrics;  // ids of `integers`
  std::span<const int64_t> integers;
};

// Refers to `event`, whose metric ids and values pair up.
EventNumbers NumbersOf(const v1::Event& event);

// A list of copies. Not thread-safe.
class PackedEvents {
 public:
  // Room for `events` more, which have `values` values between them.
  void Reserve(size_t events, size_t values);
  void Add(const EventNumbers& event);
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  // Refers to this list, until it changes or goes.
  EventNumbers operator[](size_t place) const;

 private:
  struct Entry {
    uint64_t seq;
    int64_t kind;
    int64_t epoch;
    int64_t batch;
    int64_t time_unix_nanos;
    size_t value;  // its first in values_
    size_t integer;
  };

  std::vector<Entry> entries_;
  std::vector<uint32_t> metrics_;  // of values_
  std::vector<double> values_;
  std::vector<uint32_t> integer_metrics_;  // of integers_
  std::vector<int64_t> integers_;
};

}  // namespace ckpt::storage
