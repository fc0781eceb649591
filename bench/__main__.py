"""`make bench`: how fast tables, simulator and start-up are. Medians of turns A B A B, on this machine, now."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path

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


def table_against_machine() -> None:
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
    print(f"one table step            {a * 1e6:8.3f} us")
    print(f"one send() of the machine {b * 1e6:8.3f} us   {b / a:.0f} times slower")


def twenty(texts: int) -> Scenario:
    return read_scenario_text(ROOM_OF_TWENTY.format(texts=texts))


def simulator() -> None:
    def rate(watched: bool, texts: int) -> float:
        run = Run(twenty(texts), watched=watched)
        took = seconds(lambda: play(run))
        return run.world.arrivals / took

    bare, watched = in_turns(lambda: rate(False, 500), lambda: rate(True, 50))
    print(f"arrivals a second, unobserved                {bare:10.0f}")
    print(f"arrivals a second, traced, digested, checked {watched:10.0f}")


def play(run: Run, until_arrivals: int | None = None) -> None:
    """Let a run happen without an end by virtual time."""
    world, script_runner = run.world, run.script_runner
    script_runner.take_what_was_waited_for()
    while world.busy and (until_arrivals is None or world.arrivals < until_arrivals):
        world.step()


def memory() -> None:
    run = Run(twenty(30_000), watched=False)
    print("memory over 10 million arrivals, in MiB:", end="", flush=True)
    for millions in range(11):
        play(run, millions * MILLION)
        print(f" {resident_mib():.1f}", end="", flush=True)
    print()


def resident_mib() -> float:
    """What this process holds now, not at its peak."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1 << 20)


def thousand() -> None:
    bare = seconds(lambda: play_to_the_end(Run(read_scenario_text(THOUSAND), watched=False)))
    watched = seconds(lambda: play_to_the_end(Run(read_scenario_text(THOUSAND))))
    print(
        f"1000 members, each speaks once (999,000 relays): {bare:.1f} s; traced, digested and checked: {watched:.1f} s"
    )


def play_to_the_end(run: Run) -> None:
    verdict = run.go()
    assert verdict.arrivals > 999_000, "everybody was heard by everybody"
    assert verdict.violation is None, "and by the rules"


def start_up() -> None:
    def story() -> float:
        return wall_seconds(
            lambda: subprocess.run(
                [sys.executable, "-m", "tcrp.cli.sim", "run", "--format", "quiet", str(STORY)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        )

    def python() -> float:
        return wall_seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))

    a, b = in_turns(story, python)
    print(f"chat-sim run of the story, start-up included: {a:.3f} s ({a / b:.1f} times an empty Python)")


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, medians of {TURNS}")
    table_against_machine()
    start_up()
    simulator()
    if Path("/proc/self/statm").exists():
        memory()
    else:
        print("memory: not measured, this system has no /proc")
    thousand()


if __name__ == "__main__":
    main()
