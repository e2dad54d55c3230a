#include "server/run/executors.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace ckpt::server {
namespace asio = boost::asio;

namespace {

constexpr int kActorThreads = 2;
constexpr int kHelperThreads = 2;
constexpr int kActorTasksInARow = 64;
constexpr int kDiskTasksInARow = 1;

// Counts tasks that are queued or running. Shared, since the last task may outlive the pool's
// owner.
class IdleCounter {
 public:
  void Add() {
    const std::lock_guard lock(mutex_);
    ++tasks_;
  }
  void Done() {
    const std::lock_guard lock(mutex_);
    if (--tasks_ == 0) idle_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return tasks_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  int64_t tasks_ = 0;
};

// A task that is counted until it has run and everything it holds is gone.
Task Counted(const std::shared_ptr<IdleCounter>& counter, Task task) {
  counter->Add();
  return [counter, task = std::move(task)]() mutable {
    task();
    task = nullptr;
    counter->Done();
  };
}

}  // namespace

// A queue that is run by one thread at a time: one of the pool, or one of TryRun. (A strand of Asio
// hands on to its pool what a thread from outside dispatches.)
class SerialExecutor::Strand : public std::enable_shared_from_this<Strand> {
 public:
  // Others have their turn on the pool after `tasks_in_a_row`.
  Strand(asio::thread_pool& pool, int tasks_in_a_row, std::shared_ptr<IdleCounter> counter)
      : pool_(pool), tasks_in_a_row_(tasks_in_a_row), counter_(std::move(counter)) {}

  void Post(Task task) {
    if (Enqueue(task)) RunLater();
  }
  bool TryRun(Task task) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(running_, true)) return false;
    }
    Counted(counter_, std::move(task))();
    if (More()) RunLater();
    return true;
  }

 private:
  // Whether nobody runs the queue.
  bool Enqueue(Task& task) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(Counted(counter_, std::move(task)));
    return !std::exchange(running_, true);
  }
  bool More() {
    const std::lock_guard lock(mutex_);
    running_ = !queue_.empty();
    return running_;
  }
  Task Next() {
    const std::lock_guard lock(mutex_);
    Task next = std::move(queue_.front());
    queue_.pop_front();
    return next;
  }
  void RunLater() {
    asio::post(pool_, Counted(counter_, [self = shared_from_this()] { self->Run(); }));
  }
  void Run() {
    for (int i = 0; i < tasks_in_a_row_; ++i) {
      Next()();
      if (!More()) return;
    }
    RunLater();
  }

  asio::thread_pool& pool_;
  const int tasks_in_a_row_;
  const std::shared_ptr<IdleCounter> counter_;
  std::mutex mutex_;
  std::deque<Task> queue_;  // guarded by mutex_
  bool running_ = false;    // guarded by mutex_; some thread runs the queue, or will
};

bool SerialExecutor::TryRun(Task task) {
  const std::shared_ptr<Strand> strand = strand_;  // the task may be the end of this object
  return strand->TryRun(std::move(task));
}

void SerialExecutor::Post(Task task) { strand_->Post(std::move(task)); }

class ExecutorsImpl {
 public:
  explicit ExecutorsImpl(int io_threads)
      : disk_threads(io_threads),
        actors(kActorThreads),
        disk(static_cast<size_t>(io_threads)),
        helpers(kHelperThreads),
        timer_guard(asio::make_work_guard(timers)),
        timer_thread([this] { timers.run(); }) {}

  const int disk_threads;
  std::shared_ptr<IdleCounter> counter = std::make_shared<IdleCounter>();
  asio::thread_pool actors;
  asio::thread_pool disk;
  asio::thread_pool helpers;
  asio::io_context timers;
  asio::executor_work_guard<asio::io_context::executor_type> timer_guard;
  std::thread timer_thread;
};

Executors::Executors(int io_threads) : impl_(std::make_unique<ExecutorsImpl>(io_threads)) {}

Executors::~Executors() {
  Stop();
  impl_->actors.join();
  impl_->disk.join();
  impl_->helpers.join();
}

int Executors::io_threads() const { return impl_->disk_threads; }

SerialExecutor Executors::NewActorStrand() {
  return SerialExecutor(
      std::make_shared<SerialExecutor::Strand>(impl_->actors, kActorTasksInARow, impl_->counter));
}

SerialExecutor Executors::NewDiskStrand() {
  return SerialExecutor(
      std::make_shared<SerialExecutor::Strand>(impl_->disk, kDiskTasksInARow, impl_->counter));
}

void Executors::PostDisk(Task task) {
  asio::post(impl_->disk, Counted(impl_->counter, std::move(task)));
}

void Executors::PostHelper(Task task) {
  asio::post(impl_->helpers, Counted(impl_->counter, std::move(task)));
}

void Executors::PostAfter(std::chrono::milliseconds delay, SerialExecutor strand, Task task) {
  auto timer = std::make_shared<asio::steady_timer>(impl_->timers, delay);
  timer->async_wait([timer, strand = std::move(strand),
                     task = std::move(task)](const boost::system::error_code& error) mutable {
    if (!error) strand.Post(std::move(task));
  });
}

void Executors::Stop() {
  impl_->timers.stop();
  if (impl_->timer_thread.joinable()) impl_->timer_thread.join();
  impl_->counter->Wait();
}

}  // namespace ckpt::server
