"""What becomes of a module's mutants: each meets its tests, or a swarm, until one of them notices it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tools.mutants.forks import INTERNAL_ERROR, MEMORY_BYTES_MAX, Work, be_quiet, fork, run_tests, warm_up
from tools.mutants.in_place import ELSEWHERE, Attempt, Host, end_group, functions_of, in_background
from tools.mutants.mutations import Mutant
from tools.mutants.reach import Choice, Reach, Watch, spans
from tools.mutants.targets import ROOT, Target, Tests

TIMEOUT_FACTOR = 5
WATCH_SECONDS = 900
TESTS_FAILED, INTERRUPTED = 1, 2  # pytest's exit codes that kill a mutant
NO_TESTS = 5
DIFFERS = 20
"""Exit code of a swarm in which no scenario failed but a trace was another than that of the unchanged module."""


@dataclass(frozen=True, slots=True)
class Swarm:
    """The random scenarios of seeds from 0 on. `traces` is a file for the digests of the unchanged module's traces."""

    runs: int
    traces: Path


def _watch_tests(modules: dict[str, Path], tests: Tests, kept: Path) -> int:
    """Run the tests on the unchanged modules, and keep what they reach."""
    watch = Watch(modules)
    watch.start()
    code = run_tests(tests, watch)
    watch.reach().write(kept)
    return code


class Reaches:
    """What the tests of some modules reach, found out once for all modules with the same tests."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = list(targets)
        self._known: dict[frozenset[str], Reach] = {}
        self.checked: set[str] = set()  # tests that pass in a fork too

    def of(self, target: Target) -> Reach:
        """Raises `BaselineError` if a test fails."""
        key = _tests_of(target)
        if key not in self._known:
            modules = {each.name: each.path for each in self._targets if _tests_of(each) == key}
            warm_up(modules)
            with TemporaryDirectory() as folder:
                kept = Path(folder, "reach")
                source = target.path.read_text(encoding="utf-8")
                pid = fork(target, source, partial(_watch_tests, modules, tuple(sorted(key)), kept), WATCH_SECONDS)
                try:
                    _, status = os.waitpid(pid, 0)
                finally:
                    end_group(pid)
                reach = Reach.read(kept) if kept.exists() else Reach({}, {}, {})
            if os.waitstatus_to_exitcode(status) != 0:
                failed = ", ".join(reach.failed or sorted(key))
                raise BaselineError(f"{target.short}: on the unchanged module its tests fail: {failed}")
            self._known[key] = reach
        return self._known[key]


def _tests_of(target: Target) -> frozenset[str]:
    return frozenset(test for stage in target.stages for test in stage)


def _run_swarm(swarm: Swarm) -> int:
    """Run the scenarios up to the first that fails. The digests of their traces are kept if none were yet."""
    from tcrp.sim.checks.shadow import Answers, Shadows  # here the changed module is imported
    from tcrp.sim.swarm.batch import SHADOW_EVERY
    from tcrp.sim.swarm.failures import failure_of
    from tcrp.sim.swarm.generator import generate

    expected = swarm.traces.read_text().split() if swarm.traces.exists() else []
    answers: Answers = {}
    digests = []
    for seed in range(swarm.runs):
        shadows = Shadows() if seed % SHADOW_EVERY == 0 else Shadows(0, answers)
        failure, verdict = failure_of(generate(seed), shadows=shadows)
        if failure is not None or verdict is None:
            print(f"seed {seed}: {failure}")
            return TESTS_FAILED
        digests.append(verdict.digest)
    if not expected:
        swarm.traces.write_text("\n".join(digests))
    return DIFFERS if expected and expected != digests else 0


@dataclass(slots=True)
class Result:
    """What became of a mutant."""

    mutant: Mutant
    outcome: str  # "killed", "timeout", "survived", or of a swarm "differs": it survived, and a trace has changed
    seconds: float


class BaselineError(Exception):
    """The tests do not pass on the module as it is, so they can tell nothing about its mutants."""


class Stage(Protocol):
    """What a mutant meets: some tests, or a swarm."""

    timeout: float

    def work(self, mutant: Mutant) -> Work | None:
        """What to do with the mutant; None if nothing here can notice it."""


@dataclass(slots=True)
class TestStage:
    """Tests that pass on the unchanged module."""

    path: Path
    tests: Tests
    reach: Reach
    spans: dict[int, range]
    timeout: float

    def span(self, mutant: Mutant) -> range:
        """The lines of the mutant's statement."""
        return self.spans.get(mutant.line, range(mutant.line, mutant.line + 1))

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutant's line, quickest first."""
        theirs = {str(ROOT / file) for file in self.tests}
        return [test for test in self.reach.chosen(self.path, self.span(mutant)) if self.reach.files[test] in theirs]

    def work(self, mutant: Mutant) -> Work | None:
        """Run them."""
        chosen = self.chosen(mutant)
        theirs = {self.reach.files[test] for test in chosen}
        files = tuple(file for file in self.tests if str(ROOT / file) in theirs)
        return partial(run_tests, files, Choice(chosen), "-x") if files else None


@dataclass(slots=True)
class SwarmStage:
    """Scenarios that pass on the unchanged module."""

    swarm: Swarm
    timeout: float

    def work(self, mutant: Mutant) -> Work | None:
        """Run all scenarios."""
        return partial(_run_swarm, self.swarm)


