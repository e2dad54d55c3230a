// What a Run says when its user does not take the words over.
#pragma once

#include <string_view>

#include "ckpt/v1/resources.pb.h"

namespace ckpt::client {

// Messages to standard output as the reference callback prints them (on a line of their own, after
// whatever a progress bar has left there), warnings and errors to standard error.
void PrintDecision(const v1::Decision& decision);

// One line on standard error.
void PrintNotice(std::string_view text);

}  // namespace ckpt::client
