"""A mutation tester: changes one thing in a module and reports what neither its tests nor a swarm noticed.

    python -m tools.mutants MODULE… [--swarm N] [--by tests|swarm] [--sample N] [--jobs 2] [--only N] [--resume FILE]

MODULE is `engine.codec`, a package (`sim.network`), or a file's path. `tools.mutations` says what is changed. Pytest
and the module's own imports are loaded once; each mutant then runs in a fork, in which an import hook hands out the
changed source. Where it is enough that one function changes, the fork is one of a process that has collected the tests
(`tools.in_place`). Tests catch a mutant when one fails, when it cannot be imported, or when it runs into the timeout.
A swarm catches it when a random scenario fails; if none does but a trace differs from that of the unchanged module,
the scenarios reached the change and no check noticed. Survivors that `--explained` lists are equivalent: they are
counted apart and do not fail the run. A mutant meets only the tests that reach its line (`tools.reach`).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, ModuleType
from typing import Protocol

import pytest

from tools.in_place import ELSEWHERE, Attempt, Host, end_group, functions_of, in_background, limit
from tools.mutations import Mutant, mutants_of
from tools.reach import Choice, Reach, Watch, spans

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = ("spec", "engine", "sim", "cli")
PACKAGES = ("spec", "engine", "sim.network", "sim.checks", "sim.reference", "sim.scenario.reader", "sim.evaluate")
"""What is mutated when no module is named."""

SLOW = (
    "tests/engine/test_total.py",
    "tests/sim/test_scenarios.py",
    "tests/sim/swarm",
    "tests/sim/test_pytest_plugin.py",
)
"""Left out: they run for minutes, and a mutant's tests are run hundreds of times."""

WHOLE_SERVER = ("tests/engine/test_handshakes.py", "tests/engine/test_server.py")
"""They take two seconds and notice most of what changes in the engine: asked before the slower tests of the package."""

WARM = ("hypothesis", "rich.console", "rich.table", "ruamel.yaml", "statemachine", "structlog", "prometheus_client")
TIMEOUT_LEAST_SECONDS = 20
TIMEOUT_FACTOR = 5
WATCH_SECONDS = 900
MEMORY_BYTES_MAX = 4 << 30  # a mutant that loops may also fill the memory
TESTS_FAILED, INTERRUPTED, INTERNAL_ERROR = 1, 2, 3  # pytest's exit codes that kill a mutant
NO_TESTS = 5
DIFFERS = 20
"""Exit code of a swarm in which no scenario failed but a trace was another than that of the unchanged module."""


# --- the module and its tests ----------------------------------------------------------------------


Tests = tuple[str, ...]  # files of tests, run together


@dataclass(frozen=True, slots=True)
class Swarm:
    """The random scenarios of seeds from 0 on. `traces` is a file for the digests of the unchanged module's traces."""

    runs: int
    traces: Path


@dataclass(frozen=True, slots=True)
class Target:
    """A module, its file, and the tests that are run for it: its own first, then its package's."""

    name: str
    path: Path
    stages: tuple[Tests, ...]

    @property
    def short(self) -> str:
        """The name without the project's."""
        return self.name.removeprefix("tcrp.")


def targets_of(words: Iterable[str], tests: Sequence[str]) -> list[Target]:
    """What the words name: modules, packages, or files; `tests` are files or folders instead of each one's own.

    Raises `ValueError` for what names nothing.
    """
    tests = [file for path in tests for file in _test_files(path)]
    found: dict[str, Target] = {}
    for word in words:
        paths = list(_paths(word))
        if not paths:
            raise ValueError(f"{word} is no module, package or file; name it as engine.codec")
        for path in paths:
            target = _target(path, tests)
            found[target.name] = target
    return list(found.values())


def _paths(word: str) -> Iterator[Path]:
    if word.endswith(".py"):
        path = Path(word).resolve()
        if path.exists():
            yield path
        return
    inner = Path("tcrp", *word.removeprefix("tcrp.").split("."))
    for root in SOURCE_ROOTS:
        file = (ROOT / root / inner).with_suffix(".py")
        if file.exists():
            yield file
        yield from sorted((ROOT / root / inner).rglob("*.py"))


