// What can still be read of a damaged index.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/run_update.h"

namespace ckpt::storage {

// The rows of one run that could be read. Any of them may be missing, or be older than the newest
// that was written.
struct SalvagedRun {
  std::optional<v1::Run> run;
  std::optional<v1::RunProgress> progress;
  std::vector<v1::MetricName> metrics;
  std::map<uint64_t, v1::Checkpoint> checkpoints;  // by id
  std::map<uint64_t, v1::Checkpoint> evictions;    // by id
};

// Events are read when they are asked for; everything else is in memory.
class Salvage {
 public:
  // Reads the index at `path`, which is not changed. `scratch` is the path of a folder that does
  // not exist, on the same file system: a copy made of hard links, in which RocksDB repairs what it
  // can; the caller removes it when the Salvage is gone. An index of which nothing can be read is
  // empty. VERSION_TOO_NEW.
  static absl::StatusOr<std::unique_ptr<Salvage>> Open(const std::string& path,
                                                       const std::string& scratch);
  virtual ~Salvage() = default;

  // By run id.
  virtual const std::map<std::string, SalvagedRun>& runs() const = 0;
  // By rank, then sequence number.
  virtual void ForEachEvent(std::string_view run, absl::FunctionRef<void(EventRow)> each) = 0;
  // Whether every table could be read from end to end, so far.
  virtual bool complete() const = 0;
};

}  // namespace ckpt::storage
