// What the measurements ran on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace ckpt::bench {

// One line: processor, cores, memory, kernel.
std::string DescribeMachine();

// Uses memory once, so that the first measurement does not pay for the machine giving it out.
void TouchMemory(int64_t bytes);

// CPU seconds, user and system, that a process has used. 0 when there is none.
double CpuSeconds(pid_t process);

// Resident memory of a process, bytes: now, and the most since ResetPeakMemory. 0 when unknown.
int64_t ResidentMemory(pid_t process);
int64_t PeakMemory(pid_t process);
void ResetPeakMemory(pid_t process);

}  // namespace ckpt::bench
