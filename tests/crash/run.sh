#!/usr/bin/env bash
# The crash tests for longer than ctest runs them. Builds first; see tests/README.md.
#
#   ./tests/crash/run.sh --rounds 1000 --seed 7              kills of daemon and trainers
#   ./tests/crash/run.sh power-cuts --file-system xfs --cuts 1000 --seed 7
#   ./tests/crash/run.sh call-sweep                          every file call, in every way
set -euo pipefail
cd "$(dirname "$0")/../.."

what=kill-rounds
if (($#)) && [[ $1 != -* ]]; then
  what=$1
  shift
fi
program=crash_${what//-/_}
./deploy/install-deps.sh
cmake --preset release -DCKPT_BUILD_TESTS=ON --log-level=WARNING
cmake --build --preset release --parallel "$(nproc)" --target "$program"
exec "build/tests/$program" "$@"
