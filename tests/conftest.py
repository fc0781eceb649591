"""How `pytest -n` (pytest-xdist) divides the tests: by file, and those that wait in real time all to one process.

Tests on sockets, processes and terminals expect answers within a time. In one process they do not load the machine
against each other, and mostly wait, while the other processes compute. Without `-n` nothing here matters.
"""

from __future__ import annotations

import pytest

IN_REAL_TIME = (
    "tests/net/", "tests/live/", "tests/interop/", "tests/judge/test_command",
    *(f"tests/cli/test_{name}" for name in ("client", "control", "listen", "server", "sockets", "step", "conform")),
)  # fmt: skip
"""The beginnings of the files whose tests expect something within a time."""

JUDGED = "tests/judge/"
"""Tests that judge many servers at the same time: they wait too, but would disturb the others."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(_group(file)))
    items.sort(key=lambda item: _is_late(item.nodeid))  # the longest groups begin first


def _group(file: str) -> str:
    if file.startswith(IN_REAL_TIME):
        return "real time"
    return "judged" if file.startswith(JUDGED) else file


def _is_late(file: str) -> int:
    return 0 if file.startswith(IN_REAL_TIME) else 1 if file.startswith(JUDGED) else 2
