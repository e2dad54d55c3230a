// The trainers of a crash test: one of each kind of run, with what each has been told.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/crash/checker.h"
#include "tests/crash/journal.h"
#include "tests/crash/plan.h"
#include "tests/integration/process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::crash {

// The ways to hand bytes over: "asked" uploads what a decision asks for, "staged" uploads first and
// names the stage in the event.
const std::vector<std::string>& Ways();

// How one trainer process goes about it.
struct Style {
  std::string way;
  int flush_every = 1;  // epochs
};
Style AnyStyle(std::mt19937_64& random, const std::vector<std::string>& ways);

class Fleet {
 public:
  // Journals and logs are kept in `folder`. Runs are named by kind and `generation`.
  Fleet(const integration::ScratchFolder& folder, std::string server, int generation);

  size_t size() const { return runs_.size(); }
  bool HasTrainer(size_t run) const { return runs_[run].trainer != nullptr; }
  // A new process for a run whose last one is gone.
  void Start(size_t run, const Style& style);
  // SIGKILL.
  void Kill(size_t run);
  // SIGSTOP or SIGCONT.
  void Signal(size_t run, int number);
  // Stops the run's trainer and starts another, which takes the run over. The older one goes on
  // with the first ContinueAll after that, and has to find out. Does nothing if there is none yet
  // that has reported something: it might come second.
  void Fence(size_t run, const Style& style);
  void StopAll();
  void ContinueAll();
  void KillAll();

  // SIGTERM to every trainer. Returns what went wrong: a trainer that does not come to its end, or
  // a fenced one that does not notice.
  std::string Finish();

  // See checker.h; `client` is null while there is no daemon. Ends with the first run that a
  // promise to is broken.
  Violations Check(Client* client, const std::string& data_dir) const;
  // Removes every run. What went wrong, or empty.
  std::string DeleteRuns(Client& client, const std::string& data_dir);
  // Saves acknowledged so far.
  int64_t durable_saves() const;

 private:
  struct Trainee {
    Plan plan;
    std::string journal;
    int processes = 0;
    std::unique_ptr<integration::Process> trainer;
    std::map<int, std::unique_ptr<integration::Process>> fenced;  // by number
  };

  const integration::ScratchFolder& folder_;
  const std::string server_;
  std::vector<Trainee> runs_;
};

// Whether the process ends within `seconds`.
bool EndsWithin(integration::Process& process, int seconds);

}  // namespace ckpt::crash
