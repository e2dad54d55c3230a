"""The real ckptd, as a child, for tests."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path
from typing import Optional

BINARY = os.environ.get("CKPTD_BINARY", "")


class Daemon:
    """A daemon that may be killed and started again on the same data folder and address."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.server = f"unix:{folder}/ckptd.sock"
        self._log = folder / "ckptd.log"
        self._config = folder / "ckptd.yaml"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify_path = str(folder / "notify.sock")
        self._notify.bind(self._notify_path)
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self, config: str = "") -> None:
        """Returns when the daemon says that it is ready. `config`: YAML. Errors: RuntimeError, with
        the daemon's last words, when it ends instead."""
        self._config.write_text(config)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    BINARY,
                    "--data-dir",
                    str(self.data),
                    "--listen",
                    self.server,
                    "--http",
                    "127.0.0.1:0",
                    "--config",
                    str(self._config),
                ],
                env={**os.environ, "NOTIFY_SOCKET": self._notify_path},
                stdout=log,
                stderr=log,
            )
        self._await_ready(self._process)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        ended = os.pidfd_open(process.pid)
        try:
            while True:
                ready, _, _ = select.select([self._notify, ended], [], [])
                if self._notify not in ready:
                    break
                if b"READY=1" in self._notify.recv(4096):
                    return
        finally:
            os.close(ended)
        self._process = None
        words = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{BINARY} ended with {process.wait()} before it was ready: {words}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self._notify.close()

    def metrics(self) -> dict[str, float]:
        """By name; those with labels are left out."""
        address = re.findall(r"HTTP on (\S+),", self._log.read_text())[-1]
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.split(" ") for line in lines if not line.startswith("#") and "{" not in line]
        return {name: float(value) for name, value in pairs}

    def files(self, run: str) -> dict[str, bytes]:
        """What users see of a run."""
        folder = self.data / "runs" / run
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }


class DaemonTestCase(unittest.TestCase):
    """Each test has a daemon and a folder of its own."""

    def setUp(self) -> None:
        self.assertTrue(BINARY, "CKPTD_BINARY names no daemon")
        self.folder = Path(tempfile.mkdtemp(prefix="ckptd-py-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.daemon = Daemon(self.folder)
        self.addCleanup(self.daemon.close)
        self.daemon.start()
