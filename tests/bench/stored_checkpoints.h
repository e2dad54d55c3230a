// Data folders with more checkpoints than can be saved one by one in the time there is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ckpt::bench {

// One run to be made.
struct StoredRun {
  std::string run;
  int64_t checkpoints = 0;
};

// Fills the new data folder `data_dir`, for a daemon to be started on it. The index gets its rows
// through the daemon's own catalog, by the batch that a commit writes. Of the files there are only
// names below runs/, empty copies as a policy with PROJECTION_COPY has them: a daemon looks for
// those at its start, for the weights only when they are read. Each checkpoint is the choice of
// policy "each", and every hundredth of "some", too; both monitor loss, which falls with noise.
// Ends the program if that fails.
void StoreCheckpoints(const std::string& data_dir, const std::vector<StoredRun>& runs);

}  // namespace ckpt::bench
