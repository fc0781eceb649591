"""A mutation tester: changes one thing in a module, runs the tests of the module, and reports what no test noticed.

    python -m tools.mutants MODULE… [--jobs 2] [--only N] [--resume FILE]

MODULE is `engine.codec`, a package (`sim.network`), or a file's path. Assertions, annotations, decorators and
string constants are not changed. Pytest and the module's own imports are loaded once; each mutant then runs in a
fork, in which an import hook hands out the changed source. A mutant is killed when a test fails, when it cannot be
imported, or when it runs into the timeout. Survivors that `--explained` lists are equivalent: they are counted
apart and do not fail the run.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = ("spec", "engine", "sim", "cli")
PACKAGES = ("spec", "engine", "sim.network", "sim.checks")
"""What is mutated when no module is named."""

SLOW = (
    "tests/engine/test_total.py",
    "tests/sim/test_scenarios.py",
    "tests/sim/swarm",
    "tests/sim/test_pytest_plugin.py",
)
"""Left out: they run for minutes, and a mutant's tests are run hundreds of times."""

WARM = ("hypothesis", "rich.console", "rich.table", "ruamel.yaml", "statemachine", "structlog", "prometheus_client")
TIMEOUT_LEAST_SECONDS = 20
TIMEOUT_FACTOR = 5
MEMORY_BYTES_MAX = 4 << 30  # a mutant that loops may also fill the memory
TESTS_FAILED, INTERRUPTED, INTERNAL_ERROR = 1, 2, 3  # pytest's exit codes that kill a mutant

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


# --- what is changed -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module's source. `old` and `new` are the changed lines, without their indentation."""

    number: int
    line: int
    old: str
    new: str
    source: str

    @property
    def change(self) -> str:
        """The change in one line, as `docs/mutants.md` lists it."""
        return f"`{self.old}` → `{self.new}`"


