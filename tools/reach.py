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
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

IMPORTED = ""  # coverage's name for what ran before the first test


@dataclass(frozen=True, slots=True)
class Reach:
    """The tests that passed on the unchanged module: of which file each is, how long it took, which lines it ran."""

    files: dict[str, str]
    seconds: dict[str, float]
    lines: dict[str, frozenset[int]]

    def chosen(self, span: Collection[int]) -> list[str]:
        """The tests that run one of these lines, quickest first."""
        everywhere = not self.lines.get(IMPORTED, frozenset()).isdisjoint(span)
        found = [test for test in self.seconds if everywhere or not self.lines.get(test, frozenset()).isdisjoint(span)]
        return sorted(found, key=lambda test: self.seconds[test])

    def write(self, file: Path) -> None:
        """Keep it in a file, because another process is to read it."""
        lines = {test: sorted(lines) for test, lines in self.lines.items()}
        file.write_text(json.dumps({"files": self.files, "seconds": self.seconds, "lines": lines}))

    @classmethod
    def read(cls, file: Path) -> Reach:
        """What `write` kept."""
        kept = json.loads(file.read_text())
        return cls(kept["files"], kept["seconds"], {test: frozenset(lines) for test, lines in kept["lines"].items()})


class Watch:
    """A plugin of pytest that finds out which test reaches which lines of a file."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[self._file])
        self._path: Path | None = None
        self._caches: list[functools._lru_cache_wrapper[object]] = []
        self._files: dict[str, str] = {}
        self._seconds: dict[str, float] = {}

    def start(self) -> None:
        """Watch from here on. To be called before the module is imported."""
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch one test."""
        if item.path != self._path:  # finding them takes as long as many tests
            self._path = item.path
            self._caches = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
        for cache in self._caches:
            cache.cache_clear()
        self._coverage.switch_context(item.nodeid)
        self._files[item.nodeid] = str(item.path)
        began = time.perf_counter()
        result = yield
        self._seconds[item.nodeid] = time.perf_counter() - began
        self._coverage.switch_context(IMPORTED)
        return result

    def reach(self) -> Reach:
        """What was seen."""
        self._coverage.stop()
        lines: dict[str, set[int]] = {}
        for line, tests in self._coverage.get_data().contexts_by_lineno(self._file).items():
            for test in tests:
                lines.setdefault(test, set()).add(line)
        return Reach(self._files, self._seconds, {test: frozenset(found) for test, found in lines.items()})


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
