// The measurements, one a source file. Each runs product and baseline in turn in one process tree
// on one disk, and ends the program when it cannot.
#pragma once

#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/result.h"

namespace ckpt::bench {

// Peak memory of the daemon while it takes a large checkpoint, beside a small one.
std::vector<Result> BenchMemory(const Options& options);
// What a save in shared memory stops training for, beside a copy of the same bytes.
std::vector<Result> BenchStall(const Options& options);
// What a save costs a trainer, beside what it can do by itself: write a file at once, or copy and
// write in the background.
std::vector<Result> BenchPeers(const Options& options);
// Bytes a second from shared memory into a durable checkpoint, beside plain writers.
std::vector<Result> BenchPersist(const Options& options);
// Bytes a second into a durable checkpoint over gRPC, beside a stream that drops the same chunks.
std::vector<Result> BenchUpload(const Options& options);
// Bytes a second out of a checkpoint over gRPC, verified, beside a stream of the same chunks.
std::vector<Result> BenchFetch(const Options& options);
// What a training with a daemon loses: at a batch's end, and in steps while a save becomes durable.
std::vector<Result> BenchTrainer(const Options& options);
// What a daemon with 1,000 connected trainers uses while nothing happens.
std::vector<Result> BenchIdle(const Options& options);
// Durable events a second, beside a stream that drops the same messages; and points, beside
// RocksDB.
std::vector<Result> BenchEvents(const Options& options);
// The newest points of a metric that has many, beside one that has few; and what a point takes.
std::vector<Result> BenchHistory(const Options& options);
// Time to a decision, beside an empty call: idle, and while a checkpoint is uploaded.
std::vector<Result> BenchDecision(const Options& options);
// Growth: events a second, CPU time and memory of the daemon, with more and more runs streaming;
std::vector<Result> BenchScaleRuns(const Options& options);
// points of a metric that has more and more of them;
std::vector<Result> BenchScaleSeries(const Options& options);
// best and list, of a run with more and more checkpoints.
std::vector<Result> BenchScaleCheckpoints(const Options& options);

}  // namespace ckpt::bench
