// Threads: a small pool for run actors, which never block, and a bounded pool for disk and index.
#pragma once

#include <chrono>
#include <memory>

#include "absl/functional/any_invocable.h"

namespace ckpt::server {

using Task = absl::AnyInvocable<void()>;

class ExecutorsImpl;

// Runs its tasks one at a time, in the order they were posted, on a pool. Thread-safe, and never
// blocks. The object may go while tasks are pending: they still run.
class SerialExecutor {
 public:
  void Post(Task task);
  // If nothing is queued or running, runs the task on this thread before it returns. Otherwise the
  // task is not run, and it returns false.
  bool TryRun(Task task);

 private:
  friend class Executors;
  class Strand;
  explicit SerialExecutor(std::shared_ptr<Strand> strand) : strand_(std::move(strand)) {}
  std::shared_ptr<Strand> strand_;
};

// Owns the threads. Thread-safe.
class Executors {
 public:
  // `io_threads` for the disk; actors get two.
  explicit Executors(int io_threads);
  ~Executors();  // Stop

  int io_threads() const;

  SerialExecutor NewActorStrand();  // tasks must not block
  SerialExecutor NewDiskStrand();   // tasks may block
  void PostDisk(Task task);         // may block; in any order
  // May block, and for long: a task that makes one of the disk threads faster, and is not waited
  // for by anybody else. Two at a time.
  void PostHelper(Task task);

  // Runs `task` on `strand` after `delay`, unless the threads end before. Thread-safe.
  void PostAfter(std::chrono::milliseconds delay, SerialExecutor strand, Task task);

  // Drops the timers, then returns when no task is queued or running; tasks may post others
  // meanwhile, nobody else may. To be called before what the tasks use goes away.
  void Stop();

 private:
  std::unique_ptr<ExecutorsImpl> impl_;
};

}  // namespace ckpt::server
