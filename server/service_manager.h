// sd_notify(3): tells systemd, if it started us, where we are.
#pragma once

#include <string_view>

namespace ckpt::server {

// Sends `state`, such as "READY=1", to the socket in $NOTIFY_SOCKET. Does nothing without one.
void NotifyServiceManager(std::string_view state);

}  // namespace ckpt::server
