// The checkpoints of a run in the order of one metric.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/index_db.h"

namespace ckpt::storage {

// Whether a checkpoint has a ranking row for this metric value: NaN does not rank.
bool Ranks(double value);

// Walks the ranking rows of one metric, best first; of equal values the lowest id first, whichever
// the direction. Before the first seek and past the end it is not valid.
class RankingCursor {
 public:
  RankingCursor(const ReadView& view, std::string_view run, std::string_view metric,
                bool descending);

  void SeekToFirst();
  // To the first row at or after (value, id) in the order of the walk.
  void Seek(double value, uint64_t id);
  void Next();  // needs Valid()

  bool Valid() const { return valid_; }
  double value() const { return value_; }  // needs Valid()
  uint64_t id() const { return id_; }      // needs Valid()
  absl::Status status() const;

 private:
  // Where the table's cursor is, if that is a row; decodes it.
  void Settle();
  // Descending: from the last row of a value to the first one.
  void SettleAtFirstOfValue();

  std::string prefix_;
  bool descending_;
  Cursor cursor_;
  bool valid_ = false;
  double value_ = 0;
  uint64_t id_ = 0;
  absl::Status damage_;
};

// The metrics by which `checkpoint`, a row of the run, should be ranked and has no ranking row.
absl::StatusOr<std::vector<std::string>> UnrankedMetrics(const ReadView& view, std::string_view run,
                                                         uint64_t id,
                                                         const v1::Checkpoint& checkpoint);

// See CheckpointStore::GetBest. The run exists.
absl::StatusOr<v1::Checkpoint> FindBest(const ReadView& view, std::string_view run,
                                        std::string_view metric, bool maximize,
                                        std::string_view policy);

}  // namespace ckpt::storage
