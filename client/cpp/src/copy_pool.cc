#include "client/cpp/src/copy_pool.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace ckpt::client {
namespace {

constexpr size_t kMaxWaste = 2;  // a buffer may be so many times as large as its content

}  // namespace

struct CopyPool::Free {
  // One that `size` bytes fit into, or a new one in the place of one that does not fit.
  std::unique_ptr<std::string> Take(size_t size) {
    const std::lock_guard lock(mutex);
    const auto fitting = std::find_if(buffers.begin(), buffers.end(), [&](const auto& buffer) {
      return buffer->capacity() >= size && buffer->capacity() / kMaxWaste <= size;
    });
    if (fitting == buffers.end()) {
      if (!buffers.empty()) buffers.pop_back();
      return std::make_unique<std::string>();
    }
    std::unique_ptr<std::string> taken = std::move(*fitting);
    buffers.erase(fitting);
    return taken;
  }

  void Return(std::unique_ptr<std::string> buffer) {
    const std::lock_guard lock(mutex);
    buffers.push_back(std::move(buffer));
  }

  std::mutex mutex;
  std::vector<std::unique_ptr<std::string>> buffers;  // guarded by mutex
};

CopyPool::CopyPool() : free_(std::make_shared<Free>()) {}
CopyPool::~CopyPool() = default;

PartBytes CopyPool::Copy(std::string part, std::string_view bytes) {
  std::unique_ptr<std::string> buffer = free_->Take(bytes.size());
  buffer->assign(bytes);
  const std::shared_ptr<std::string> owner(buffer.release(), [free = free_](std::string* returned) {
    free->Return(std::unique_ptr<std::string>(returned));
  });
  return {std::move(part), *owner, owner};
}

size_t CopyPool::kept_bytes() const {
  const std::lock_guard lock(free_->mutex);
  size_t bytes = 0;
  for (const auto& buffer : free_->buffers) bytes += buffer->capacity();
  return bytes;
}

}  // namespace ckpt::client
