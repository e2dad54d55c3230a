// A trainer that hands over weights as a user's would: through the client library.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ckpt/run.h"

namespace ckpt::bench {

enum class Way {
  kGrpc,        // straight from `weights`, which stay as they are
  kGrpcCopied,  // out of a copy that the client makes, as of weights that training goes on to
                // change
  kSharedMemory,
};

// File paths of checkpoints: each in the place of the one before it, or beside it.
inline constexpr char kInPlace[] = "last.bin";
inline constexpr char kBeside[] = "{epoch:04d}.bin";

class SavingRun {
 public:
  // `weights` stays valid and unchanged. Ends the program if the daemon refuses.
  SavingRun(const std::string& server, const std::string& run, std::string_view weights, Way way,
            const std::string& filepath = kInPlace);

  // One epoch with a save, until it is durable: HandOver and AwaitDurable.
  void Save();
  // Nothing is decided on.
  void OnBatchEnd();
  // Until training may go on.
  void HandOver();
  void AwaitDurable();

 private:
  std::unique_ptr<Run> run_;
  int64_t epoch_ = 0;
  int64_t batch_ = 0;
};

// Bytes that no file system stores in less space, different in each block.
std::string MakeWeights(int64_t bytes);

}  // namespace ckpt::bench
