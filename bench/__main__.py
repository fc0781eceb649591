"""`make bench`: how fast tables, simulator and start-up are. Medians of turns A B A B, on this machine, now.

With `--without-memory` the two that take minutes are left out: memory over ten million arrivals, a room of a thousand.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.results import Found, python
from bench.rooms import SimpyRoom, ns3_rate
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import SessionEvent, SessionState
from tcrp.spec.session import SessionMachine
from tcrp.spec.table import SESSION

STORY = Path(__file__).parents[1] / "sim" / "scenarios" / "the-story.yaml"
TURNS = 5
MILLION = 1_000_000

ROOM_OF_TWENTY = """
claim: twenty users talk all the time, 2 % is lost
server: {{texts_per_second_max: 1000}}
users:
  host: {{dialect: text}}
  guest: {{count: 19, dialect: text}}
network: {{default: {{delay: 5ms..20ms, loss: 2%}}}}
script:
  - {{at: 0s, host: {{create: lobby}}}}
  - {{at: 1s, guest: {{join: lobby}}}}
  - {{every: 10ms, times: {texts}, at: 30s, host: {{say: "text {{n}}"}}}}
  - {{every: 10ms, times: {texts}, at: 30s, guest: {{say: "text {{n}}"}}}}
until: 8760h
"""
THOUSAND = """
claim: a thousand join and each speaks once
users:
  host: {dialect: text}
  guest: {count: 999, dialect: text}
script:
  - {at: 0s, host: {create: lobby}}
  - {at: 1s, guest: {join: lobby}}
  - {at: 30s, host: {say: "hello"}}
  - {at: 40s, guest: {say: "hello, I am {i}"}}
until: 60s
"""


def in_turns(*works: Callable[[], float]) -> list[float]:
    """The median of each over turns that alternate, so that a noisy neighbour hits all alike."""
    results: list[list[float]] = [[] for _ in works]
    for _ in range(TURNS):
        for work, result in zip(works, results, strict=True):
            result.append(work())
    return [statistics.median(result) for result in results]


def seconds(work: Callable[[], object]) -> float:
    """The processor time that `work` takes in this process: other processes on the machine matter less to it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wall_seconds(work: Callable[[], object]) -> float:
    """For work that other processes do."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def table_against_machine(found: Found) -> None:
    rows, state = SESSION.rows, SessionState.IN_ROOM
    machine = SessionMachine(start_value=state)

    def table() -> float:
        number = 200_000
        return (
            timeit.timeit(lambda: rows[state, SessionEvent.SPOKE].to, timer=time.process_time, number=number) / number
        )

    def library() -> float:
        number = 1000
        return timeit.timeit(lambda: machine.send("spoke"), timer=time.process_time, number=number) / number

    a, b = in_turns(table, library)
    found.figure("a step of a machine by its table", 1 / a, "per s", against=("python-statemachine", 1 / b))


def twenty(texts: int) -> Scenario:
    return read_scenario_text(ROOM_OF_TWENTY.format(texts=texts))


def simpy_rate() -> float:
    room = SimpyRoom(100)
    took = seconds(room.run)
    return room.arrivals / took


def simulator(found: Found) -> None:
    """The room of twenty, unobserved and with trace, digest and every check, against SimPy and ns-3."""

    def rate(watched: bool, texts: int) -> float:
        run = Run(twenty(texts), watched=watched)
        took = seconds(lambda: play(run))
        return run.world.arrivals / took

    works: list[Callable[[], float]] = [lambda: rate(False, 500), lambda: rate(True, 50), simpy_rate]
    if ns3_rate(1) is None:
        print("ns-3: not measured, Debian's libns3-dev or a C++ compiler is not installed")
    else:
        works.append(lambda: ns3_rate(200) or 0.0)
    bare, watched, *others = in_turns(*works)
    for other, its_rate in zip(("SimPy", "ns-3"), others, strict=False):
        found.figure("arrivals, unobserved", bare, "per s", against=(other, its_rate))
        found.figure("arrivals, with trace, digest and every check", watched, "per s", against=(other, its_rate))


def play(run: Run, until_arrivals: int | None = None) -> None:
    """Let a run happen without an end by virtual time."""
    world, script_runner = run.world, run.script_runner
    script_runner.take_what_was_waited_for()
    while world.busy and (until_arrivals is None or world.arrivals < until_arrivals):
        world.step()


def memory(found: Found) -> None:
    run = Run(twenty(30_000), watched=False)
    play(run, MILLION)
    first = resident_mib()
    play(run, 10 * MILLION)
    found.figure("memory after 10 million arrivals", resident_mib(), "MiB", against=("1 million", first))


def resident_mib() -> float:
    """What this process holds now, not at its peak."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1 << 20)


def thousand(found: Found) -> None:
    bare = seconds(lambda: play_to_the_end(Run(read_scenario_text(THOUSAND), watched=False)))
    watched = seconds(lambda: play_to_the_end(Run(read_scenario_text(THOUSAND))))
    found.figure("1000 members who each speak once (999,000 relays)", bare, "s", against=("with every check", watched))


def play_to_the_end(run: Run) -> None:
    verdict = run.go()
    assert verdict.arrivals > 999_000, "everybody was heard by everybody"
    assert verdict.violation is None, "and by the rules"


COMMANDS = {
    "chat-client --help": ("tcrp.cli.client", "--help"),
    "chat-server --help": ("tcrp.cli.server", "--help"),
    "chat-sim --help": ("tcrp.cli.sim", "--help"),
    "chat-sim run the-story.yaml": ("tcrp.cli.sim", "run", "--format", "quiet", str(STORY)),
}
IMPORTS_SHOWN = 3
CACHING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def start_up(found: Found) -> None:
    """How long each command takes, in seconds of processor time of its own process, and what it imports."""

    def run(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=CACHING)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    works = [partial(run, "-c", "pass"), *(partial(run, "-m", *words) for words in COMMANDS.values())]
    python, *each = in_turns(*works)
    for (command, words), took in zip(COMMANDS.items(), each, strict=True):
        found.figure(command, took * 1000, "ms", against=("an empty Python", python * 1000))
        imports = imports_of(words)
        slowest = sorted(imports, key=lambda name: -imports[name])[:IMPORTS_SHOWN]
        shown = ", ".join(f"{name} {imports[name] / 1000:.1f} ms" for name in slowest)
        found.figure(f"{command}: modules imported", len(imports), "modules")
        print(f"  most of it {shown}")


def imports_of(words: tuple[str, ...]) -> dict[str, int]:
    """The modules that a command imports, and the microseconds that each takes by itself."""
    command = [sys.executable, "-X", "importtime", "-m", *words]
    ran = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=CACHING)
    shown = ran.stderr
    rows = [line.removeprefix("import time:").split("|") for line in shown.splitlines() if "|" in line]
    return {row[2].strip(): int(row[0]) for row in rows if row[0].strip().isdigit()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-memory", action="store_true")
    is_short = parser.parse_args().without_memory
    print(f"Python {python()}, {platform.machine()}, medians of {TURNS}")
    found = Found("simulator")
    table_against_machine(found)
    start_up(found)
    simulator(found)
    if not is_short:
        if Path("/proc/self/statm").exists():
            memory(found)
        else:
            print("memory: not measured, this system has no /proc")
        thousand(found)
    print(f"written to {found.write()}")


if __name__ == "__main__":
    main()
