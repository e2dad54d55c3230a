// The one checker of what storage/README.md promises.
#pragma once

#include <string>
#include <vector>

#include "storage/checkpoint_store.h"
#include "tests/unit/storage/testing/expectation.h"
#include "tests/unit/storage/testing/simulated_disk.h"

namespace ckpt::storage {

// What breaks a promise; empty when all are kept. Each begins with the promise, such as "P1".

// Of what users see below runs/ on a disk that no daemon has looked at since the cut.
std::vector<std::string> BrokenNames(const DiskImage& disk, const Expectation& expected);

// Of a store that has been opened again.
std::vector<std::string> BrokenPromises(CheckpointStore& store, const Expectation& expected);

// What a reader of the store sees now: nothing may take it back any more.
void Learn(const CheckpointStore& store, Expectation* expected);
// The same for a store that has recovered: what was asked for and not answered has happened by now,
// or has not.
void Settle(const CheckpointStore& store, Expectation* expected);

}  // namespace ckpt::storage
