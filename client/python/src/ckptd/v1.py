"""The messages of the contract, package ckpt.v1: `v1.Checkpoint`, `v1.Run`, `v1.ErrorReason` …

Their types are in v1.pyi, which contract.py makes, as it makes the descriptors read here. They live
in a pool of their own, so that no other package's protos can clash with them.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

_PACKAGE = "ckpt.v1."


def _load_pool() -> descriptor_pool.DescriptorPool:
    files = descriptor_pb2.FileDescriptorSet()
    try:
        files.ParseFromString(resources.files(__package__).joinpath("contract.binpb").read_bytes())
    except FileNotFoundError:
        raise ImportError(
            "ckptd/contract.binpb is missing: this is a source tree, in which"
            " `python3 client/python/contract.py` makes it"
        ) from None
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _load_pool()


def message_class(full_name: str) -> Any:
    """The class of a message of the contract or of google.rpc. KeyError: there is none."""
    descriptor = _pool.FindMessageTypeByName(full_name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_pool).GetPrototype(descriptor)


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
