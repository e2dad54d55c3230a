#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <thread>

#include "tests/bench/benches.h"
#include "tests/bench/raw_writers.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr double kMillis = 1e3;

// Of one save, seconds.
struct Times {
  double stall = 0;    // until training may go on
  double durable = 0;  // until the bytes would survive a power cut
};

// A way to save. It is done only once it is durable, so that no save waits for the one before it.
struct Saver {
  std::function<void()> hand_over;
  std::function<void()> await_durable;
};

Times TimeOf(const Saver& saver) {
  const double begin = Now();
  saver.hand_over();
  const double stall = Now() - begin;
  saver.await_durable();
  return {.stall = stall, .durable = Now() - begin};
}

// Memory that nobody has touched yet, as each save of a program that keeps no buffer gets it.
class FreshMemory {
 public:
  explicit FreshMemory(size_t size)
      : size_(size),
        bytes_(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (bytes_ == MAP_FAILED) Fail("no memory for a copy");
  }
  ~FreshMemory() { munmap(bytes_, size_); }
  FreshMemory(const FreshMemory&) = delete;
  FreshMemory& operator=(const FreshMemory&) = delete;

  char* data() { return static_cast<char*>(bytes_); }
  std::string_view view() const { return {static_cast<const char*>(bytes_), size_}; }

 private:
  size_t size_;
  void* bytes_;
};

Saver ByDaemon(SavingRun& run) {
  return {.hand_over = [&run] { run.HandOver(); }, .await_durable = [&run] { run.AwaitDurable(); }};
}

// The training thread writes the file.
Saver ByWriting(const std::string& path, std::string_view weights) {
  return {.hand_over = [path, weights] { ReplaceFile(path, weights); }, .await_durable = [] {}};
}

// The training thread copies, and another one writes the file.
Saver ByWritingBehind(const std::string& path, std::string_view weights) {
  const auto writer = std::make_shared<std::thread>();
  const auto hand_over = [path, weights, writer] {
    const auto copy = std::make_shared<FreshMemory>(weights.size());
    std::memcpy(copy->data(), weights.data(), weights.size());
    *writer = std::thread([path, copy] { ReplaceFile(path, copy->view()); });
  };
  return {.hand_over = hand_over, .await_durable = [writer] { writer->join(); }};
}

struct Peer {
  const char* name;
  const char* what;
  double stall_target;  // what ckptd stops training for, as a share of what the peer does
  Saver saver;
  std::vector<Times> times;
};

struct Ours {
  const char* name;
  const char* what;
  bool has_targets;
  Saver saver;
  std::vector<Times> times;
};

struct Measure {
  const char* name;
  const char* what;
  double Times::*time;
};
constexpr Measure kStall = {"stall", "training stopped by a save", &Times::stall};
constexpr Measure kDurable = {"durable", "time until a save is durable", &Times::durable};

Result Compare(const Measure& measure, const Ours& ours, const Peer& peer) {
  std::vector<Sample> samples;
  for (size_t i = 0; i < ours.times.size(); ++i) {
    samples.push_back({.product = ours.times[i].*measure.time * kMillis,
                       .baseline = peer.times[i].*measure.time * kMillis});
  }
  Result result = Summarize(samples);
  result.name = fmt::format("peers/{}/{} {}", peer.name, ours.name, measure.name);
  result.what = fmt::format("{}, {} / {}", measure.what, ours.what, peer.what);
  result.unit = "ms";
  result.better = Better::kLower;
  return result;
}

}  // namespace

std::vector<Result> BenchPeers(const Options& options) {
  const std::string weights = MakeWeights(options.bytes);
  Servers servers(options);
  SavingRun shared(servers.daemon().server(), "shared", weights, Way::kSharedMemory);
  SavingRun grpc(servers.daemon().server(), "grpc", weights, Way::kGrpcCopied);
  Ours ours[] = {{"shm", "in shared memory", true, ByDaemon(shared), {}},
                 {"grpc", "by gRPC, out of a copy", false, ByDaemon(grpc), {}}};
  Peer peers[] = {
      {"sync",
       "write, fdatasync, rename and fsync by the training thread",
       1.0 / 8,
       ByWriting(servers.PathOf("sync"), weights),
       {}},
      {"async",
       "a copy into fresh memory, and the same by another thread",
       1.0 / 3,
       ByWritingBehind(servers.PathOf("async"), weights),
       {}},
  };
  for (int i = 0; i <= options.pairs; ++i) {
    const auto measure = [i](auto& way) {
      const Times times = TimeOf(way.saver);
      if (i > 0) way.times.push_back(times);  // the first save connects, and makes slots and files
    };
    for (Ours& way : ours) measure(way);
    for (Peer& way : peers) measure(way);
  }
  std::vector<Result> results;
  for (const Ours& way : ours) {
    for (const Peer& peer : peers) {
      Result stall = Compare(kStall, way, peer);
      if (way.has_targets) stall.target = peer.stall_target;
      results.push_back(stall);
      results.push_back(Compare(kDurable, way, peer));
    }
  }
  return results;
}

}  // namespace ckpt::bench
