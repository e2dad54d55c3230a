"""Runs that are open when the interpreter exits are closed before it does.

`atexit` would be too late: nothing may start a thread there. A thread that waits for the main
thread's end is not: the interpreter waits for it, and everything still works meanwhile.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol


class ClosesAtExit(Protocol):
    def close_at_exit(self) -> None:
        """Waits for a limited time, raises nothing."""


_lock = threading.Lock()
_open: set[ClosesAtExit] = set()
_guarded_process = 0  # whose main thread is waited for


def register(run: ClosesAtExit) -> None:
    global _guarded_process
    with _lock:
        if _guarded_process != os.getpid():  # the first, or the first after a fork
            _guarded_process = os.getpid()
            _open.clear()
            threading.Thread(target=_guard, name="ckptd-exit-guard", daemon=False).start()
        _open.add(run)


def unregister(run: ClosesAtExit) -> None:
    with _lock:
        _open.discard(run)


def _guard() -> None:
    threading.main_thread().join()
    with _lock:
        left = list(_open)
    for run in left:
        run.close_at_exit()


def _forget_in_child() -> None:
    """The parent's lock may have been held, and its runs are not the child's."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


os.register_at_fork(after_in_child=_forget_in_child)