def _test_files(path: str) -> list[str]:
    if Path(path).is_file():
        return [path]
    files = [str(file) for file in sorted(Path(path).rglob("test_*.py"))]
    if not files:
        raise ValueError(f"{path} is no file of tests, and no folder that has some")
    return files


def _target(path: Path, tests: Sequence[str]) -> Target:
    for root in SOURCE_ROOTS:
        if path.is_relative_to(ROOT / root):
            inner = path.relative_to(ROOT / root).with_suffix("")
            stages = (tuple(tests),) if tests else _stages(inner)
            return Target(".".join(inner.parts), path, stages)
    sys.path.insert(0, str(path.parent))
    return Target(path.stem, path, (tuple(tests),))


def _stages(inner: Path) -> tuple[tuple[str, ...], ...]:
    """Own tests, then those of the package or the whole server, then all. `inner` is `tcrp/sim/network/links`."""
    package = Path("tests", *inner.parts[1:-1])
    own = ROOT / package / f"test_{inner.name}.py"
    wide = Path("tests", inner.parts[1])
    others = [
        str(file.relative_to(ROOT))
        for file in sorted({*(ROOT / wide).glob("test_*.py"), *(ROOT / package).rglob("test_*.py")})
        if file != own and not str(file.relative_to(ROOT)).startswith(SLOW)
    ]
    # The tests that stand nearest to the module are the likeliest to notice.
    others.sort(key=lambda each: not each.startswith(str(package)))
    stages: list[tuple[str, ...]] = [(str(own.relative_to(ROOT)),)] if own.exists() else []
    near = [each for each in others if each in WHOLE_SERVER or (package != wide and each.startswith(f"{package}/"))]
    stages += [tuple(some) for some in (near, [each for each in others if each not in near]) if some]
    return tuple(stages)


def _digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


# --- a mutant in a fork ----------------------------------------------------------------------------


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a text instead of its file."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._text = source

    def get_code(self, fullname: str) -> CodeType:
        code = compile(self._text, self.path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module's mutant before its file is found."""

    def __init__(self, target: Target, source: str) -> None:
        self._target = target
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._target.name:
            return None
        file = str(self._target.path)
        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, file, self._source))


