"""How fast `chat-sim step` opens a long trace, and how fast it then goes to places far apart.

    python -m bench.stepping [--records 1000000]

Writes a trace of that many records, which repeats one run, and opens it in a new process: the clock runs from the
start of Python until the first screen is drawn. Then, in this process, it goes to the end, searches in vain, and so on.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from bench.results import Found
from tcrp.cli.sources import play_for_a_look
from tcrp.cli.step_app import StepApp
from tcrp.cli.what_if import open_source
from tcrp.sim.scenario.reader import read_scenario

STORY = Path(__file__).parents[1] / "sim" / "scenarios" / "the-story.yaml"
OPENING = """
import asyncio, sys
from tcrp.cli.step_app import StepApp
from tcrp.cli.what_if import open_source
async def main():
    async with StepApp(open_source(sys.argv[1], None)).run_test(size=(160, 48)) as pilot:
        await pilot.pause()
asyncio.run(main())
"""
KEYS = (("end", "the end"), ("D", "the previous drop"), ("home", "the beginning"), ("F", "a fault that is not there"))


def write_trace(path: Path, records_max: int) -> None:
    """A trace of that many records: one run after another."""
    played = play_for_a_look(read_scenario(STORY), None)
    span_us = played.records[-1].t_us + 1000
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(played.header.line() + "\n")
        for first in range(0, records_max, len(played.records)):
            offset_us = first // len(played.records) * span_us
            for record in played.records[: records_max - first]:
                cause = record.cause + first if record.cause else 0
                moved = replace(record, n=record.n + first, cause=cause, t_us=record.t_us + offset_us)
                file.write(moved.line() + "\n")


async def go_places(path: Path) -> list[tuple[str, float]]:
    """How many seconds each key takes until the screen is drawn."""
    found = []
    app = StepApp(open_source(str(path), None))
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.pause()
        for key, where in KEYS:
            begun = time.perf_counter()
            await pilot.press(key)
            await pilot.pause()
            found.append((where, time.perf_counter() - begun))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    found = Found("chat-sim step")
    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        path = Path(folder) / "long.jsonl"
        write_trace(path, options.records)
        print(f"{options.records:,} records, {path.stat().st_size / 1e6:.0f} MB")
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", OPENING, str(path)], check=True)
        took, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        found.figure("opens, with the start of Python", took, "s")
        found.figure("opens, processor time", used.ru_utime + used.ru_stime, "s")
        found.figure("memory", used.ru_maxrss // 1024, "MiB")
        for where, seconds in asyncio.run(go_places(path)):
            found.figure(f"goes to {where}", seconds, "s")
    found.write()


if __name__ == "__main__":
    main()
