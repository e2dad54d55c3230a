// The save that nobody's policy decides: an operator asks for it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/policy/decide.h"

namespace ckpt::policy {

// What stands for a policy in the placement of such a save.
inline constexpr std::string_view kOnDemand = "on-demand";

// One save, of the whole model unless every policy is content with weights, as Decide makes them,
// with seq 0 and without metrics: its bytes are those of a later event than the newest. Its name,
// on-demand/{id}, ends as those of the first policy of its payload do, so that it can be read as
// they are, and takes the name of no other checkpoint away. `states` stay as they are. Raises
// `*last_checkpoint_id`. Errors: those of `name_check`.
absl::StatusOr<v1::Decision> DecideOnDemand(const PolicySet& policies, std::string_view run,
                                            int64_t epoch, NameCheck name_check,
                                            std::span<const v1::PolicyState> states,
                                            uint64_t* last_checkpoint_id);

}  // namespace ckpt::policy
