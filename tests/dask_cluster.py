"""A Dask scheduler and its workers, each a process on the loopback, and an engine with a bug for them to find."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from planting import Planted
from processes import PATIENCE

ROOT = Path(__file__).parents[1]
SOURCES = ("spec", "engine", "sim", "cli")
LISTENS = re.compile(rb"Scheduler at: +(tcp://127\.0\.0\.1:\d+)")
WORKER_AT = re.compile(rb"worker at: +(tcp://127\.0\.0\.1:\d+)")
REGISTERED = b"Registered to:"


class Faulty(Planted):
    """A server with a bug. In a module that the workers can import."""

    def remove(self, user: str, room: str, now_us: int) -> None:
        raise ZeroDivisionError(f"by hand, of {user}")


class Cluster:
    """A context; its processes end with it. `folder` takes what they write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def __enter__(self) -> Cluster:
        self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self._awaits("scheduler", LISTENS)[1].decode()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in list(self._processes):
            self.kill(name)

    def start_worker(self, name: str, *, sources: Path = ROOT) -> None:
        """Start a worker, with the tcrp in `sources`."""
        self._start(
            name, "worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self._folder / f"{name}.files"), sources=sources,
        )  # fmt: skip

    def awaits_worker(self, name: str) -> None:
        """Wait until the scheduler knows it."""
        self._awaits(name, re.compile(REGISTERED))

    def address_of(self, worker: str) -> str:
        """Where a worker itself listens."""
        return self._awaits(worker, WORKER_AT)[1].decode()

    def kill(self, name: str) -> None:
        """End a process at once."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def _start(self, name: str, *arguments: str, sources: Path = ROOT) -> None:
        path = os.pathsep.join(str(each) for each in [*(sources / each for each in SOURCES), ROOT / "tests"])
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip

    def _awaits(self, name: str, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if found := pattern.search(self._log(name).read_bytes()):
                return found
            assert self._processes[name].poll() is None, self._log(name).read_text()
            time.sleep(0.05)
        raise AssertionError(f"{name} says only: {self._log(name).read_text()}")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def other_sources(folder: Path, changed: str) -> Path:
    """A copy of the sources in which one file has one line more."""
    for each in SOURCES:
        shutil.copytree(ROOT / each / "tcrp", folder / each / "tcrp", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / changed).open("a") as file:
        file.write("\n")
    return folder