def _warm_up(names: Collection[str]) -> None:
    """Import what the modules import, and not the modules: a fork imports them anew, one changed."""
    for name in WARM:
        importlib.import_module(name)
    from hypothesis import Phase, settings

    settings.register_profile("mutants", database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")
    for root in (*SOURCE_ROOTS, "tests"):
        if str(ROOT / root) not in sys.path:
            sys.path.append(str(ROOT / root))
    for name in [name for name in sys.modules if name.startswith("tcrp.")]:
        _forget(name)
    for name in names:
        importlib.import_module(name)
    for name in names:
        _forget(name)
    for name, module in list(sys.modules.items()):
        if name.startswith("tcrp.") and any(getattr(each, "__module__", "") in names for each in vars(module).values()):
            _forget(name)  # it has imported what is to be changed


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    if module is not None and hasattr(sys.modules.get(parent), child):
        delattr(sys.modules[parent], child)


Work = Callable[[], int]
"""What a fork does; it returns the exit code."""


def _fork(target: Target, source: str, work: Work, timeout: float, *, is_loud: bool = False) -> int:
    """Start some work on a changed source. Returns the process's id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = INTERNAL_ERROR
    try:
        limit(timeout, MEMORY_BYTES_MAX)
        if not is_loud:
            _be_quiet()
        sys.meta_path.insert(0, _Finder(target, source))
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(int(code))


def _be_quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _run_tests(tests: Tests, plugin: Choice | Watch | Host, *options: str) -> int:
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # one of the plugins is the project's own and imports it
    usual = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    # Rewriting assertions takes longer than the tests.
    return pytest.main([*usual, "--assert=plain", *options, *tests], plugins=[plugin])


def _watch_tests(modules: dict[str, Path], tests: Tests, kept: Path) -> int:
    """Run the tests on the unchanged modules, and keep what they reach."""
    watch = Watch(modules)
    watch.start()
    code = _run_tests(tests, watch)
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
            _warm_up(modules)
            with TemporaryDirectory() as folder:
                kept = Path(folder, "reach")
                source = target.path.read_text(encoding="utf-8")
                pid = _fork(target, source, partial(_watch_tests, modules, tuple(sorted(key)), kept), WATCH_SECONDS)
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
        return partial(_run_tests, files, Choice(chosen), "-x") if files else None


@dataclass(slots=True)
class SwarmStage:
    """Scenarios that pass on the unchanged module."""

    swarm: Swarm
    timeout: float

    def work(self, mutant: Mutant) -> Work | None:
        """Run all scenarios."""
        return partial(_run_swarm, self.swarm)


def _stages_of(target: Target, judges: Sequence[Tests | Swarm], least: float, reaches: Reaches) -> Iterator[Stage]:
    """Try the judges on the unchanged module: whether they pass, how long they take, and what tests reach."""
    source = target.path.read_text(encoding="utf-8")
    for judge in judges:
        if not isinstance(judge, Swarm):
            reach = reaches.of(target)
            theirs = {str(ROOT / file) for file in judge}
            seconds = sum(each for test, each in reach.seconds.items() if reach.files[test] in theirs)
            yield TestStage(target.path, judge, reach, spans(source), max(least, TIMEOUT_FACTOR * seconds))
            continue
        _warm_up([target.name])
        began = time.monotonic()
        _, status = os.waitpid(_fork(target, source, partial(_run_swarm, judge), WATCH_SECONDS), 0)
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
            _be_quiet()
            host = Host(target.name, target.path, attempts, jobs, report, MEMORY_BYTES_MAX)
            return _run_tests(tuple(files), host, "--capture=sys", f"--basetemp={folder}/tests")

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
    stages = list(_stages_of(target, judges, least, reaches))
    known: set[int] = set()
    tests = [stage for stage in stages if isinstance(stage, TestStage)]
    for result in _run_in_place(target, mutants, tests, jobs, least, reaches):
        known.add(result.mutant.number)
        yield result
    waiting = [(mutant, 0) for mutant in reversed(mutants) if mutant.number not in known]
    if waiting:
        _warm_up([target.name])
    running: dict[int, tuple[Mutant, int, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant, stage = waiting.pop()
                work = stages[stage].work(mutant) if stage < len(stages) else None
                if work is not None:
                    pid = _fork(target, mutant.source, work, stages[stage].timeout)
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


# --- what is remembered ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """Outcomes as JSON lines: what was killed stays so, what survived is tried again once what judged it changes."""

    file: Path | None

    def outcomes(self, by: str, target: Target, source: str, judge: str) -> dict[str, str]:
        """What is known of a module's mutants, by key."""
        if self.file is None or not self.file.exists():
            return {}
        found: dict[str, str] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if (entry["module"], entry["source"], entry["by"]) != (target.name, source, by):
                continue
            if entry["outcome"] in CAUGHT:
                found[entry["key"]] = entry["outcome"]
            elif entry["judge"] == judge:
                found.setdefault(entry["key"], entry["outcome"])
        return found

    def add(self, by: str, target: Target, source: str, judge: str, result: Result) -> None:
        """Keep an outcome."""
        if self.file is None:
            return
        entry = {
            "module": target.name, "source": source, "by": by, "judge": judge, "key": _key(result.mutant),
            "line": result.mutant.line, "change": result.mutant.change, "outcome": result.outcome,
            "seconds": round(result.seconds, 2),
        }  # fmt: skip
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


CAUGHT = ("killed", "timeout")


def _key(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.source.encode()).hexdigest()[:16]


EXPLAINED = re.compile(r"^- (?P<module>[\w.]+): `(?P<old>.*?)` → `(?P<new>.*?)`: ", re.MULTILINE)
"""A line of the list. Several changes of one line stand there one behind the other: `old` → `new`, `new`: why."""


def explained_in(text: str) -> frozenset[tuple[str, str, str]]:
    """Module, old and new of each mutant that a list explains."""
    return frozenset(
        (each["module"], each["old"], new) for each in EXPLAINED.finditer(text) for new in each["new"].split("`, `")
    )


# --- the report ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Count:
    """How many mutants there are, and what became of them."""

    mutants: int = 0
    by_tests: int = 0
    by_swarm: int = 0
    timeouts: int = 0
    differ: int = 0
    neither: int = 0
    explained: int = 0

    def add(self, other: Count) -> None:
        """Add another module's counts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def __str__(self) -> str:
        return (
            f"{self.mutants} mutants, caught by tests {self.by_tests}, by swarm {self.by_swarm} "
            f"({self.timeouts} by timeout), by neither {self.neither}: {self.explained} explained, "
            f"{self.differ} seen in traces"
        )


@dataclass(frozen=True, slots=True)
class Judges:
    """What is to catch mutants: the tests, a swarm of so many scenarios, or first the tests and then the swarm."""

    tests: bool
    swarm: int
    jobs: int
    least: float  # seconds that a mutant has at least
    memory: Memory
    explained: frozenset[tuple[str, str, str]]
    reaches: Reaches

    def judge(self, target: Target, mutants: Sequence[Mutant]) -> Count:
        """Try a module's mutants, print which survived unexplained, and count."""
        count = Count(len(mutants))
        left = mutants
        if self.tests:
            digest = _digest(ROOT / each for stage in target.stages for each in stage)
            outcomes = self._try("tests", target, left, target.stages, digest)
            left = [each for each in left if outcomes.get(_key(each)) not in CAUGHT]
            count.by_tests = len(mutants) - len(left)
            count.timeouts += sum(outcomes.get(_key(each)) == "timeout" for each in mutants)
        if self.swarm:
            digest = _digest(path for root in SOURCE_ROOTS for path in sorted((ROOT / root).rglob("*.py")))
            with TemporaryDirectory() as folder:
                swarm = Swarm(self.swarm, Path(folder, "traces"))
                outcomes = self._try("swarm", target, left, [swarm], f"{digest} {self.swarm}")
            count.timeouts += sum(outcomes.get(_key(each)) == "timeout" for each in left)
            count.differ = sum(outcomes.get(_key(each)) == "differs" for each in left)
            before, left = left, [each for each in left if outcomes.get(_key(each)) not in CAUGHT]
            count.by_swarm = len(before) - len(left)
        unexplained = [each for each in left if (target.short, each.old, each.new) not in self.explained]
        count.neither, count.explained = len(left), len(left) - len(unexplained)
        print(f"{target.short}: {count}")
        for mutant in unexplained:
            path = target.path.relative_to(ROOT) if target.path.is_relative_to(ROOT) else target.path
            seen = "  (seen in traces)" if self.swarm and outcomes.get(_key(mutant)) == "differs" else ""
            print(f"  {path}:{mutant.line} #{mutant.number}: {mutant.change}{seen}", flush=True)
        return count

    def _try(
        self, by: str, target: Target, mutants: Sequence[Mutant], stages: Sequence[Tests | Swarm], judge: str
    ) -> dict[str, str]:
        """The outcome of each mutant by its key: remembered, or found out now."""
        source = _digest([target.path])
        outcomes = self.memory.outcomes(by, target, source, judge)
        left = [mutant for mutant in mutants if _key(mutant) not in outcomes]
        for result in run(target, left, stages, self.jobs, self.least, self.reaches) if left else ():
            outcomes[_key(result.mutant)] = result.outcome
            self.memory.add(by, target, source, judge, result)
        return outcomes


def sample(mutants: dict[str, list[Mutant]], number: int, seed: int) -> dict[str, list[Mutant]]:
    """Some of the modules' mutants, chosen by a hash of each change: a line that stays is chosen again later."""
    ranked: list[tuple[str, str, Mutant]] = []
    for name, all_of_module in mutants.items():
        times: dict[str, int] = {}
        for mutant in all_of_module:
            nth = times[mutant.change] = times.get(mutant.change, 0) + 1
            rank = hashlib.sha256(f"{seed} {name} {mutant.change} {nth}".encode()).hexdigest()
            ranked.append((rank, name, mutant))
    ranked.sort(key=lambda each: each[0])
    chosen: dict[str, list[Mutant]] = {name: [] for name in mutants}
    for _, name, mutant in ranked[:number]:
        chosen[name].append(mutant)
    return {name: sorted(some, key=lambda each: each.number) for name, some in chosen.items()}


def _show(target: Target, number: int, swarm: int, least: float, *, tests: bool) -> int:
    """Run one mutant with the tests' and the swarm's output, each as long as a mutant may take."""
    mutant = next((each for each in mutants_of(target.path.read_text(encoding="utf-8")) if each.number == number), None)
    if mutant is None:
        raise ValueError(f"{target.short} has no mutant {number}")
    print(f"{target.path}:{mutant.line}: {mutant.change}")
    outcome = "survived"
    with TemporaryDirectory() as folder:
        judges: list[Tests | Swarm] = [*(target.stages if tests else ())]
        judges += [Swarm(swarm, Path(folder, "traces"))] if swarm else []
        for stage in _stages_of(target, judges, least, Reaches([target])):
            work = stage.work(mutant)
            if work is None:
                continue
            _warm_up([target.name])
            pid = _fork(target, mutant.source, work, stage.timeout, is_loud=True)
            _, status = os.waitpid(pid, 0)
            end_group(pid)
            code = os.waitstatus_to_exitcode(status)
            if code == DIFFERS:
                outcome = "survived, seen in traces"
            elif OUTCOMES.get(code) == "timeout":
                print(f"killed by the timeout: it took longer than {stage.timeout:.0f} s")
                return 0
            elif code not in (0, NO_TESTS):
                print("killed")
                return 0
    print(outcome)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: no mutant survived unexplained; 1: some did; 2: it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Mutation tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: {' '.join(PACKAGES)}")
    parser.add_argument(
        "--swarm", type=int, default=0, metavar="N", help="scenarios for what the tests let through (0)"
    )
    parser.add_argument("--by", choices=("tests", "swarm"), help="only by these")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many of all mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at once (1)")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_LEAST_SECONDS, metavar="SECONDS",
        help=f"what a mutant has at least ({TIMEOUT_LEAST_SECONDS}); else {TIMEOUT_FACTOR} times what the module takes",
    )  # fmt: skip
    parser.add_argument("--only", type=int, metavar="N", help="only this mutant, with the output of its tests")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSON lines of outcomes, read and appended to")
    parser.add_argument("--explained", type=Path, metavar="FILE", default=ROOT / "docs" / "mutants.md")
    parser.add_argument("--tests", nargs="+", default=(), metavar="PATH", help="these tests instead of the module's")
    options = parser.parse_args(arguments)
    explained = explained_in(options.explained.read_text(encoding="utf-8") if options.explained.exists() else "")
    by_tests, runs = options.by != "swarm", 0 if options.by == "tests" else options.swarm
    if options.by == "swarm" and not runs:
        parser.error("--by swarm: of how many scenarios? --swarm 300")
    together = Count()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was forked is ended too
    try:
        targets = targets_of(options.modules or PACKAGES, options.tests)
        if options.only is not None:
            return _show(targets[0], options.only, runs, options.timeout, tests=by_tests)
        mutants = {each.name: mutants_of(each.path.read_text(encoding="utf-8")) for each in targets}
        if options.sample is not None:
            mutants = sample(mutants, options.sample, options.seed)
        memory = Memory(options.resume)
        judges = Judges(by_tests, runs, options.jobs, options.timeout, memory, explained, Reaches(targets))
        for target in targets:
            if by_tests and not target.stages:
                print(f"{target.short}: no tests")
            elif mutants[target.name] or options.sample is None:
                together.add(judges.judge(target, mutants[target.name]))
    except (ValueError, BaselineError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    if len(targets) > 1:
        print(f"together: {together}")
    return 1 if together.neither > together.explained else 0


if __name__ == "__main__":
    sys.exit(main())