class _Changes(ast.NodeVisitor):
    """Collects changes as (start, end, replacement), in bytes of the source."""

    def __init__(self, source: bytes) -> None:
        self.found: list[tuple[int, int, str]] = []
        self._source = source
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._in_function = False
        self._last: set[ast.stmt] = set()  # what ends a function: without `return None` it returns None too

    # --- statements ---

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outer, self._in_function = self._in_function, True
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._last.add(node.body[-1])
        for statement in node.body:
            self.visit(statement)
        self._in_function = outer

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._delete(node)
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._delete(node)
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._delete(node)
        if type(node.op) in ARITHMETIC:
            old, new = ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, old + "=", new + "=")
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._delete(node)
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._delete(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._delete(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._delete(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Left alone: an assertion finds our own faults and does nothing else."""

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._delete(node)
            return
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            if node not in self._last:
                self._delete(node)
        elif not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool)):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self._drop(node.orelse)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._replace(node.test, "False")
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        self._drop(node.body)
        if node.guard is not None:
            self._condition(node.guard)
            self.visit(node.guard)
        for statement in node.body:
            self.visit(statement)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._replace(test, "True")
        self.generic_visit(node)

    # --- expressions ---

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            old, others = COMPARISONS[type(operator)]
            for new in others:
                self._between(left, right, old, new)
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_of_types = isinstance(node.op, ast.BitOr) and (_is_type(node.left) or _is_type(node.right))
        if type(node.op) in ARITHMETIC and not is_of_types:
            self._between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._replace(node, self._text(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1))
            self._replace(node, str(node.value - 1) if node.value else "(-1)")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in SWAPPED_CALLS:
            self._replace(node.func, SWAPPED_CALLS[node.func.id])
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Left alone: before Python 3.12 what stands in an f-string has no place in the source."""

    # --- helpers ---

    def _offset(self, line: int, column: int) -> int:
        return self._line_starts[line - 1] + column

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> None:
        self.found.append((*self._span(node), new))

    def _delete(self, node: ast.stmt) -> None:
        if self._in_function:  # a module without one of its constants does not import
            self._replace(node, "pass")

    def _drop(self, branch: Sequence[ast.stmt]) -> None:
        """A branch of several statements; of one statement its deletion says the same."""
        if len(branch) > 1 or (branch and isinstance(branch[0], ast.For | ast.If | ast.While | ast.With | ast.Try)):
            self.found.append((self._span(branch[0])[0], self._span(branch[-1])[1], "pass"))

    def _condition(self, test: ast.expr) -> None:
        for new in ("True", "False"):
            self._replace(test, new)

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self._source[start:end].decode()
        at = gap.find(old)
        if at >= 0:
            first = start + len(gap[:at].encode())
            self.found.append((first, first + len(old.encode()), new))


def _is_type(node: ast.expr) -> bool:
    """Whether `A | B` is a union of types: a class's name begins with a capital and goes on in small letters."""
    if isinstance(node, ast.BinOp):
        return _is_type(node.right)
    return isinstance(node, ast.Name) and node.id[:1].isupper() and not node.id.isupper()


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module's source, in the order of its lines. Changes that do not compile are left out."""
    data = source.encode()
    changes = _Changes(data)
    changes.visit(ast.parse(source))
    result: list[Mutant] = []
    seen = {source}
    for start, end, new in sorted(set(changes.found)):
        changed = (data[:start] + new.encode() + data[end:]).decode()
        if changed in seen or not _compiles(changed):
            continue
        seen.add(changed)
        before, after = _changed_lines(source, changed)
        result.append(Mutant(len(result) + 1, data[:start].count(b"\n") + 1, before, after, changed))
    return result


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    removed, added = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return removed, added


# --- the module and its tests ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """A module, its file, and the tests that are run for it: its own first, then its package's."""

    name: str
    path: Path
    stages: tuple[tuple[str, ...], ...]

    @property
    def short(self) -> str:
        """The name without the project's."""
        return self.name.removeprefix("tcrp.")


def targets_of(words: Iterable[str], tests: Sequence[str]) -> list[Target]:
    """What the words name: modules, packages, or files. Raises `ValueError` for a word that names nothing."""
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


def _target(path: Path, tests: Sequence[str]) -> Target:
    for root in SOURCE_ROOTS:
        if path.is_relative_to(ROOT / root):
            inner = path.relative_to(ROOT / root).with_suffix("")
            stages = (tuple(tests),) if tests else _stages(inner)
            return Target(".".join(inner.parts), path, stages)
    sys.path.insert(0, str(path.parent))
    return Target(path.stem, path, (tuple(tests),))


def _stages(inner: Path) -> tuple[tuple[str, ...], ...]:
    """Own tests, then the package's. `inner` is `tcrp/sim/network/links`."""
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
    if others:
        stages.append(tuple(others))
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


def _warm_up(target: Target) -> None:
    """Import what the module imports, and not the module: a fork imports it anew, changed."""
    for name in WARM:
        importlib.import_module(name)
    from hypothesis import settings

    settings.register_profile("mutants", database=None, derandomize=True)
    settings.load_profile("mutants")
    for root in (*SOURCE_ROOTS, "tests"):
        if str(ROOT / root) not in sys.path:
            sys.path.append(str(ROOT / root))
    for name in [name for name in sys.modules if name.startswith("tcrp.")]:
        _forget(name)
    importlib.import_module(target.name)
    _forget(target.name)
    for name, module in list(sys.modules.items()):
        if name.startswith("tcrp.") and any(
            getattr(each, "__module__", "") == target.name for each in vars(module).values()
        ):
            _forget(name)  # it has imported what is to be changed


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    if module is not None and hasattr(sys.modules.get(parent), child):
        delattr(sys.modules[parent], child)


def _fork(target: Target, source: str, tests: Sequence[str], timeout: float, *, is_loud: bool = False) -> int:
    """Start the tests on a changed source. Returns the process's id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = INTERNAL_ERROR
    try:
        os.setsid()
        signal.setitimer(signal.ITIMER_REAL, timeout)  # SIGALRM ends the process
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        if not is_loud:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
        sys.dont_write_bytecode = True
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # one of the plugins is the project's own and imports it
        sys.meta_path.insert(0, _Finder(target, source))
        code = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT),
             "-c", str(ROOT / "pyproject.toml"), *tests]
        )  # fmt: skip
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(int(code))


def _end(pid: int) -> None:
    """End what a mutant's tests have started and left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


@dataclass(slots=True)
class Result:
    """What became of a mutant."""

    mutant: Mutant
    outcome: str  # "killed", "timeout" or "survived"
    seconds: float


class BaselineError(Exception):
    """The tests do not pass on the module as it is, so they can tell nothing about its mutants."""


def _baselines(target: Target, least: float) -> list[float]:
    """How long each stage may take for a mutant."""
    timeouts = []
    source = target.path.read_text(encoding="utf-8")
    for tests in target.stages:
        began = time.monotonic()
        _, status = os.waitpid(_fork(target, source, tests, 900), 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise BaselineError(f"{target.short}: its tests fail on the unchanged module: {' '.join(tests)}")
        timeouts.append(max(least, TIMEOUT_FACTOR * (time.monotonic() - began)))
    return timeouts


def run(target: Target, mutants: Sequence[Mutant], jobs: int, least: float) -> Iterator[Result]:
    """Each mutant's fate, as it is known. Raises `BaselineError`."""
    timeouts = _baselines(target, least)
    waiting = [(mutant, 0) for mutant in reversed(mutants)]
    running: dict[int, tuple[Mutant, int, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant, stage = waiting.pop()
                pid = _fork(target, mutant.source, target.stages[stage], timeouts[stage])
                running[pid] = mutant, stage, time.monotonic()
            pid, status = os.wait()
            if pid not in running:
                continue
            mutant, stage, began = running.pop(pid)
            _end(pid)
            code = os.waitstatus_to_exitcode(status)
            if code in (0, 5) and stage + 1 < len(target.stages):
                waiting.append((mutant, stage + 1))
            elif code in (0, TESTS_FAILED, INTERRUPTED, INTERNAL_ERROR) or code < 0:
                outcome = "survived" if code == 0 else "timeout" if code == -signal.SIGALRM else "killed"
                yield Result(mutant, outcome, time.monotonic() - began)
            else:
                raise BaselineError(f"{target.short}: pytest ended with {code}, which judges nothing")
    finally:
        for pid in running:
            _end(pid)


# --- the report ------------------------------------------------------------------------------------


def _remembered(file: Path | None, target: Target, source: str, tests: str) -> dict[str, str]:
    """Outcomes of an earlier run, by change and line: what was killed stays so, what survived only the same tests."""
    if file is None or not file.exists():
        return {}
    found: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if (entry["module"], entry["source"]) != (target.name, source):
            continue
        if entry["outcome"] != "survived":
            found[entry["key"]] = entry["outcome"]
        elif entry["tests"] == tests:
            found.setdefault(entry["key"], "survived")
    return found


def _key(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.source.encode()).hexdigest()[:16]


def _test(target: Target, jobs: int, least: float, resume: Path | None, explained: str) -> int:
    """Run all mutants of a module and print the report. Returns how many survived without an explanation."""
    mutants = mutants_of(target.path.read_text(encoding="utf-8"))
    source, tests = _digest([target.path]), _digest(ROOT / each for stage in target.stages for each in stage)
    outcomes = _remembered(resume, target, source, tests)
    left = [mutant for mutant in mutants if _key(mutant) not in outcomes]
    if left:
        _warm_up(target)
    for result in run(target, left, jobs, least) if left else ():
        key = _key(result.mutant)
        outcomes[key] = result.outcome
        if resume is not None:
            entry = {
                "module": target.name, "source": source, "tests": tests, "key": key, "line": result.mutant.line,
                "change": result.mutant.change, "outcome": result.outcome, "seconds": round(result.seconds, 2),
            }  # fmt: skip
            with resume.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    survivors = [mutant for mutant in mutants if outcomes.get(_key(mutant)) == "survived"]
    unexplained = [mutant for mutant in survivors if f"- {target.short}: {mutant.change}" not in explained]
    killed, timeouts = (sum(outcomes.get(_key(each)) == word for each in mutants) for word in ("killed", "timeout"))
    print(
        f"{target.short}: {len(mutants)} mutants, {killed + timeouts} killed ({timeouts} by timeout), "
        f"{len(survivors)} survived, {len(survivors) - len(unexplained)} of them explained"
    )
    for mutant in unexplained:
        path = target.path.relative_to(ROOT) if target.path.is_relative_to(ROOT) else target.path
        print(f"  {path}:{mutant.line} #{mutant.number}: {mutant.change}", flush=True)
    return len(unexplained)


def _show(target: Target, number: int) -> int:
    """Run one mutant with the tests' output."""
    mutant = next((each for each in mutants_of(target.path.read_text(encoding="utf-8")) if each.number == number), None)
    if mutant is None:
        raise ValueError(f"{target.short} has no mutant {number}")
    print(f"{target.path}:{mutant.line}: {mutant.change}")
    _warm_up(target)
    for tests in target.stages:
        pid = _fork(target, mutant.source, tests, 900, is_loud=True)
        _, status = os.waitpid(pid, 0)
        _end(pid)
        if os.waitstatus_to_exitcode(status) not in (0, 5):
            print("killed")
            return 0
    print("survived")
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: no mutant survived unexplained; 1: some did; 2: it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Mutation tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: {' '.join(PACKAGES)}")
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
    explained = options.explained.read_text(encoding="utf-8") if options.explained.exists() else ""
    survived = 0
    try:
        for target in targets_of(options.modules or PACKAGES, options.tests):
            if not target.stages:
                print(f"{target.short}: no tests")
                continue
            if options.only is not None:
                return _show(target, options.only)
            survived += _test(target, options.jobs, options.timeout, options.resume, explained)
    except (ValueError, BaselineError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
