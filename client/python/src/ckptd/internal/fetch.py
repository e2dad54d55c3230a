"""A stored part on its way into a file: goes on where an interrupted fetch has stopped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, Optional

from ckptd import v1
from ckptd.internal.digests import HAS_DIGESTS, stream_digest
from ckptd.internal.download import damaged, rename_durably, write_durably

_READ_BYTES = 1 << 20

# The content from an offset on.
ChunksFrom = Callable[[int], Iterator[bytes]]


def fetch(path: Path, checkpoint: str, part: v1.Part, chunks_from: ChunksFrom) -> None:
    """Makes `path` the content of `part`; nothing appears there until all of it is synced.

    What comes is kept in PATH.part, for the next fetch to go on with, and verified by its digest at
    the end. Without the package xxhash nothing is kept, and the checksum of each chunk has to do.
    Errors: those of `chunks_from`; DataLossError; OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if HAS_DIGESTS:
        partial = path.with_name(path.name + ".part")
        with _opened_alone(partial) as file:
            if file is not None:
                _complete(file, partial, checkpoint, part, chunks_from)
                rename_durably(file, partial, path)
                return
    write_durably(path, chunks_from(0))


@contextmanager
def _opened_alone(partial: Path) -> Iterator[Optional[BinaryIO]]:
    """None when somebody else is writing it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(partial, flags, 0o666), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.path.samestat(os.fstat(file.fileno()), os.stat(partial))
        except (BlockingIOError, FileNotFoundError):  # or it has just been given its name
            alone = False
        yield file if alone else None


def _complete(
    file: BinaryIO, partial: Path, checkpoint: str, part: v1.Part, chunks_from: ChunksFrom
) -> None:
    """What the file has is taken for the beginning; if the digest then says that it was not, all is
    read once more."""
    if os.fstat(file.fileno()).st_size > part.size:
        file.truncate(0)
    while True:
        digest = stream_digest()
        while block := file.read(_READ_BYTES):
            digest.update(block)
        begin = file.tell()
        for chunk in chunks_from(begin):
            file.write(chunk)
            digest.update(chunk)
        if digest.digest() == part.xxh3_128:
            return
        file.seek(0)
        file.truncate(0)
        if begin == 0:
            partial.unlink()  # nothing in it is worth going on with
            raise damaged(checkpoint, part, "its digest differs")
