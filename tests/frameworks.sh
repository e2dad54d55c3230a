#!/usr/bin/env bash
# Runs the Python package's drop-ins against the real frameworks, mypy, ruff and the build over it, and
# the core's tests on what the build gave, under each Python that is there.
#
#   ./tests/frameworks.sh
#
# Keras, TensorFlow, JAX, PyTorch and the tools come from the package registry into build/frameworks;
# some gigabytes, because PyTorch brings its libraries for accelerators. Needs a built daemon
# (./tests/run.sh or cmake). Exit code 77: the registry does not answer, nothing was tested.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/frameworks
packages=(keras tensorflow-cpu jax torch grpcio protobuf google-crc32c xxhash pandas
  build mypy ruff types-protobuf)
export CKPTD_BINARY=$PWD/build/bin/ckptd
export PYTHONPATH=$PWD/client/python/src:$PWD/tests/python
export TF_CPP_MIN_LOG_LEVEL=3 PYTHONDONTWRITEBYTECODE=1

[[ -x $CKPTD_BINARY ]] || {
  echo "frameworks: $CKPTD_BINARY is missing; build it first" >&2
  exit 1
}

step() { echo "frameworks: [$SECONDS s] $*"; }
debian_has() { # debian_has PACKAGE: installs it
  apt-get install --quiet --yes --no-install-recommends "$1" >/dev/null
}

no_registry() { # no_registry WHAT
  step "$1 cannot be had, the package registry does not answer; nothing was tested"
  exit 77
}

if ! /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then
  debian_has python3-venv || no_registry python3-venv
fi
[[ -x $venv/bin/python ]] || /usr/bin/python3 -m venv "$venv"
pip=("$venv/bin/pip" --quiet --disable-pip-version-check)
# Something small, so that what does not install below is an error.
"${pip[@]}" download --no-cache-dir --no-deps --retries 1 --timeout 30 --dest build/registry types-protobuf ||
  no_registry types-protobuf
step "installing ${packages[*]}"
"${pip[@]}" install "${packages[@]}"

/usr/bin/python3 client/python/contract.py
"$venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata, platform
names = ("keras", "tensorflow-cpu", "jax", "torch", "numpy", "grpcio", "protobuf", "pandas")
print("frameworks: Python", platform.python_version(), *(f"{n} {metadata.version(n)}" for n in names))
PYTHON

step "mypy, ruff, wheel and sdist"
(
  cd client/python
  "../../$venv/bin/mypy"
  sources=(--quiet --config pyproject.toml . ../../tests/python ../examples)
  "../../$venv/bin/ruff" check "${sources[@]}"
  "../../$venv/bin/ruff" format --check "${sources[@]}"
)
rm -rf build/python-packages
"$venv/bin/python" -m build --outdir build/python-packages client/python >build/python-packages.log 2>&1 || {
  cat build/python-packages.log
  exit 1
}

passed=0
run() { # run PYTHON TEST…
  local python=$1
  shift
  (cd tests/python/frameworks && "$python" -m unittest "$@")
  passed=$((passed + $#))
}
# The core, as a user installs it, under another Python.
core_on() { # core_on VERSION
  local python environment=build/python-$1
  python=$(find_python "$1") || {
    step "there is no Python $1; the core is not tested under it"
    return
  }
  step "the core under $("$python" --version)"
  "$python" -m venv --clear "$environment"
  PYTHONPATH="" "$environment/bin/pip" install --quiet --disable-pip-version-check \
    build/python-packages/ckptd-*.whl google-crc32c
  (
    cd tests/python
    PYTHONPATH=. "../../$environment/bin/python" -W error::ResourceWarning -m unittest \
      discover --pattern "*_test.py"
  )
  passed=$((passed + 1))
}

find_python() { # find_python VERSION
  local candidate
  for candidate in "/usr/bin/python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    if "$candidate" -c 'import ensurepip' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

python=$PWD/$venv/bin/python

step "Keras on TensorFlow"
export KERAS_BACKEND=tensorflow
run "$python" keras_conformance_test keras_upstream_test
EXAMPLE=keras_digits run "$python" examples_test
step "Keras on JAX"
export KERAS_BACKEND=jax
run "$python" keras_conformance_test keras_scenarios_test keras_upstream_test keras_resume_test
step "Keras on PyTorch"
export KERAS_BACKEND=torch
run "$python" keras_conformance_test keras_upstream_test keras_resume_test keras_ranks_test
step "PyTorch, JAX, pandas"
run "$python" torch_test jax_test reading_test fetch_test
EXAMPLE=torch_digits run "$python" examples_test

if /usr/bin/python3 -c 'import torch' 2>/dev/null || debian_has python3-torch; then
  step "Debian's PyTorch $(/usr/bin/python3 -c 'import torch; print(torch.__version__)')"
  run /usr/bin/python3 torch_test
  EXAMPLE=torch_digits run /usr/bin/python3 examples_test
else
  step "there is no python3-torch; the package is not tested with Debian's PyTorch"
fi

for version in 3.9 3.10 3.11 3.12 3.13; do
  core_on "$version"
done
step "done, $passed modules passed"
