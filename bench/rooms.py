"""The room of `bench.__main__.ROOM_OF_TWENTY` in other simulators, by the least code that each takes.

They relay bytes over links with the same delay and loss, without sessions, limits, trace or checks.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

MEMBERS = 20
EVERY_S = 0.010
LEAST_S, MOST_S = 0.005, 0.020
LOSS = 0.02
SOURCE = Path(__file__).parent / "native" / "room.cc"


class SimpyRoom:
    """The room in SimPy: each speaker and each datagram is a process. `texts` are those of one member."""

    def __init__(self, texts: int) -> None:
        import simpy

        self.env = simpy.Environment()
        self.arrivals = 0
        self._random = random.Random(1)  # noqa: S311 (a simulation's)
        for member in range(MEMBERS):
            self.env.process(self._speaks(member, texts))

    def run(self) -> None:
        """Until everything has arrived."""
        self.env.run()

    def _speaks(self, member: int, texts: int) -> Generator[Any, Any, None]:
        for number in range(texts):
            data = b"\x05\x20lobby" + b"0" * 32 + f"text {number}".encode()
            self._send(self._server_hears(member, data))
            yield self.env.timeout(EVERY_S)

    def _send(self, arrival: Generator[Any, Any, None]) -> None:
        if self._random.random() >= LOSS:
            self.env.process(arrival)

    def _server_hears(self, member: int, data: bytes) -> Generator[Any, Any, None]:
        yield self.env.timeout(self._random.uniform(LEAST_S, MOST_S))
        self.arrivals += 1
        relay = b"member: " + data[39:]
        for other in range(MEMBERS):
            if other != member:
                self._send(self._member_hears(relay))

    def _member_hears(self, relay: bytes) -> Generator[Any, Any, None]:
        yield self.env.timeout(self._random.uniform(LEAST_S, MOST_S))
        self.arrivals += 1
        relay.decode()


def ns3_rate(texts: int) -> float | None:
    """Arrivals a second of processor time of the room in ns-3 (C++), or None where it cannot be built."""
    if not Path("/usr/include/ns3/core-module.h").exists() or shutil.which("g++") is None:
        return None  # Debian's libns3-dev is not installed
    libraries = [f"-lns3-{each}" for each in ("core", "network", "internet", "point-to-point")]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "room"
        subprocess.run(["g++", "-O2", "-std=c++17", str(SOURCE), "-o", str(program), *libraries], check=True)
        shown = subprocess.run([program, str(texts)], check=True, capture_output=True, text=True).stdout
    arrivals, seconds = shown.split()
    return int(arrivals) / float(seconds)
