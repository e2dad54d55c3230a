// The version of the data folder.
#pragma once

namespace ckpt::storage {

// Version of everything below the data folder: VERSION, index, manifests, sessions.
inline constexpr int kFormatVersion = 1;

}  // namespace ckpt::storage