def stages_of(target: Target, judges: Sequence[Tests | Swarm], least: float, reaches: Reaches) -> Iterator[Stage]:
    """Try the judges on the unchanged module: whether they pass, how long they take, and what tests reach."""
    source = target.path.read_text(encoding="utf-8")
    for judge in judges:
        if not isinstance(judge, Swarm):
            reach = reaches.of(target)
            theirs = {str(ROOT / file) for file in judge}
            seconds = sum(each for test, each in reach.seconds.items() if reach.files[test] in theirs)
            yield TestStage(target.path, judge, reach, spans(source), max(least, TIMEOUT_FACTOR * seconds))
            continue
        warm_up([target.name])
        began = time.monotonic()
        _, status = os.waitpid(fork(target, source, partial(_run_swarm, judge), WATCH_SECONDS), 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise BaselineError(f"{target.short}: on the unchanged module a scenario fails")
        yield SwarmStage(judge, max(least, TIMEOUT_FACTOR * (time.monotonic() - began)))


def _run_in_place(
    target: Target, mutants: Sequence[Mutant], stages: Sequence[TestStage], jobs: int, least: float, reaches: Reaches
) -> Iterator[Result]:
    """The fate of those mutants that can be tried in a process that has collected the tests."""
    if not stages:
        return
    reach, inside = stages[0].reach, functions_of(target.path.read_text(encoding="utf-8"))
    attempts: list[Attempt] = []
    for mutant in mutants:
        if mutant.line in inside and not reach.is_imported(target.path, stages[0].span(mutant)):
            tests = [test for stage in stages for test in stage.chosen(mutant)]
            limits = {test: max(least, TIMEOUT_FACTOR * reach.seconds[test]) for test in tests}
            attempts.append(Attempt(mutant, limits))
    needed = {test for attempt in attempts for test in attempt.tests}
    theirs = {reach.files[test] for test in needed}
    files = tuple(file for stage in stages for file in stage.tests if str(ROOT / file) in theirs)
    yield from (Result(each.mutant, "survived", 0) for each in attempts if each.mutant and not each.tests)
    attempts = [each for each in attempts if each.tests]
    if not attempts:
        return
    by_number = {each.mutant.number: each.mutant for each in attempts if each.mutant}
    # Whether the tests pass here too, in an order of their own and without what others left in caches.
    if unchecked := needed - reaches.checked:
        ordered = sorted(unchecked, key=lambda test: reach.seconds[test])
        attempts.insert(0, Attempt(None, dict.fromkeys(ordered, WATCH_SECONDS)))
    with TemporaryDirectory() as folder:

        def work(report: int) -> int:
            be_quiet()
            host = Host(target.name, target.path, attempts, jobs, report, MEMORY_BYTES_MAX)
            return run_tests(tuple(files), host, "--capture=sys", f"--basetemp={folder}/tests")

        for number, code, seconds in in_background(work):
            if number == 0 and code:
                raise BaselineError(f"{target.short}: on the unchanged module its tests fail in another order")
            if number == 0:
                reaches.checked |= needed
            if number and code != ELSEWHERE:
                yield Result(by_number[number], OUTCOMES.get(code, "killed"), seconds)


OUTCOMES = {
    0: "survived", NO_TESTS: "survived", DIFFERS: "differs", -signal.SIGALRM: "timeout", -signal.SIGPROF: "timeout",
}  # fmt: skip


def run(
    target: Target,
    mutants: Sequence[Mutant],
    judges: Sequence[Tests | Swarm],
    jobs: int,
    least: float,
    reaches: Reaches,
) -> Iterator[Result]:
    """Each mutant's fate, as it is known. Raises `BaselineError`."""
    stages = list(stages_of(target, judges, least, reaches))
    known: set[int] = set()
    tests = [stage for stage in stages if isinstance(stage, TestStage)]
    for result in _run_in_place(target, mutants, tests, jobs, least, reaches):
        known.add(result.mutant.number)
        yield result
    waiting = [(mutant, 0) for mutant in reversed(mutants) if mutant.number not in known]
    if waiting:
        warm_up([target.name])
    running: dict[int, tuple[Mutant, int, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant, stage = waiting.pop()
                work = stages[stage].work(mutant) if stage < len(stages) else None
                if work is not None:
                    pid = fork(target, mutant.source, work, stages[stage].timeout)
                    running[pid] = mutant, stage, time.monotonic()
                elif stage < len(stages):
                    waiting.append((mutant, stage + 1))
                else:
                    yield Result(mutant, "survived", 0)
            if not running:
                continue
            pid, status = os.wait()
            if pid not in running:
                continue
            mutant, stage, began = running.pop(pid)
            end_group(pid)
            code = os.waitstatus_to_exitcode(status)
            if code in (0, NO_TESTS) and stage + 1 < len(stages):
                waiting.append((mutant, stage + 1))
            elif code in OUTCOMES or code in (TESTS_FAILED, INTERRUPTED, INTERNAL_ERROR) or code < 0:
                yield Result(mutant, OUTCOMES.get(code, "killed"), time.monotonic() - began)
            else:
                raise BaselineError(f"{target.short}: pytest ended with {code}, which judges nothing")
    finally:
        for pid in running:
            end_group(pid)
