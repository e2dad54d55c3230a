"""Bytes of stored parts, checked on arrival."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Callable

import grpc

from ckptd import v1
from ckptd.errors import DataLossError, Error
from ckptd.internal.crc32c import Bytes, crc32c
from ckptd.internal.digests import content_digest
from ckptd.internal.rpc_status import from_grpc, is_transient


def read_chunks(
    download: Callable[..., Any], server: str, checkpoint: str, part: v1.Part, offset: int = 0
) -> Iterator[bytes]:
    """The content of a part from `offset` on, in order; goes on after broken streams while bytes
    come.

    Errors: those of WeightService.Download; DataLossError also for bytes damaged on their way.
    """
    first = offset
    while offset < part.size:
        begin = offset
        request = v1.DownloadRequest(
            checkpoint=checkpoint, rank=part.rank, part=part.part, offset=offset
        )
        try:
            for response in download(request, wait_for_ready=begin > first):
                if not response.HasField("chunk"):
                    continue
                chunk = response.chunk
                if chunk.offset != offset or chunk.crc32c != crc32c(chunk.data):
                    raise damaged(checkpoint, part, f"from byte {offset} on")
                yield chunk.data
                offset += len(chunk.data)
        except grpc.RpcError as raised:
            error: Error = from_grpc(raised, server)
            if not is_transient(error) or offset == begin:
                raise error from None
        else:
            if offset != part.size:
                raise damaged(checkpoint, part, f"it ends at byte {offset} of {part.size}")


def read_part(chunks: Iterator[bytes], checkpoint: str, part: v1.Part) -> bytearray:
    """The whole of a part, its digest checked where the package xxhash is there."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
    digest = content_digest(memoryview(content))
    if digest and digest != part.xxh3_128:
        raise damaged(checkpoint, part, "its digest differs")
    return content


def write_durably(path: Path, chunks: Iterator[Bytes]) -> None:
    """Nothing appears at `path` until all of it is synced: a file beside it is renamed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            rename_durably(file, partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def rename_durably(file: BinaryIO, partial: Path, path: Path) -> None:
    """Syncs `file`, which is open at `partial`, and names it `path`, in the same folder."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def damaged(checkpoint: str, part: v1.Part, why: str) -> DataLossError:
    return DataLossError(
        f"part '{part.part}' of {checkpoint} was damaged on its way: {why}",
        code="DATA_LOSS",
        reason="BLOB_CORRUPT",
        metadata={"checkpoint": checkpoint, "part": part.part},
    )
