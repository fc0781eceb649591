"""What random scenarios cost and find: planted bugs, one core against all, and the simulator with every fault on.

python -m bench.swarm
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from bench.__main__ import ROOM_OF_TWENTY, in_turns, play, seconds
from bench.results import Found
from tcrp.cli.swarm import cores
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.swarm.failures import Failure, failure_of
from tcrp.sim.swarm.generator import generate
from tcrp.sim.swarm.shrink import Shrinker

TESTS = Path(__file__).parents[1] / "tests"
PLANTED = TESTS / "sim" / "swarm" / "test_swarm.py"
SWARM_SECONDS = 15
FIND_SECONDS = 60
EVERYTHING = (
    "delay: 5ms..20ms, loss: 2%, duplicate: 1%, reorder: {share: 2%, by: 30ms}, corrupt: 0.1%, mtu: 1400, "
    "rate: 100Mbit/s, queue: 1000000, segment: 1..64"
)
CHAT = """
claim: twenty users speak once each within twenty seconds
users:
  host: {{dialect: {dialect}}}
  guest: {{count: 19, dialect: {dialect}}}
network: {{default: {{delay: 5ms..20ms, loss: 2%}}}}
script:
  - {{at: 0s, host: {{create: lobby}}}}
  - {{at: 500ms, guest: {{join: lobby}}}}
  - {{at: 1s, host: {{say: "hello"}}}}
{texts}
until: 20s
"""


def chat(dialect: str) -> Scenario:
    """Twenty users who join and then speak, one after another, over twenty seconds."""
    each = '  - {{at: {at}ms, guest-{n}: {{say: "hello, I am {n}"}}}}'
    texts = "\n".join(each.format(at=1000 + 950 * n, n=n) for n in range(1, 20))
    return read_scenario_text(CHAT.format(dialect=dialect, texts=texts))


def planted() -> ModuleType:
    """The tests of swarms, which know the bugs. They import from the folder of all tests, as pytest has them do."""
    sys.path.append(str(TESTS))
    spec = importlib.util.spec_from_file_location("planted", PLANTED)
    assert spec is not None, PLANTED
    assert spec.loader is not None, PLANTED
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted_bugs(found: Found) -> None:
    """How soon each planted bug is found on one core, and how short its scenario gets."""
    print(f"{'planted bug':32} {'found by':28} {'runs':>8} {'found in':>9} {'steps':>6} {'shrunk to':>9} {'in':>7}")
    for bug in planted().FOUND:
        began = time.process_time()
        runs = 0
        failure: Failure | None = None
        while failure is None and time.process_time() - began < FIND_SECONDS:
            scenario = generate(runs)
            failure, _ = failure_of(scenario, make_engine=bug)
            runs += 1
        found_s = time.process_time() - began
        if failure is None:
            print(f"{bug.__name__:32} not found in {runs} runs")
            continue
        began = time.process_time()
        shrunk = Shrinker(failure, bug).shrink(scenario)
        found.figure(f"{bug.__name__} is found", found_s, "s")
        print(
            f"{bug.__name__:32} {failure.kind:28} {runs:8} {found_s:7.2f} s {len(scenario.script):6} "
            f"{len(shrunk.script):9} {time.process_time() - began:5.2f} s"
        )


def one_core_and_all(found: Found) -> None:
    """Events a second of a swarm on one core, and on all cores."""

    def swarm(jobs: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            shown = subprocess.run(
                [sys.executable, "-m", "tcrp.cli.sim", "swarm", "--for", f"{SWARM_SECONDS}s", "--jobs", str(jobs),
                 "--bundles", folder, "--seed", "7000000"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
        return float(shown.split(" events, ")[1].split(" ")[0].replace(",", ""))

    one, all_of_them = swarm(1), swarm(cores())
    found.figure("a swarm on one core", one, "events per s")
    found.figure(f"a swarm on {cores()} cores", all_of_them, "events per s", against=("one core", one))


def every_fault(found: Found) -> None:
    """Arrivals a second with every kind of fault on, and how much of it a trace and the checks take."""
    plain = read_scenario_text(ROOM_OF_TWENTY.format(texts=300))
    faulty = read_scenario_text(ROOM_OF_TWENTY.format(texts=300).replace("delay: 5ms..20ms, loss: 2%", EVERYTHING))

    def rate(scenario: Scenario, watched: bool, checked: bool = True) -> float:
        run = Run(scenario, watched=watched)
        if run.trace is not None and not checked:
            run.trace.listeners[:] = [run.digest]
            run.server.observer = None
        took = seconds(lambda: play(run, 100_000))
        return run.world.arrivals / took

    bare, off, traced, checked = in_turns(
        lambda: rate(plain, watched=False),
        lambda: rate(faulty, watched=False),
        lambda: rate(faulty, watched=True, checked=False),
        lambda: rate(faulty, watched=True),
    )
    found.figure("arrivals, every fault on, unobserved", off, "per s", against=("delay and loss alone", bare))
    found.figure("arrivals, every fault on, with digest", traced, "per s", against=("unobserved", off))
    found.figure("arrivals, every fault on, with digest and checks", checked, "per s", against=("digest alone", traced))


def against_real_time(found: Found) -> None:
    """How much faster than real time a chat of twenty users runs."""
    for dialect in ("text", "json"):
        scenario = chat(dialect)
        [took] = in_turns(lambda: seconds(lambda: [Run(scenario, watched=False).go() for _ in range(20)]) / 20)  # noqa: B023
        found.figure(f"twenty users who each speak once in 20 s, dialect {dialect}", 20 / took, "times real time")


if __name__ == "__main__":
    all_found = Found("swarm")
    every_fault(all_found)
    against_real_time(all_found)
    planted_bugs(all_found)
    one_core_and_all(all_found)
    print(f"written to {all_found.write()}")
