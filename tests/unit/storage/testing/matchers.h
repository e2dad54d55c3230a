// What tests say about statuses.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/errors.h"
#include "storage/fs/file_system.h"

namespace ckpt {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

// An error of this reason, such as "DISK_FULL".
MATCHER_P(HasReason, reason, "") {
  *result_listener << StatusOf(arg);
  return v1::ErrorReason_Name(ReasonOf(StatusOf(arg))) == std::string("ERROR_REASON_") + reason;
}

MATCHER_P(HasErrno, number, "") {
  *result_listener << StatusOf(arg);
  return storage::ErrnoOf(StatusOf(arg)) == number;
}

MATCHER_P(Says, text, "") {
  *result_listener << StatusOf(arg);
  return MessageOf(StatusOf(arg)).find(text) != std::string_view::npos;
}

}  // namespace ckpt

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::ckpt::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::ckpt::IsOk())
