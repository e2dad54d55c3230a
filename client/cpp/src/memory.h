// Memory for bulk data, without paying the kernel for it again and again.
#pragma once

#include <cstddef>
#include <string>

namespace ckpt::client {

// As content.reserve(size). Where the system has huge pages the memory is made of them: filling it
// for the first time then takes a fraction of the time.
void Reserve(std::string& content, size_t size);

// From the first call on the allocator keeps a few MiB of freed memory, so that the chunks of a
// download, which come and go, find it. What the program itself has set (mallopt, GLIBC_TUNABLES)
// stays. Thread-safe.
void KeepFreedMemory();

}  // namespace ckpt::client
