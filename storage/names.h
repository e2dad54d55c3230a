// Who has which name below runs/: the index decides, the files follow.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/base/names.h"
#include "storage/blob/keyed_lock.h"
#include "storage/catalog/catalog.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Thread-safe. Changes of one run's names wait for each other, so that the file under a name is
// that of the name's owner in the index, whatever the order in which checkpoints are projected and
// evicted.
class Names {
 public:
  // Both outlive this; `root` is the data folder.
  Names(Directory& root, Catalog& catalog) : root_(root), catalog_(catalog) {}

  // As CheckpointStore::CheckName.
  absl::Status Check(std::string_view run, const std::string& filepath);

  // Step 6. As CheckpointStore::Project. Names that belong to a newer checkpoint are left alone.
  absl::StatusOr<v1::Checkpoint> Project(const v1::Checkpoint& checkpoint);

  // What is wrong with a name of a row of the index; empty if it is in place. Of a copy only that
  // it is there: what is in it is its owner's.
  absl::StatusOr<std::string> Problem(const v1::Checkpoint& checkpoint,
                                      const v1::Placement& placement) const;
  // Whether Project has nothing to do for a row of the index.
  absl::StatusOr<bool> AreInPlace(const v1::Checkpoint& checkpoint) const;

  // The first part of step 8: removes the names that no other checkpoint has taken over.
  absl::Status Remove(const v1::Checkpoint& checkpoint);

  // A copy does not tell whose it is. Until it is made, its row says so: sets projection_error of
  // such names before the row is written, for recovery to find.
  static void MarkCopies(v1::Checkpoint* checkpoint);

 private:
  absl::StatusOr<bool> IsOwned(std::string_view run, const std::string& filepath) const;
  absl::StatusOr<bool> IsOwner(const CheckpointRef& ref, const std::string& filepath) const;
  // Has the index say what became of a name, unless it does.
  absl::Status Record(const CheckpointRef& ref, const v1::Placement& placement,
                      const std::string& error);

  Directory& root_;
  Catalog& catalog_;
  KeyedLock runs_;
};

}  // namespace ckpt::storage
