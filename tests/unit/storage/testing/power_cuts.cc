#include "tests/unit/storage/testing/power_cuts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/storage/testing/promises.h"

namespace ckpt::storage {
namespace {

constexpr int kRandomCuts = 4;  // of each moment

// A moment at which the power could go, and what was known then.
struct Moment {
  std::string next_call;
  SimulatedDisk disk;
  Expectation expected;
};

bool ChangesTheDisk(std::string_view operation) {
  constexpr std::array<std::string_view, 13> kOperations = {
      "write",  "sync",     "truncate", "chmod", "create", "mkdir",  "rmdir",
      "rename", "exchange", "link",     "clone", "unlink", "syncdir"};
  return std::ranges::find(kOperations, operation) != kOperations.end();
}

// All the words of an expectation.
std::string WordsOf(const Expectation& expected) {
  std::string words;
  for (const auto& [run, each] : expected) {
    words += fmt::format("{}:{}{};", run, int(each.created), int(each.deleted));
    for (const auto& [id, save] : each.saves) {
      words +=
          fmt::format("{}:{}{}{}{}{}{};", id, int(save.decided), int(save.received),
                      int(save.committed), int(save.named), int(save.withdrawn), int(save.deleted));
    }
    for (const auto& [seq, event] : each.events) {
      words += fmt::format("{}:{};", seq, int(event.first));
    }
  }
  return words;
}

std::vector<Moment> MomentsDuring(SweepRig& rig, const std::function<void()>& act,
                                  const FaultyFileSystem::Plan& pretends) {
  std::vector<Moment> moments;
  const auto take = [&](std::string_view operation, std::string_view path) {
    Expectation expected = rig.ledger.Read();
    // The index's own files are changed under locks that a reader takes, but for its log.
    const bool readable = !path.starts_with("index/") || path.ends_with(".log");
    if (rig.is_open() && readable) Learn(rig.store(), &expected);
    moments.push_back(
        {fmt::format("{} {}", operation, path), SimulatedDisk(rig.disk), std::move(expected)});
  };
  rig.faults.Reset();
  // What RocksDB does in threads of its own is found at the next moment.
  rig.faults.set_plan([&take, pretends, here = std::this_thread::get_id()](
                          int64_t number, std::string_view operation, std::string_view path) {
    if (std::this_thread::get_id() == here && ChangesTheDisk(operation)) take(operation, path);
    return pretends ? pretends(number, operation, path) : 0;
  });
  act();
  rig.faults.set_plan(nullptr);
  take("the end of", "it");
  return moments;
}

}  // namespace

void PowerCuts::During(SweepRig& rig, const std::function<void()>& act, const Visit& visit,
                       const FaultyFileSystem::Plan& pretends) {
  const std::vector<Moment> moments = MomentsDuring(rig, act, pretends);
  for (size_t i = 0; i < moments.size(); ++i) {
    const Moment& moment = moments[i];
    const std::string words = WordsOf(moment.expected);
    for (const Cut cut : kCuts) {
      const int times = cut == Cut::kRandom ? kRandomCuts : 1;
      for (int n = 0; n < times; ++n) {
        std::mt19937_64 random(seed_ + 1000 * i + static_cast<uint64_t>(n));
        const DiskState state{moment.disk.After(cut, random), moment.expected};
        ++covered_;
        if (!seen_.insert({state.disk.Hash(), words}).second) continue;
        visit(fmt::format("cut {} ({} {}, seed {}) before {}", i + 1, CutName(cut), n, seed_,
                          moment.next_call),
              state);
      }
    }
  }
}

}  // namespace ckpt::storage
