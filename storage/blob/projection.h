// Names below runs/: what users see of a checkpoint.
//
// A name is made under a temporary name in its folder and then moved into place, so that at each
// moment users find either the old checkpoint or the new one, whole. Paths are resolved beneath the
// data folder without following symbolic links. Nothing here is locked: callers see to it that one
// name is changed by one thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/policy.pb.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// A name and what is to be seen under it.
struct ProjectedName {
  std::string run;       // run id
  std::string filepath;  // below the run's folder
  v1::StorageOptions::Projection projection = v1::StorageOptions::PROJECTION_UNSPECIFIED;
  std::string blob;                // path of the blob's folder
  std::vector<std::string> files;  // its part files; several become a folder
  std::string temporary;           // name for the time being; begins with kTemporaryPrefix
};

// Tells whether a file path of the run is the name of a checkpoint.
using NameOwned = absl::FunctionRef<absl::StatusOr<bool>(const std::string& filepath)>;

// Whether names of this projection are copies, rather than links to the stored bytes.
bool IsCopy(v1::StorageOptions::Projection projection);

// Whether a checkpoint could be put at `filepath`. PATH_ESCAPES if the path is not plain.
// PATH_BLOCKED if a symbolic link, a folder that is not a checkpoint, or another checkpoint above
// or below is in the way. Only looks.
absl::Status CheckName(Directory& root, std::string_view run, const std::string& filepath,
                       NameOwned owned);

// Step 6: puts a name in place, durably. Errors of CheckName; after an error the name is as it was,
// or as it is to be.
absl::Status PlaceName(Directory& root, const ProjectedName& name, NameOwned owned);

// Whether the name is there and, if it is made of links, leads to the blob.
absl::StatusOr<bool> IsInPlace(Directory& root, const ProjectedName& name);

// Removes the name, durably, and folders that become empty. What is not ours stays: a link that
// does not lead to the blob, other files in a folder of parts.
absl::Status RemoveName(Directory& root, const ProjectedName& name);

}  // namespace ckpt::storage
