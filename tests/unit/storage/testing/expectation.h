// What the clients of a store know, kept outside of it: what they asked for and what they were
// told. A store may be found with everything that was promised, and with any of what was asked for
// besides, but with nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::storage {

// How far the store is bound to something.
enum class Word {
  kNone,   // nobody asked for it
  kAsked,  // asked for and not answered: it may have happened
  kGiven,  // acknowledged, or seen by a reader: it has happened for good
};

struct ExpectedSave {
  v1::Checkpoint save;                       // as it was decided
  std::map<std::string, std::string> parts;  // bytes by part; all of rank 0
  Word decided = Word::kNone;
  Word received = Word::kNone;  // every part finished
  Word committed = Word::kNone;
  Word named = Word::kNone;      // projected
  Word withdrawn = Word::kNone;  // the save was given up
  Word deleted = Word::kNone;
};

struct ExpectedRun {
  Word created = Word::kNone;
  Word deleted = Word::kNone;
  std::map<uint64_t, ExpectedSave> saves;                            // by id
  std::map<uint64_t, std::pair<Word, v1::EventRecord>> events;       // of rank 0, by seq
  std::map<std::string, std::map<std::string, std::string>> stages;  // bytes by stage and part
};

using Expectation = std::map<std::string, ExpectedRun>;  // by run id

// An expectation that one thread writes while others look at it. Thread-safe.
class Ledger {
 public:
  Ledger() = default;
  explicit Ledger(Expectation expectation) : expectation_(std::move(expectation)) {}

  template <typename Change>
  void Note(Change change) {
    const std::lock_guard lock(mutex_);
    change(expectation_);
    ++version_;
  }
  // Grows with every note.
  int64_t version() const {
    const std::lock_guard lock(mutex_);
    return version_;
  }
  Expectation Read() const {
    const std::lock_guard lock(mutex_);
    return expectation_;
  }

 private:
  mutable std::mutex mutex_;
  Expectation expectation_;  // guarded by mutex_
  int64_t version_ = 0;      // guarded by mutex_
};

}  // namespace ckpt::storage
