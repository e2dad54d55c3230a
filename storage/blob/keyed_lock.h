// One lock for each key.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace ckpt::storage {

// Thread-safe. Outlives its guards.
class KeyedLock {
 public:
  // Gives the key back on destruction.
  class Guard {
   public:
    Guard(Guard&& other) noexcept
        : lock_(std::exchange(other.lock_, nullptr)), key_(std::move(other.key_)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (lock_ == nullptr) return;
      {
        const std::lock_guard guard(lock_->mutex_);
        lock_->held_.erase(key_);
      }
      lock_->released_.notify_all();
    }

   private:
    friend class KeyedLock;
    Guard(KeyedLock* lock, std::string key) : lock_(lock), key_(std::move(key)) {}

    KeyedLock* lock_;
    std::string key_;
  };

  // Waits until nobody else holds the key.
  [[nodiscard]] Guard Lock(std::string key) {
    std::unique_lock wait(mutex_);
    released_.wait(wait, [&] { return !held_.contains(key); });
    held_.insert(key);
    return Guard(this, std::move(key));
  }

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::set<std::string> held_;  // guarded by mutex_
};

}  // namespace ckpt::storage
