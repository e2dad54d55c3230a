// What a trainer has been told, kept outside of the daemon and its data folder.
//
// A trainer writes each line with one system call before it goes on, so the journal survives a kill
// at any moment. The lines, each after the number of the process that wrote it:
//
//   begin EPOCH BATCH                         the event is about to be reported
//   decided EPOCH BATCH [POLICY=ID:PATH …]    the decision has come; the saves it opened
//   durable                                   Flush returned OK
//   failed TEXT                               Flush, or an event, returned an error
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ckpt/v1/resources.pb.h"
#include "storage/base/unique_fd.h"
#include "tests/crash/plan.h"

namespace ckpt::crash {

class JournalWriter {
 public:
  JournalWriter(const std::string& path, int process);

  void Begin(const Moment& moment) { Write("begin " + Text(moment)); }
  void Decided(const Moment& moment, const v1::Decision& decision);
  void Durable() { Write("durable"); }
  void Failed(std::string text);

 private:
  void Write(const std::string& line);

  UniqueFd file_;
  const int process_;
};

// A save that a trainer has been told of.
struct ExpectedSave {
  std::string policy;
  std::string id;
  std::string path;
};

// One event. What is neither decided nor durable is pending: it may or may not have happened.
struct ExpectedEvent {
  bool decided = false;             // `saves` is what was decided
  bool durable = false;             // the event is recorded, and each of the saves is committed
  std::vector<ExpectedSave> saves;  // empty: SKIP
};

struct Expected {
  std::map<Moment, ExpectedEvent> events;  // every event that may have been reported
  int64_t durable_saves = 0;
  int newest_process = 0;  // that has reported an event

  int64_t next_epoch() const { return events.empty() ? 0 : events.rbegin()->first.epoch + 1; }
};

// Empty if there is no journal yet.
Expected ReadJournal(const std::string& path);

}  // namespace ckpt::crash
