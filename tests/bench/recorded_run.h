// Runs with many events, and questions about their metrics.
#pragma once

#include <cstdint>
#include <string>

#include "ckpt/client.h"
#include "ckpt/v1/catalog_service.pb.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {

// Makes `run` with `events` batch ends, all of them durable. Ends the program if that fails.
void RecordRun(integration::DaemonProcess& daemon, const std::string& run, int64_t events);

// Milliseconds for 1,000 points of one metric of a recorded run, chosen by `method`.
double AskHistory(Client& client, const std::string& run, v1::GetHistoryRequest::Method method);

}  // namespace ckpt::bench
