// The version of the data folder.
#pragma once

namespace ckpt::storage {

// Version of everything below the data folder but the index: VERSION, manifests, sessions.
inline constexpr int kFormatVersion = 1;

// Version of the index, which has it in itself: 2 brought the columns of history.
inline constexpr int kIndexVersion = 2;

}  // namespace ckpt::storage
