"""One level of a breadth-first search, worked off by all partitions at once. None waits for another within it.

A partition expands its frontier in slices. What it finds goes to the owners, and their answers come back; meanwhile it
expands the next slice. In which order that happens depends on the processes, what is found does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tcrp.explore.partition import Expanded, Report

OPEN_SLICES = 8
"""Slices that a partition may have expanded while owners have not answered about all of their states."""

_Answers = list[bytes | None]


class Partitions(Protocol):
    """What a level asks of a `Team`."""

    jobs: int

    def ask(self, call: str) -> list[Any]: ...
    def submit(self, index: int, call: str, *arguments: Any) -> None: ...
    def is_idle(self, index: int) -> bool: ...
    def answers(self) -> Iterator[tuple[int, str, Any]]: ...


class Level:
    """The slices of a level, and what partitions are still to say about them."""

    def __init__(self, team: Partitions, take_in: Callable[[Report], None], cut: Callable[[], str]) -> None:
        self._team = team
        self._take_in = take_in
        self._cut = cut  # asked after each slice: why no further one is to be begun, or ''
        slices = max(team.ask("begin_level"))
        self._left = [slices] * team.jobs
        self._open: list[deque[_Answers]] = [deque() for _ in range(team.jobs)]  # by finder, then by owner

    def work_off(self) -> str:
        """Expand the whole frontier, or say what cut it."""
        team, cut = self._team, ""
        self._expand()
        for index, call, answer in team.answers():
            if call == "expand":
                self._hand_to_owners(index, answer)
            elif call == "admit":
                finder, is_new, report = answer
                self._take_in(report)
                self._hand_back(finder, index, is_new)
            else:
                self._take_in(answer)
                if not cut and any(self._left):
                    cut = self._cut()
            if not cut:
                self._expand()
        return cut

    def _expand(self) -> None:
        """Those that have nothing to do begin with their next slice."""
        for index, left in enumerate(self._left):
            if left and len(self._open[index]) < OPEN_SLICES and self._team.is_idle(index):
                self._left[index] -= 1
                self._team.submit(index, "expand", left)

    def _hand_to_owners(self, finder: int, expanded: Expanded) -> None:
        self._take_in(expanded.report)
        answers: _Answers = [None] * self._team.jobs
        self._open[finder].append(answers)
        for owner, found in enumerate(expanded.found):
            if found[0] or (expanded.learned and owner != finder):
                learned = expanded.learned if owner != finder else b""
                self._team.submit(owner, "admit", finder, found, learned)
            else:
                answers[owner] = b""
        self._keep_if_answered(finder, answers)

    def _hand_back(self, finder: int, owner: int, is_new: bytes) -> None:
        # An owner answers in the order in which it was asked.
        answers = next(each for each in self._open[finder] if each[owner] is None)
        answers[owner] = is_new
        self._keep_if_answered(finder, answers)

    def _keep_if_answered(self, finder: int, answers: _Answers) -> None:
        if None not in answers:
            self._open[finder].remove(answers)
            self._team.submit(finder, "keep", answers)
