"""`make prove`: explores the scenarios in sim/proofs/ and writes what that proves to spec/proved.json.

`spec/PROTOCOL.md` shows it. `python -m tools.prove NAME…` explores only these; what is known of the others stays.
Every exploration that finds nothing and is exhausted is a proof within its bounds; anything else is an error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from tcrp.cli.explore import bounds_in_words
from tcrp.cli.swarm import cores
from tcrp.explore.model import Bounds, Progress
from tcrp.interleavings.exploration import explore
from tcrp.sim.scenario.model import Explore
from tcrp.sim.scenario.reader import read_scenario
from tcrp.spec.names import Property
from tools.tables import markdown_table

FOLDER = Path("sim/proofs")
RESULTS = Path("spec/proved.json")
KEYS = ("bounds", "states", "steps", "depth", "seconds", "processes", "properties")


class Unproved(Exception):
    """What is written down does not fit the scenarios or the properties. The message says what."""


def read_results(root: Path) -> dict[str, dict[str, Any]]:
    """What was proved, by the scenario's name. Raises `Unproved` where that fits the scenarios no more."""
    file = root / RESULTS
    results: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name, result in results.items():
        scenario = root / FOLDER / f"{name}.yaml"
        if not scenario.exists():
            raise Unproved(f"{RESULTS}: there is no {FOLDER / name}.yaml")
        if set(result) != set(KEYS):
            raise Unproved(f"{RESULTS}: {name} has not the keys {', '.join(KEYS)}")
        bounds = asdict(read_scenario(scenario).explore or Explore())
        if result["bounds"] != bounds:
            raise Unproved(f"{RESULTS}: {name} was proved within other bounds; run make prove")
        unknown = set(result["properties"]) - set(map(str, Property))
        if unknown:
            raise Unproved(f"{RESULTS}: {name} names no properties of ours: {', '.join(sorted(unknown))}")
    return results


def section(root: Path) -> str:
    """The chapter of the document: each exploration, and which properties it put to the test."""
    results = read_results(root)
    rows = [["within these bounds", "states", "steps", "deepest", "time"]]
    for name, result in sorted(results.items(), key=lambda each: each[1]["states"]):
        scenario = read_scenario(root / FOLDER / f"{name}.yaml")
        link = (
            f"[{scenario.claim}](../{FOLDER}/{name}.yaml): {bounds_in_words(scenario, scenario.explore or Explore())}"
        )
        processes = result["processes"]
        time = f"{result['seconds']:,} s on {processes} process{'es' if processes > 1 else ''}"
        rows.append([link, f"{result['states']:,}", f"{result['steps']:,}", str(result["depth"]), time])
    everywhere = {each for result in results.values() for each in result["properties"]}
    named = [f"`{each}`" for each in Property if each in everywhere]
    others = [f"`{each}`" for each in Property if each not in everywhere]
    return (
        "`chat-sim explore` has visited every order of packets, deadlines, users and faults within these bounds, with "
        "the engines that serve sockets, and found no state in which a property does not hold. "
        "[docs/explore.md](../docs/explore.md) says what is abstracted from; `make prove` does it again.\n\n"
        + markdown_table(rows)
        + f"\nPut to the test there: {', '.join(named)}.\n\n"
        + (f"Not there: {', '.join(others)}; every run checks these.\n" if others else "")
    )


def prove(root: Path, names: list[str], jobs: int) -> int:
    """Explore the scenarios, and write down what each has proved as soon as it has."""
    file = root / RESULTS
    for name in names:
        scenario = read_scenario(root / FOLDER / f"{name}.yaml")
        found = explore(scenario, Bounds(), jobs=jobs, on_progress=_teller(name))
        progress = found.result.progress
        if found.broken is not None or not found.result.is_exhausted:
            why = found.result.cut if found.broken is None else f"{found.broken.property}: {found.broken.what}"
            print(f"{name}: not proved: {why}", file=sys.stderr)
            return 1
        results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        results[name] = {
            "bounds": asdict(scenario.explore or Explore()),
            "states": progress.distinct,
            "steps": progress.generated,
            "depth": progress.depth,
            "seconds": round(progress.seconds),
            "processes": jobs,
            "properties": sorted(found.judged),
        }
        kept = {each: results[each] for each in sorted(results)}
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {progress.distinct:,} states in {progress.seconds:,.0f} s", flush=True)
    return 0


def _teller(name: str) -> Any:
    last = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.seconds - last > 60:
            last = progress.seconds
            words = f"{progress.distinct:,} states, depth {progress.depth}, frontier {progress.frontier:,}"
            print(f"{name}: {words}, {progress.memory_bytes // 1_000_000:,} MB", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    known = sorted(each.stem for each in FOLDER.glob("*.yaml"))
    jobs = next((int(each.partition("=")[2]) for each in sys.argv[1:] if each.startswith("--jobs=")), cores())
    asked = [each for each in sys.argv[1:] if not each.startswith("--")]
    sys.exit(prove(Path.cwd(), asked or known, jobs))
