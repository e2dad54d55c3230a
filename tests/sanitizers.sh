#!/usr/bin/env bash
# Builds and runs the tests with sanitizers, whose findings fail the test.
#
#   tests/sanitizers.sh                    both of the following
#   tests/sanitizers.sh asan-ubsan         the whole suite: memory and undefined behaviour
#   tests/sanitizers.sh tsan               policy, storage, catalog and server: data races
#   tests/sanitizers.sh asan-ubsan -L wire    with arguments for ctest
set -euo pipefail
cd "$(dirname "$0")/.."

# Not under the address sanitizer: tests of processes that are stopped at their n-th system call; those
# that measure memory; one that leaves no descriptor for the sanitizer's own; and those whose daemon has
# another clock, by a library that has to come first, as the sanitizer's has.
readonly not_under_asan='^(crash\.(CallSweep|PowerCuts|FailingWrites)|integration_tests\.(RebuildKill|ClockJump)|load_tests\.(Descriptors|Downloads|ManyRuns|Streams|Uploads)|client_test\.LocalSlotTest\.FillingTakesNoFurtherMemory)'
# Not under the thread sanitizer: one test in which gcc's crashes by itself, in protobuf's map of
# values; those that run gRPC, whose hand-overs from thread to thread it cannot see; and sweeps, which
# repeat from one thread, for an hour, what other tests do, too.
readonly not_under_tsan='SaveFreqTest\.RefusesTheRestInPythonsWords|JobStreamTest\.|(FaultSweep|PowerCut|Careless[A-Za-z]*)Test\.'
# Without gRPC, which is not instrumented either and runs all threads.
readonly under_tsan=(storage_test storage_upkeep_test storage_sweep_test catalog_tests policy_tests
  server_tests)

run() {
  local preset=$1 targets=() select=()
  shift
  case "$preset" in
    asan-ubsan) select=(--exclude-regex "$not_under_asan") ;;
    tsan)
      # What RocksDB synchronises cannot be seen: it is not instrumented.
      export TSAN_OPTIONS=ignore_noninstrumented_modules=1
      targets=(--target "${under_tsan[@]}")
      select=(--tests-regex "^($(IFS='|' && echo "${under_tsan[*]}"))\\."
        --exclude-regex "$not_under_tsan")
      ;;
    *)
      sed -n '2,7s/^# \{0,1\}//p' tests/sanitizers.sh >&2
      exit 2
      ;;
  esac
  cmake --preset "$preset" --log-level=WARNING
  cmake --build --preset "$preset" --parallel "$(nproc)" "${targets[@]}"
  ctest --preset "$preset" "${select[@]}" "$@"
}

./deploy/install-deps.sh
export UBSAN_OPTIONS=print_stacktrace=1
if (($#)); then
  run "$@"
else
  run asan-ubsan
  run tsan
fi
