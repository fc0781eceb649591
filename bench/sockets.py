"""How chat-server does on real sockets, beside a relay in C that does the least: in turns, in one run.

    python -m bench.sockets [--seconds 60]

Everything stays on the loopback, and ends by itself. `bench/native/` holds the load generator and the
relay; both are compiled here, for which a C compiler is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

NATIVE = Path(__file__).parent / "native"
TCP_PORT, UDP_PORT = 19002, 19003
TURNS = 3
SHORT_SECONDS = 5
# What a room server has limits for is what a load generator does.
OPTIONS = [
    "--rooms-max", "100000", "--members-max", "4000", "--sessions-per-ip-max", "300000",
    "--unentered-rooms-per-ip-max", "100000", "--texts-per-second-max", "100000", "--token-timeout", "600s",
    "--idle-timeout", "3600s",
]  # fmt: skip


class Loadgen:
    """The two native programs, compiled into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("bench: no C compiler (cc) is here")
        for name in ("loadgen", "relay"):
            source = NATIVE / f"{name}.c"
            subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", folder / name, source], check=True)

    @contextlib.contextmanager
    def server(self, name: str) -> Iterator[int]:
        """`ours` or `relay`, up and ready; gives its process id."""
        command: list[str] = [str(self._folder / "relay"), str(TCP_PORT), str(UDP_PORT)]
        if name == "ours":
            ports = ["--tcp-port", str(TCP_PORT), "--udp-port", str(UDP_PORT)]
            command = [sys.executable, "-m", "tcrp.cli.server", *ports, *OPTIONS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
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


def paced(native: Loadgen, what: str, *options: str) -> None:
    """A load of so many texts a second: is anything lost?"""
    for name in ("ours", "relay"):
        figures = native.load(name, *options)
        print(
            f"{what}, {name}: {figures['messages_per_s']:.0f} in and {figures['deliveries_per_s']:.0f} out a second, "
            f"{figures['lost']:.0f} lost, latency {figures['latency_us_p50']:.0f} us "
            f"(99 %: {figures['latency_us_p99']:.0f} us), {figures['cpu_us_per_delivery']:.2f} us of CPU a delivery"
        )


def full_speed(native: Loadgen, rooms: int, members: int) -> None:
    """As many texts as it takes, ours and the relay in turns; ratios of medians."""
    options = ["--rooms", str(rooms), "--members", str(members), "--window", "32", "--seconds", str(SHORT_SECONDS)]
    turns: dict[str, list[dict[str, float]]] = {"ours": [], "relay": []}
    for _ in range(TURNS):
        for name, figures in turns.items():
            figures.append(native.load(name, *options))

    def median(name: str, key: str) -> float:
        return statistics.median(each[key] for each in turns[name])

    speed, least = median("ours", "deliveries_per_s"), median("relay", "deliveries_per_s")
    cpu, least_cpu = median("ours", "cpu_us_per_delivery"), median("relay", "cpu_us_per_delivery")
    print(
        f"{rooms} rooms of {members}, full speed: {speed:.0f} deliveries a second, {speed / least:.2f} of the relay's "
        f"{least:.0f}; CPU a delivery {cpu:.2f} us, {cpu / least_cpu:.2f} times {least_cpu:.2f}; "
        f"joins a second {median('ours', 'joins_per_s'):.0f}, the relay's {median('relay', 'joins_per_s'):.0f}"
    )


def main(seconds: int) -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        native = Loadgen(Path(folder))
        print(f"with uvloop {version('uvloop')}" if find_spec("uvloop") else "without uvloop")
        many = ["--rooms", "500", "--members", "10", "--rate", "10000", "--seconds", str(seconds)]
        paced(native, f"500 rooms of 10 for {seconds} s", *many)
        large = ["--rooms", "1", "--members", "1000", "--rate", "10", "--seconds", str(seconds)]
        paced(native, f"one room of 1000 for {seconds} s", *large)
        full_speed(native, 500, 10)
        full_speed(native, 20, 100)
        idle = native.load("ours", "--rooms", "20000", "--members", "10", "--idle")
        print(
            f"200,000 idle sessions: {idle['kib_per_session']:.2f} KiB of memory each, "
            f"{idle['joins_per_s']:.0f} joins a second"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long each paced load lasts (60)")
    main(parser.parse_args().seconds)
