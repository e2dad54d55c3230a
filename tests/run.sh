#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests. Arguments go to ctest:
#
#   ./tests/run.sh                    everything
#   ./tests/run.sh -L unit            one group (tests/README.md lists them)
#   ./tests/run.sh -R Policy -V       tests by name, with their output
set -euo pipefail
cd "$(dirname "$0")/.."

./deploy/install-deps.sh
cmake --preset release -DCKPT_BUILD_TESTS=ON --log-level=WARNING
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release "$@"
