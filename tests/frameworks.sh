#!/usr/bin/env bash
# Runs the Python package's drop-ins against the real frameworks, and mypy, ruff and the build over it.
#
#   ./tests/frameworks.sh
#
# Keras, TensorFlow, JAX and the tools come from the package registry into build/frameworks; PyTorch is
# Debian's, because the registry's is built for accelerators and holds gigabytes of them. Needs a built
# daemon (./tests/run.sh or cmake). Exit code 77: the registry does not answer, nothing was tested.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/frameworks
packages=(keras tensorflow-cpu jax grpcio protobuf google-crc32c xxhash pandas
  build mypy ruff types-protobuf)
export CKPTD_BINARY=$PWD/build/bin/ckptd
export PYTHONPATH=$PWD/client/python/src:$PWD/tests/python
export TF_CPP_MIN_LOG_LEVEL=3 PYTHONDONTWRITEBYTECODE=1

[[ -x $CKPTD_BINARY ]] || {
  echo "frameworks: $CKPTD_BINARY is missing; build it first" >&2
  exit 1
}

step() { echo "frameworks: $*"; }

step "installing ${packages[*]}"
if ! /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then
  apt-get install --quiet --yes --no-install-recommends python3-venv >/dev/null
fi
[[ -x $venv/bin/python ]] || /usr/bin/python3 -m venv "$venv"
if ! "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"; then
  step "the package registry does not answer; the drop-ins are not tested"
  exit 77
fi
if ! /usr/bin/python3 -c 'import torch' 2>/dev/null; then
  step "installing python3-torch"
  apt-get install --quiet --yes --no-install-recommends python3-torch >/dev/null ||
    step "python3-torch cannot be installed; PyTorch is not tested"
fi

/usr/bin/python3 client/python/contract.py
"$venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata, platform
names = ("keras", "tensorflow-cpu", "jax", "numpy", "grpcio", "protobuf", "pandas")
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
python=$PWD/$venv/bin/python

step "Keras on TensorFlow"
export KERAS_BACKEND=tensorflow
run "$python" keras_conformance_test keras_upstream_test
EXAMPLE=keras_digits run "$python" examples_test
step "Keras on JAX"
export KERAS_BACKEND=jax
run "$python" keras_conformance_test keras_scenarios_test keras_upstream_test keras_resume_test
step "JAX, pandas"
run "$python" jax_test reading_test fetch_test
if /usr/bin/python3 -c 'import torch; print("frameworks: torch", torch.__version__)' 2>/dev/null; then
  run /usr/bin/python3 torch_test
  EXAMPLE=torch_digits run /usr/bin/python3 examples_test
fi
step "done, $passed modules passed"
