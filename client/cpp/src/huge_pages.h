// Memory for the content of a whole part.
#pragma once

#include <cstddef>
#include <string>

namespace ckpt::client {

// As content.reserve(size). Where the system has huge pages the memory is made of them: filling it
// for the first time then takes a fraction of the time.
void Reserve(std::string& content, size_t size);

}  // namespace ckpt::client
