// Opening paths beneath a folder, whatever users have put there.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/unique_fd.h"

namespace ckpt::storage {

// Whether `path` has the form of FileSystem's paths: components separated by single slashes, none
// empty, longer than 255 bytes, "." or ".."; no NUL. "." alone is not such a path.
bool IsPlainPath(std::string_view path);

// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS. `path` is plain. Where openat2 is not to
// be had, the same by OpenByWalk. An invalid descriptor and errno on failure; ELOOP for a symbolic
// link.
UniqueFd OpenBeneath(int folder, const std::string& path, int flags, int mode);
// The same, one component at a time.
UniqueFd OpenByWalk(int folder, const std::string& path, int flags, int mode);

}  // namespace ckpt::storage
