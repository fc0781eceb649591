"""How chat-server does on real sockets, on each way to the system, beside a relay in C that does the least: in turns.

    python -m bench.sockets [--seconds 60] [--turns 3] [--compiled .venv-compiled/bin/python]
    python -m bench.sockets --beside CHECKOUT     # in place of all that: processor time beside another version

Everything stays on the loopback, and ends by itself. `bench/native/` holds the load generator and the
relay; both are compiled here, for which a C compiler is needed. The figures are written to `.bench/sockets.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bench.results import Found
from tcrp.net.udp import PATH_VARIABLE

NATIVE = Path(__file__).parent / "native"
TCP_PORT, UDP_PORT = 19002, 19003
TURNS = 3
OURS, PORTABLE, RELAY = "ours", "ours, a call for each datagram", "the relay in C"
OTHER, COMPILED = "the other version", "ours, compiled"
SHAPES = {"500 rooms of 10": (500, 10), "50 rooms of 100": (50, 100), "one room of 1000": (1, 1000)}
FULL_SPEED, PACED = ("--window", "32"), ("--rate", "10000")
SHORT_SECONDS = 5
# What a room server has limits for is what a load generator does.
OPTIONS = [
    "--rooms-max", "100000", "--members-max", "4000", "--sessions-per-ip-max", "300000", "--rooms-per-ip-max", "100000",
    "--unentered-rooms-per-ip-max", "100000", "--texts-per-second-max", "100000", "--token-timeout", "600s",
    "--idle-timeout", "3600s",
]  # fmt: skip


class Loadgen:
    """The two native programs, compiled into a folder."""

    def __init__(self, folder: Path, compiled: Path | None = None) -> None:
        self._folder = folder
        self._compiled = compiled  # the Python of an environment with the compiled wheel
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("bench: no C compiler (cc) is here")
        for name in ("loadgen", "relay"):
            source = NATIVE / f"{name}.c"
            subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", folder / name, source], check=True)

    def beside(self, checkout: Path) -> None:
        """Another version of tcrp is measured too, as `OTHER`."""
        folders = [str(checkout.resolve() / name) for name in ("spec", "engine", "sim", "cli")]
        self._path_of_other = os.pathsep.join(folders)

    @property
    def servers(self) -> tuple[str, ...]:
        """What is measured in turns."""
        return (OURS, *([COMPILED] if self._compiled else []), PORTABLE, RELAY)

    @contextlib.contextmanager
    def server(self, name: str) -> Iterator[int]:
        """One of `servers`, up and ready; gives its process id."""
        command: list[str] = [str(self._folder / "relay"), str(TCP_PORT), str(UDP_PORT)]
        if name != RELAY:
            ports = ["--tcp-port", str(TCP_PORT), "--udp-port", str(UDP_PORT)]
            python = str(self._compiled) if name == COMPILED else sys.executable
            command = [python, "-m", "tcrp.cli.server", *ports, *OPTIONS]
        environment = {**os.environ, PATH_VARIABLE: "portable" if name == PORTABLE else ""}
        if name == OTHER:
            environment["PYTHONPATH"] = self._path_of_other
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            if "ready" not in process.stdout.readline():
                raise SystemExit(f"bench: {name} did not begin; are ports {TCP_PORT} and {UDP_PORT} free?")
            try:
                yield process.pid
            finally:
                process.terminate()

    def load(self, name: str, *options: str) -> dict[str, float]:
        """Load a fresh server once."""
        with self.server(name) as pid:
            ports = ["--tcp", str(TCP_PORT), "--udp", str(UDP_PORT), "--pid", str(pid)]
            shown = subprocess.run(
                [self._folder / "loadgen", *ports, *options], stdout=subprocess.PIPE, text=True, check=True
            )
        figures: dict[str, float] = json.loads(shown.stdout.splitlines()[-1])
        return figures


def in_turns(native: Loadgen, turns: int, *options: str, names: tuple[str, ...] = ()) -> dict[str, dict[str, float]]:
    """The medians of each server's figures; every turn is a fresh server of each."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names or native.servers}
    for _ in range(turns):
        for name, found in figures.items():
            found.append(native.load(name, *options))
    return {
        name: {key: statistics.median(each[key] for each in measured) for key in measured[0]}
        for name, measured in figures.items()
    }


