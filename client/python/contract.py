"""Compiles the contract (proto/ckpt/v1) into what the package loads. Run it to use the source tree
without installing; the build runs it, too:

    python3 client/python/contract.py

Writes src/ckptd/contract.binpb, the descriptors that ckptd/v1.py makes its classes of, and
src/ckptd/v1.pyi, their types. Neither is committed. Descriptors instead of generated modules keep
one package good for every protobuf runtime, and apart from other packages with the same protos.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
PACKAGE = HERE / "src" / "ckptd"
DESCRIPTORS = PACKAGE / "contract.binpb"
TYPES = PACKAGE / "v1.pyi"
# In an order in which each is declared after what it uses.
MODULES = (
    "errors",
    "policy",
    "resources",
    "training_service",
    "weight_service",
    "local",
    "catalog_service",
    "admin_service",
)


def _protoc() -> list[str]:
    """Builds bring grpcio-tools along; in the source tree the system's protoc does as well."""
    found = shutil.which("protoc")
    if importlib.util.find_spec("grpc_tools") is not None:
        import grpc_tools

        well_known = Path(grpc_tools.__file__).parent / "_proto"
        if well_known.is_dir():  # it is not in Debian's, which is too old
            return [sys.executable, "-m", "grpc_tools.protoc", f"-I{well_known}"]
    if found is None:
        raise SystemExit(
            "contract.py: neither the Python package grpcio-tools nor protoc is here;"
            " install one of them"
        )
    return [found]


def _one_module(stubs: Path) -> str:
    """protoc writes a stub for each file; the package shows them all as one module."""
    imports: set[str] = set()
    bodies: list[str] = []
    for module in MODULES:
        lines = (stubs / "ckpt" / "v1" / f"{module}_pb2.pyi").read_text().splitlines()
        kept = []
        for line in lines:
            if re.match(r"(from|import) ", line):
                if not line.startswith(("from ckpt.v1 ", "from google.rpc ")):
                    imports.add(line)
            elif not line.startswith("DESCRIPTOR"):
                kept.append(line)
        bodies.append("\n".join(kept))
    text = "\n".join(bodies)
    for module in MODULES:
        text = text.replace(f"_{module}_pb2.", "")
    text = text.replace("_status_pb2.Status", "Any")  # google.rpc has no stubs
    # What strict type checkers miss in protoc's stubs.
    text = re.sub(r"_Mapping(?!\[)", "_Mapping[str, Any]", text)
    text = text.replace("__slots__ = []", "__slots__: tuple[str, ...] = ()")
    head = "# Made by contract.py from proto/ckpt/v1.\nfrom typing import Any\n"
    functions = (
        "def message_class(full_name: str) -> Any: ...\n"
        "def method(service: str, name: str) -> Any: ...\n"
    )
    return head + "\n".join(sorted(imports)) + "\n" + text + "\n" + functions


def generate() -> None:
    """Errors: SystemExit, with what protoc said."""
    if not PROTO.is_dir():
        if DESCRIPTORS.exists() and TYPES.exists():
            return  # a source distribution, which has them already
        raise SystemExit(f"contract.py: {PROTO} is missing, and so are its results")
    files = [f"ckpt/v1/{module}.proto" for module in MODULES]
    with tempfile.TemporaryDirectory() as folder:
        stubs = Path(folder)
        descriptors = stubs / "contract.binpb"
        command = [
            *_protoc(),
            f"-I{PROTO}",
            "--include_imports",
            f"--descriptor_set_out={descriptors}",
            f"--pyi_out={stubs}",
            *files,
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        ]
        result = subprocess.run(command, cwd=PROTO, check=False)
        if result.returncode != 0:
            raise SystemExit("contract.py: protoc failed, see above")
        TYPES.write_text(_one_module(stubs))
        shutil.move(str(descriptors), DESCRIPTORS)


if __name__ == "__main__":
    generate()
