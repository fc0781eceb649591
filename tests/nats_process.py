"""A NATS server as a process, for tests of clusters: on the loopback, with its files in a folder of the test."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

from processes import BIN, PATIENCE, until


class Nats:
    """nats-server with JetStream on a free port, which it keeps when it starts again."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._command = [
            str(BIN / "nats-server"), "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(self.port), *options
        ]  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """Start, and wait until it takes connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, "nats-server")

    def _answers(self) -> bool:
        assert self._process.poll() is None, "nats-server runs"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def reads_its_config_again(self) -> None:
        """As `nats-server --signal reload`."""
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """Stop it; its files stay."""
        self._process.terminate()
        self._process.wait(PATIENCE)
