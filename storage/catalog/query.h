// Questions to the catalog, and pages of answers.
#pragma once

#include <string>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"

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

}  // namespace ckpt::storage
