// The snapshots of one run that are held in memory (StorageOptions.PLACEMENT_MEMORY): which are
// complete, which are not needed any more, which are to be persisted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::server {

class RunActor;

// Whether a save is to be kept in memory. All of its placements are, or none.
bool IsSnapshot(const v1::Checkpoint& save);

// No threads, no I/O. Ids are decimal.
class Snapshots {
 public:
  // Stores a part that is held, for its run. To let it go is to let go of its memory.
  using Store = absl::AnyInvocable<void(std::shared_ptr<RunActor>)>;

  // A part of `save` has come, one of `part_count`; it takes the place of one of the same name. If
  // the snapshot is complete now, gives those that are not kept any more, and forgets them:
  // complete ones of which each policy has as many newer ones as it keeps.
  std::vector<std::string> Hold(const v1::Checkpoint& save, const std::string& part, int part_count,
                                Store store);
  // Those to persist now: the newest complete one of each policy, oldest first.
  std::vector<std::string> NewestOfEach() const;
  // The newest complete one; empty if there is none.
  std::string Newest() const;
  // Older ones, complete or not, of no other policies than `save`.
  std::vector<std::string> OlderThan(const v1::Checkpoint& save) const;
  // What stores its parts. It is held no more. Empty if it is not held.
  std::vector<Store> Take(std::string_view id);

  // Takes the complete ones of `other` over.
  void TakeComplete(Snapshots& other);

  std::vector<std::string> ids() const;
  int64_t complete() const;

 private:
  struct Snapshot {
    std::map<std::string, int> kept;  // how many, by policy
    int part_count = 0;
    std::map<std::string, Store> parts;

    bool complete() const { return static_cast<int>(parts.size()) == part_count; }
  };

  bool Needed(std::map<uint64_t, Snapshot>::const_iterator snapshot) const;

  std::map<uint64_t, Snapshot> snapshots_;
};

}  // namespace ckpt::server
