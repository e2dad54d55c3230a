// Questions to the catalog, and pages of answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/history/point.h"

namespace ckpt::storage {

struct CheckpointQuery {
  std::string run;  // run id; empty: all runs
  int page_size = 100;
  std::string page_token;
  std::string filter;
  std::string order_by;
};

struct CheckpointPage {
  std::vector<v1::Checkpoint> checkpoints;
  std::string next_page_token;
};

struct RunPage {
  std::vector<v1::Run> runs;
  std::string next_page_token;
};

struct EventPage {
  std::vector<v1::EventRecord> events;
  std::string next_page_token;
};

// See v1::GetHistoryRequest.
struct SeriesQuery {
  enum class Method { kExtremes, kShape, kNewest };

  std::string run;
  int rank = 0;
  std::string metric;
  size_t points = 1000;  // at least 3
  uint64_t from_seq = 0;
  uint64_t to_seq = 0;  // 0: the newest
  Method method = Method::kExtremes;
};

struct Series {
  std::vector<Point> points;  // by sequence number
  int64_t total = 0;          // points in the range; not counted for kNewest
};

}  // namespace ckpt::storage
