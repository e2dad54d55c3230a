"""The messages of the contract, package ckpt.v1: `v1.Checkpoint`, `v1.Run`, `v1.ErrorReason` …

Their types are in v1.pyi, which contract.py makes, as it makes the descriptors read here. They live
in a pool of their own, so that no other package's protos can clash with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

_PACKAGE = "ckpt.v1."


def _load_files() -> list[Any]:
    files = descriptor_pb2.FileDescriptorSet()
    try:
        files.ParseFromString(resources.files(__package__).joinpath("contract.binpb").read_bytes())
    except FileNotFoundError:
        raise ImportError(
            "ckptd/contract.binpb is missing: this is a source tree, in which"
            " `python3 client/python/contract.py` makes it"
        ) from None
    return list(files.file)


def _messages_of(pool: descriptor_pool.DescriptorPool, files: list[Any]) -> Iterator[Any]:
    """Each message, also those that are declared within others and those made for maps."""
    pending: list[Any] = []
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
        pending += pool.FindFileByName(file.name).message_types_by_name.values()
    while pending:
        message = pending.pop()
        yield message
        pending += message.nested_types


_pool = descriptor_pool.DescriptorPool()
if hasattr(message_factory, "GetMessageClass"):
    _make_class = message_factory.GetMessageClass
else:
    _make_class = message_factory.MessageFactory(_pool).GetPrototype
# All of them, for as long as the process lives. The runtime makes the class of a field's message
# when that is first read, and finds it again by a reference that does not keep it: while the
# garbage collector takes one apart, another thread still gets it, and dies of a segmentation fault.
_classes = {
    message.full_name: _make_class(message) for message in _messages_of(_pool, _load_files())
}


def message_class(full_name: str) -> Any:
    """The class of a message of the contract or of google.rpc. KeyError: there is none."""
    return _classes[full_name]


def method(service: str, name: str) -> Any:
    """The descriptor of a method of a service of the contract."""
    return _pool.FindServiceByName(_PACKAGE + service).FindMethodByName(name)


def __getattr__(name: str) -> Any:
    try:
        value = message_class(_PACKAGE + name)
    except KeyError:
        try:
            enum = _pool.FindEnumTypeByName(_PACKAGE + name)
        except KeyError:
            raise AttributeError(f"ckpt.v1 has no {name!r}") from None
        value = enum_type_wrapper.EnumTypeWrapper(enum)
    globals()[name] = value
    return value
