#include "client/ckptctl/exit_code.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

TEST(ExitCodeTest, ScriptsCanRelyOnThem) {
  const std::vector<std::pair<absl::Status, int>> table = {
      {absl::OkStatus(), 0},
      {Internal("bug"), 1},
      {RunInUse("run"), 1},
      {absl::CancelledError("no"), 1},
      {QueryInvalid("filter", "x", 0, "?"), 2},
      {RunNotFound("run"), 3},
      {AliasUnresolved("run", "best", "none"), 3},
      {absl::UnavailableError("gone"), 4},
      {absl::DeadlineExceededError("late"), 4},
      {BlobCorrupt("c", "p", "damaged"), 5},
  };
  for (const auto& [status, code] : table) EXPECT_EQ(ExitCodeOf(status), code) << status;
  EXPECT_EQ(kInterrupted, 130);
}

}  // namespace
}  // namespace ckpt::ctl
