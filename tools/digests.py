"""The digest of the trace of every scenario, and of random ones: equal on every machine and in every build.

python -m tools.digests --random 100 > digests
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.swarm.generator import generate

SCENARIOS = Path(__file__).parents[1] / "sim" / "scenarios"


def digests(random: int) -> Iterator[str]:
    """A line for each scenario: what it is, the digest, and what was found."""
    with ProcessPoolExecutor() as processes:
        yield from processes.map(_of_file, sorted(SCENARIOS.rglob("*.yaml")))
        yield from processes.map(_of_seed, range(random), chunksize=10)


def _of_file(path: Path) -> str:
    return _line(str(path.relative_to(SCENARIOS)), Run(read_scenario(path)).go())


def _of_seed(seed: int) -> str:
    return _line(f"random {seed}", Run(generate(seed)).go())


def _line(what: str, verdict: Verdict) -> str:
    judged = sum(verdict.judged.values())
    return f"{verdict.digest} {verdict.records} records, {judged} judgements, {verdict.violation}: {what}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=0, metavar="N", help="also of N random scenarios")
    sys.stdout.writelines(digests(parser.parse_args().random))
