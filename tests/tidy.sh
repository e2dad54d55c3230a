#!/usr/bin/env bash
# Runs clang-tidy with the project's .clang-tidy over the sources; installs it if missing.
#
#   tests/tidy.sh                    every source of storage/, server/ and client/
#   tests/tidy.sh storage/blob tests/unit/storage    those in these folders and below
#
# Any finding is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v clang-tidy >/dev/null; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get --quiet --yes install --no-install-recommends clang-tidy >&2
fi
./deploy/install-deps.sh
# clang cannot read gcc's precompiled headers: the commands without them, in a folder of their own.
cmake -S . -B build/tidy -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
  -DCKPT_PRECOMPILED_HEADERS=OFF -DCKPT_BUILD_BENCH=OFF --log-level=WARNING
cmake --build build/tidy --target ckpt_proto ckpt_proto_grpc

folders=("$@")
((${#folders[@]})) || folders=(storage server client)
exec python3 tests/tidy_together.py "${folders[@]}"
