"""The figures of a benchmark: each is printed when it is found, and all are written for `chat-sim report`.

found = Found("relay")
found.figure("1 room of 1000, full speed", 412_000, "deliveries per s", against=("relay in C", 520_000))
found.write()  # .bench/relay.json, of the format tcrp-results/1
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

import tcrp.engine.codec
from tcrp.cli.results import Results, write_results

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".bench"


class Found:
    """What one benchmark found, on this machine."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = time.perf_counter()
        self._figures: list[tuple[str, float, str]] = []

    def figure(self, what: str, value: float, unit: str, against: tuple[str, float] | None = None) -> None:
        """One figure, and how many times that of something else, measured in the same run, it is."""
        line = f"{what}: {value:,.{_decimals(value)}f} {unit}"
        self._figures.append((what, float(f"{value:.6g}"), unit))
        if against is not None and against[1]:
            other, its_value = against
            ratio = value / its_value
            line += f", {ratio:.2f} times {other}'s {its_value:,.{_decimals(its_value)}f}"
            self._figures.append((f"{what}, against {other}", round(ratio, 3), f"times {its_value:g} {unit}"))
        print(line, flush=True)

    def write(self, folder: Path = FOLDER) -> Path:
        """A file of this name; the earlier one is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._name}.json"
        seconds = round(time.perf_counter() - self._begun, 1)
        write_results(path, Results(self._name, "benchmark", seconds, figures=tuple(self._figures), machine=machine()))
        return path


def machine() -> dict[str, str]:
    """What the figures were measured on, and of which code."""
    is_compiled = not str(tcrp.engine.codec.__file__).endswith(".py")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": python(),
        "commit": _commit(),
        "build": "compiled" if is_compiled else "pure",
    }


def python() -> str:
    """Which Python: its version, and which build of it, for these differ in speed."""
    return f"{platform.python_version()} ({', '.join(platform.python_build())}; {platform.python_compiler()})"


def _commit() -> str:
    """Of the checkout that the benchmark lies in; with a `+` if something in it has changed since."""
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return shown.stdout.strip()


def _decimals(value: float) -> int:
    """Three significant digits, as far as they lie behind the point."""
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
