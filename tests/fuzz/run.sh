#!/usr/bin/env bash
# Fuzzes with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer; installs clang if missing.
#
#   tests/fuzz/run.sh                     every target for 60 seconds
#   tests/fuzz/run.sh 600 template query  these, for ten minutes each
#
# What is found lies in build/fuzz-clang/found/. New inputs that reach new code go to
# build/fuzz-clang/corpus/; those worth keeping are copied to tests/fuzz/corpus/ by hand.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(column_block command config key local local_session log name query record template
  upload)

packages=()
command -v clang++ >/dev/null || packages+=(clang)
compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a' >/dev/null ||
  packages+=(libclang-rt-14-dev)
if ((${#packages[@]})); then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get --quiet --yes install --no-install-recommends "${packages[@]}" >&2
fi

./deploy/install-deps.sh
cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz --parallel "$(nproc)" --target "${targets[@]/%/_fuzz}"

build=build/fuzz-clang
for target in "${targets[@]}"; do
  mkdir -p "$build/corpus/$target" "$build/found"
  echo "== $target, $seconds s" >&2
  "$build/fuzz/${target}_fuzz" "$build/corpus/$target" "tests/fuzz/corpus/$target" \
    -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/found/$target-" 2>&1 | tail -n 8
done
