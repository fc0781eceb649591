"""Tries mutants inside functions in a process that has imported and collected everything: a fork changes the function.

To import a changed module anew, with all that uses it, and to collect tests takes ten times as long as the tests that
notice most mutants. What cannot be tried so: a line that runs while modules are imported, since what it made is kept.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import mmap
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import pytest

from tools.mutants.mutations import Mutant
from tools.mutants.reach import caches_of

if TYPE_CHECKING:
    from tools.mutants.reach import Cache

ELSEWHERE = 21
"""Exit code of a fork that cannot change the function: it has another closure now."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A mutant and the tests that it meets, in order. Without a mutant: whether they pass here."""

    mutant: Mutant | None
    tests: Mapping[str, float]  # and for each the seconds of the processor after which the mutant counts as caught


def functions_of(source: str) -> dict[int, int]:
    """For each line inside a function's body, the first line of the outermost function, decorators included."""
    found: dict[int, int] = {}
    todo: list[ast.stmt] = list(ast.parse(source).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            begins, ends = max(node.body[0].lineno, node.lineno + 1), node.end_lineno or 0
            found.update(dict.fromkeys(range(begins, ends + 1), first))
        elif isinstance(node, ast.ClassDef):
            todo += node.body
    return found


def _code_at(code: CodeType, line: int) -> CodeType | None:
    """The function that begins at a line, in a module's or class's code."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_firstlineno == line and each.co_name[:1] != "<" and each.co_flags & 2:  # CO_NEWLOCALS
                return each
            if not each.co_flags & 2 and (found := _code_at(each, line)):
                return found
    return None


class Host:
    """A plugin of pytest that, in place of the tests, tries mutants of one module, each in a fork."""

    def __init__(self, name: str, file: Path, attempts: Sequence[Attempt], jobs: int, report: int, memory: int) -> None:
        self._name = name
        self._file = file
        self._attempts = attempts
        self._jobs = jobs
        self._report = report  # a pipe: number, exit code and seconds of each
        self._memory = memory
        self._first_lines = functions_of(file.read_text(encoding="utf-8"))
        self._functions: dict[int, list[FunctionType]] = {}
        self._caches: list[Cache] = []
        self._places = mmap.mmap(-1, 4 * (len(attempts) + 1))  # where each fork stands among its tests
        self._catchers: dict[int, dict[str, None]] = {}  # by function, the latest last

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all of them."""
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename == str(self._file):
                self._functions.setdefault(each.__code__.co_firstlineno, []).append(each)
        self._caches = caches_of([self._name])
        gc.freeze()  # a collection in a fork would copy every page
        items = {item.nodeid: item for item in session.items}
        waiting = list(reversed(self._attempts))
        running: dict[int, tuple[Attempt, int, list[str], float]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._jobs:
                    attempt = waiting.pop()
                    place, tests = len(waiting), self._in_order(attempt)
                    pid = self._fork(session, attempt, [items[test] for test in tests], place)
                    running[pid] = attempt, place, tests, time.monotonic()
                pid, status = os.wait()
                if pid in running:
                    attempt, place, tests, began = running.pop(pid)
                    end_group(pid)
                    code = os.waitstatus_to_exitcode(status)
                    if code and code != ELSEWHERE:
                        self._note(attempt, tests[int.from_bytes(self._places[4 * place : 4 * place + 4])])
                    number = attempt.mutant.number if attempt.mutant else 0
                    os.write(self._report, f"{number} {code} {time.monotonic() - began:.2f}\n".encode())
        finally:
            for pid in running:
                end_group(pid)
        return True

    def _in_order(self, attempt: Attempt) -> list[str]:
        """First the tests that caught other mutants of the function: the likeliest to catch this one."""
        catchers = self._catchers.get(self._first_lines[attempt.mutant.line], {}) if attempt.mutant else {}
        first = [test for test in reversed(catchers) if test in attempt.tests]
        return [*first, *(test for test in attempt.tests if test not in catchers)]

    def _note(self, attempt: Attempt, test: str) -> None:
        if attempt.mutant:
            catchers = self._catchers.setdefault(self._first_lines[attempt.mutant.line], {})
            catchers.pop(test, None)
            catchers[test] = None

    def _fork(self, session: pytest.Session, attempt: Attempt, items: Sequence[pytest.Item], place: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = pytest.ExitCode.INTERNAL_ERROR.value
        try:
            limit(sum(attempt.tests.values()), self._memory)
            if session.config.option.basetemp:
                session.config.option.basetemp += f"/{os.getpid()}"
            code = self._try(session, attempt, items, place)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _try(self, session: pytest.Session, attempt: Attempt, items: Sequence[pytest.Item], place: int) -> int:
        for cache in self._caches:
            cache.cache_clear()
        if attempt.mutant is not None and not self._change(attempt.mutant):
            return ELSEWHERE
        for at, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
            self._places[4 * place : 4 * place + 4] = at.to_bytes(4)
            _set_timers(attempt.tests[item.nodeid])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return pytest.ExitCode.TESTS_FAILED.value
        return 0

    def _change(self, mutant: Mutant) -> bool:
        line = self._first_lines[mutant.line]
        code = _code_at(compile(mutant.source, str(self._file), "exec", dont_inherit=True), line)
        functions = self._functions.get(line, ())
        if code is None or not functions:
            return False
        try:
            for function in functions:
                function.__code__ = code
        except ValueError:
            return False
        return True


def limit(seconds: float, memory: int) -> None:
    """Make this process one that ends: after so much time of the processor, or after ten times as long."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _set_timers(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _set_timers(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)  # a busy machine takes no time from it
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def end_group(pid: int) -> None:
    """End what a mutant's tests have started and left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def in_background(work: Callable[[int], int]) -> Iterator[tuple[int, int, float]]:
    """Number, exit code and seconds of what a fork reports, as it comes."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(reading)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            code = work(writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(int(code))
    os.close(writing)
    try:
        with os.fdopen(reading) as lines:
            for line in lines:
                number, exit_code, seconds = line.split()
                yield int(number), int(exit_code), float(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)  # it ends its forks
        os.waitpid(pid, 0)