def full_speed(found: Found, native: Loadgen, turns: int) -> None:
    """As many texts as each takes."""
    for shape, (rooms, members) in SHAPES.items():
        options = ("--rooms", str(rooms), "--members", str(members), "--seconds", str(SHORT_SECONDS), *FULL_SPEED)
        medians = in_turns(native, turns, *options)
        for key, unit in (("deliveries_per_s", "deliveries per s"), ("cpu_us_per_delivery", "µs of CPU a delivery")):
            for name in native.servers[:-1]:
                found.figure(f"{shape}, {name}", medians[name][key], unit, against=(RELAY, medians[RELAY][key]))


def paced(found: Found, native: Loadgen, turns: int, seconds: int) -> None:
    """A load of so many texts a second: how late do they come, and is anything lost?"""
    medians = in_turns(native, turns, "--rooms", "500", "--members", "10", "--seconds", str(seconds), *PACED)
    shape = f"500 rooms of 10, 10,000 texts a second for {seconds} s"
    for name in native.servers[:-1]:
        for key, what in (("latency_us_p50", "median"), ("latency_us_p99", "99 %"), ("latency_us_max", "most")):
            latency = medians[name][key]
            found.figure(f"{shape}, {name}: latency, {what}", latency, "µs", against=(RELAY, medians[RELAY][key]))
    for name, measured in medians.items():
        found.figure(f"{shape}, {name}: lost", measured["lost"], "deliveries")


def sessions(found: Found, native: Loadgen, count: int) -> None:
    """Joins, and what an idle session takes."""
    options = ("--rooms", str(count // 10), "--members", "10", "--idle")
    for name in native.servers[:-1]:
        if name != PORTABLE:
            idle = native.load(name, *options)
            found.figure(f"{count:,} idle sessions, {name}", idle["kib_per_session"], "KiB each")
            found.figure(f"{count:,} joins, one after the other, {name}", idle["joins_per_s"], "per s")


def versions(turns: int, checkout: Path) -> None:
    """What a delivery costs here and in another checkout, at full speed."""
    found = Found("versions")
    with tempfile.TemporaryDirectory() as folder:
        native = Loadgen(Path(folder))
        native.beside(checkout)
        for shape, (rooms, members) in SHAPES.items():
            options = ("--rooms", str(rooms), "--members", str(members), "--seconds", "3", *FULL_SPEED)
            medians = in_turns(native, turns, *options, names=(OURS, OTHER))
            ours, other = (medians[name]["cpu_us_per_delivery"] for name in (OURS, OTHER))
            found.figure(f"{shape}, {OURS}", ours, "µs of CPU a delivery", against=(OTHER, other))
    print(f"written to {found.write()}")


def main(seconds: int, turns: int, idle: int, compiled: Path | None) -> None:
    """Print all figures and write them."""
    found = Found("sockets")
    with tempfile.TemporaryDirectory() as folder:
        native = Loadgen(Path(folder), compiled)
        print(f"with uvloop {version('uvloop')}" if find_spec("uvloop") else "without uvloop")
        full_speed(found, native, turns)
        paced(found, native, turns, seconds)
        sessions(found, native, idle)
    print(f"written to {found.write()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long each paced load lasts (60)")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"of each measurement ({TURNS})")
    parser.add_argument("--idle", type=int, default=200_000, help="how many idle sessions (200000)")
    parser.add_argument("--compiled", type=Path, metavar="PYTHON", help="of the compiled wheel: measured too")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="compare with this other version, and no more")
    given = parser.parse_args()
    if given.beside is not None:
        versions(given.turns, given.beside)
    else:
        main(given.seconds, given.turns, given.idle, given.compiled)
