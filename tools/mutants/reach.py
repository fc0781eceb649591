"""Which test reaches which line of a module, so that a mutant meets only the tests that can notice it, quickest first.

A line that runs while modules are imported can be noticed by every test. What a cache keeps from one test for the next
would hide that the next one needs it too, so caches are emptied between the tests that are watched. What other
processes run is not seen: tests that only start programs reach nothing.
"""

from __future__ import annotations

import ast
import functools
import gc
import json
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import coverage
import pytest

IMPORTED = ""  # coverage's name for what ran before the first test


@dataclass(frozen=True, slots=True)
class Reach:
    """The tests of unchanged modules: of which file each is, how long it took, which lines of each module it ran."""

    files: dict[str, str]
    seconds: dict[str, float]
    lines: dict[str, dict[str, frozenset[int]]]  # by module's file and test
    failed: Sequence[str] = ()

    def is_imported(self, module: Path, span: Collection[int]) -> bool:
        """Whether one of these lines runs while modules are imported."""
        return not self.lines.get(str(module), {}).get(IMPORTED, frozenset()).isdisjoint(span)

    def chosen(self, module: Path, span: Collection[int]) -> list[str]:
        """The tests that run one of these lines, quickest first."""
        lines = self.lines.get(str(module), {})
        everywhere = self.is_imported(module, span)
        found = [test for test in self.seconds if everywhere or not lines.get(test, frozenset()).isdisjoint(span)]
        return sorted(found, key=lambda test: self.seconds[test])

    def write(self, file: Path) -> None:
        """Keep it in a file, because another process is to read it."""
        lines = {
            module: {test: sorted(some) for test, some in of_module.items()} for module, of_module in self.lines.items()
        }
        kept = {"files": self.files, "seconds": self.seconds, "lines": lines, "failed": list(self.failed)}
        file.write_text(json.dumps(kept))

    @classmethod
    def read(cls, file: Path) -> Reach:
        """What `write` kept."""
        kept = json.loads(file.read_text())
        lines = {
            module: {test: frozenset(some) for test, some in of_module.items()}
            for module, of_module in kept["lines"].items()
        }
        return cls(kept["files"], kept["seconds"], lines, kept["failed"])


class Watch:
    """A plugin of pytest that finds out which test reaches which lines of some modules."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self._modules = modules
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(file) for file in modules.values()]
        )
        self._path: Path | None = None
        self._caches: list[Cache] = []
        self._files: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._failed: list[str] = []

    def start(self) -> None:
        """Watch from here on. To be called before the modules are imported."""
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch one test."""
        if item.path != self._path:  # finding them takes as long as many tests
            self._path = item.path
            self._caches = caches_of(self._modules)
        for cache in self._caches:
            cache.cache_clear()
        self._coverage.switch_context(item.nodeid)
        self._files[item.nodeid] = str(item.path)
        began = time.perf_counter()
        result = yield
        self._seconds[item.nodeid] = time.perf_counter() - began
        self._coverage.switch_context(IMPORTED)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that fails."""
        if report.failed:
            self._failed.append(report.nodeid)

    def reach(self) -> Reach:
        """What was seen."""
        self._coverage.stop()
        data = self._coverage.get_data()
        found: dict[str, dict[str, frozenset[int]]] = {}
        for file in map(str, self._modules.values()):
            lines: dict[str, set[int]] = {}
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    lines.setdefault(test, set()).add(line)
            found[file] = {test: frozenset(some) for test, some in lines.items()}
        return Reach(self._files, self._seconds, found, self._failed)


if TYPE_CHECKING:
    Cache = functools._lru_cache_wrapper[object]


def caches_of(modules: Collection[str]) -> list[Cache]:
    """The caches that may keep what these modules computed: their own, and those of modules that import them."""
    users = set(modules)
    imported = {
        name: {getattr(each, "__name__" if isinstance(each, ModuleType) else "__module__", None) for each in values}
        for name, values in ((name, list(vars(module).values())) for name, module in list(sys.modules.items()))
        if name.partition(".")[0] in ("tcrp", "tests") or name in users or name.startswith(("test_", "conftest"))
    }
    while more := [name for name, others in imported.items() if name not in users and not users.isdisjoint(others)]:
        users.update(more)
    found = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
    return [each for each in found if getattr(each, "__module__", None) in users]


class Choice:
    """A plugin of pytest that keeps only some tests, in a given order."""

    def __init__(self, tests: Collection[str]) -> None:
        self._order = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )


def spans(source: str) -> dict[int, range]:
    """For each line the lines of the smallest statement around it; of an `if` or a loop, its head.

    Of a statement over several lines not each counts as run, so it was reached if one of them was.
    """
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(source)):  # what is inside comes later, and takes the place of what is around it
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            body: list[ast.stmt] = getattr(node, "body", [])
            last = body[0].lineno - 1 if body else getattr(node, "end_lineno", first)
            lines = range(first, max(first, last) + 1)
            found.update(dict.fromkeys(lines, lines))
    return found
