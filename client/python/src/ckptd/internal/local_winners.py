"""Winners at the place where the script itself looks for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ckptd.internal.crc32c import Bytes
from ckptd.internal.download import write_durably


@dataclass(frozen=True)
class Template:
    """A script's filepath, split into a folder of the script's and a template for the daemon.

    A relative path is the daemon's as it is. Of an absolute one, or one with "..", the daemon gets
    what comes after the last folder without a variable in it.
    """

    filepath: str
    folder: str
    remote: str

    @staticmethod
    def of(filepath: str) -> Template:
        path = os.path.normpath(filepath)
        parts = path.split(os.sep)
        if not os.path.isabs(path) and ".." not in parts:
            return Template(filepath, "", path)
        fixed = 0
        while fixed < len(parts) - 1 and "{" not in parts[fixed]:
            fixed += 1
        folder = os.sep.join(parts[:fixed]) or os.sep
        return Template(filepath, folder, os.sep.join(parts[fixed:]))

    def local(self, remote: str) -> str:
        """Where the script looks for what the daemon calls `remote`."""
        return os.path.join(self.folder, remote)


class LocalWinners:
    """Puts files in place, each only if it is newer than what was put there before. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._placed: dict[str, int] = {}  # path -> id of the checkpoint

    def place(self, path: str, checkpoint_id: int, chunks: Iterator[Bytes]) -> None:
        """Atomically: at any moment there is the old file or the new one."""
        with self._lock:
            if self._placed.get(path, 0) >= checkpoint_id:
                return
            write_durably(Path(path), chunks)
            self._placed[path] = checkpoint_id


def check_is_no_folder(path: str) -> None:
    """Errors: IsADirectoryError, in the words of the reference."""
    if os.path.isdir(path):
        raise IsADirectoryError(
            "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an"
            f" existing directory: {path}"
        )
