#!/usr/bin/env bash
# Installs what building and testing ckptd on Debian 12 needs and is not there yet.
# Run it as often as you like: when nothing is missing it changes nothing and needs no network.
set -euo pipefail

packages=(
  # Tools
  ca-certificates ccache cmake g++ mold ninja-build pkg-config
  # The daemon and its client
  libboost1.81-dev libcli11-dev libfmt-dev libgrpc++-dev libisal-dev libprotobuf-dev
  librocksdb-dev libspdlog-dev libxxhash-dev libyaml-cpp-dev nlohmann-json3-dev
  prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc
  # Tests and benchmarks
  libbenchmark-dev libgmock-dev libgtest-dev
  # The Python package
  python3 python3-grpcio python3-numpy python3-protobuf
  # Crash tests: system calls that fail, disks that lose their power
  btrfs-progs e2fsprogs fuse3 libnbd-bin mount nbdkit strace xfsprogs
)

die() {
  echo "install-deps: $*" >&2
  exit 1
}

is_installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

command -v apt-get >/dev/null ||
  die "this is no Debian: there is no apt-get. Install what these packages hold: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    die "root is needed. Run as root: apt-get install --no-install-recommends ${missing[*]}"
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes)

echo "install-deps: installing ${missing[*]}" >&2
"${apt[@]}" --error-on=any update >&2 ||
  die "the package lists cannot be updated: is the network down, or a mirror in" \
    "/etc/apt/sources.list gone? Still missing: ${missing[*]}"
"${apt[@]}" install --no-install-recommends "${missing[@]}" >&2 ||
  die "apt-get failed, see above. The packages are those of Debian 12 (bookworm)."
