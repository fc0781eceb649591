"""One level of a breadth-first search, worked off by all partitions at once. None waits for another within it.

A partition expands its frontier in slices. What it finds goes to the owners, and their answers come back; meanwhile it
expands the next slice. One with little left takes a part of what the one with most has left. In which order all
that happens depends on the processes, what is found does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tcrp.explore.partition import Expanded, Given, Report

SLICE_SECONDS = 0.02
"""How long a slice takes. While this process works on one, it hands nothing on between the others."""
QUEUED_SLICES_MAX = 3  # that another process may be asked for: it has the next one when it ends one
TAKE_RATIO = 4  # a partition asks for a part when another has so many times as many states left
SHARE_STATES_MIN = 64  # to hand over fewer takes as long as to expand them
OPEN_SLICES = 8
"""Slices that a partition may have expanded while owners have not answered about all of their states."""

_Answers = list[bytes | None]


class Partitions(Protocol):
    """What a level asks of a `Team`."""

    @property
    def jobs(self) -> int: ...
    def ask(self, call: str) -> list[Any]: ...
    def submit(self, index: int, call: str, *arguments: Any) -> None: ...
    def answers(self) -> Iterator[tuple[int, str, Any]]: ...


class Level:
    """The slices of a level, and what partitions are still to say about them."""

    def __init__(self, team: Partitions, take_in: Callable[[Report], None], cut: Callable[[], str]) -> None:
        self._team = team
        self._take_in = take_in
        self._cut = cut  # asked after each slice: why no further one is to be begun, or ''
        jobs = team.jobs
        self._left: list[int] = team.ask("begin_level")  # states of each frontier, as it last said
        self._expanding = [0] * jobs  # slices under way
        self._open: list[deque[_Answers]] = [deque() for _ in range(jobs)]  # by finder, then by owner
        self._waiting_takers: list[deque[int]] = [deque() for _ in range(jobs)]  # by giver
        self._is_taking = [False] * jobs  # for a part of another's frontier
        self._can_give = jobs > 1

    def work_off(self) -> str:
        """Expand the whole frontier, or say what cut it."""
        team, cut = self._team, ""
        self._submit_work()
        for index, call, answer in team.answers():
            if call == "expand":
                self._expanding[index] -= 1
                self._left[index] = answer.left
                self._hand_to_owners(index, answer)
            elif call == "admit":
                finder, is_new, report = answer
                self._take_in(report)
                self._hand_back(finder, index, is_new)
            elif call == "give":
                self._hand_over(index, answer)
            elif call == "take":
                self._left[index], self._is_taking[index] = answer, False
            else:
                self._take_in(answer)
                if not cut and any(self._left):
                    cut = self._cut()
            if not cut:
                self._submit_work()
        return cut

    # --- slices ------------------------------------------------------------------------------------

    def _submit_work(self) -> None:
        """Further slices for those with something left, and parts of others' frontiers for those with little."""
        for index, left in enumerate(self._left):
            ahead = QUEUED_SLICES_MAX if index else 1
            while left and self._expanding[index] < ahead and len(self._open[index]) < OPEN_SLICES:
                self._expanding[index] += 1
                self._team.submit(index, "expand", SLICE_SECONDS)
            if self._can_give and not self._is_taking[index]:
                self._ask_for_a_part(index)

    def _ask_for_a_part(self, taker: int) -> None:
        """Of the frontier of the one that has most left, if that is much more: before nothing is left here."""
        left, most = self._left[taker], max(self._left)
        if TAKE_RATIO * left <= most and most - left >= 2 * SHARE_STATES_MIN:
            giver, count = self._left.index(most), (most - left) // 2
            self._left[giver] -= count
            self._is_taking[taker] = True
            self._waiting_takers[giver].append(taker)
            self._team.submit(giver, "give", count)

    def _hand_over(self, giver: int, given: Given | None) -> None:
        taker = self._waiting_takers[giver].popleft()
        if given is None:  # partitions of this kind keep theirs
            self._can_give = False
        else:
            self._left[giver] = given.left
            self._team.submit(taker, "take", given.share)

    # --- what slices found -------------------------------------------------------------------------

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
        self._keep_answered(finder)

    def _hand_back(self, finder: int, owner: int, is_new: bytes) -> None:
        # An owner answers in the order in which it was asked.
        answers = next(each for each in self._open[finder] if each[owner] is None)
        answers[owner] = is_new
        self._keep_answered(finder)

    def _keep_answered(self, finder: int) -> None:
        """Slices are kept in their order, though one of which all is the finder's own is answered at once."""
        slices = self._open[finder]
        while slices and None not in slices[0]:
            self._team.submit(finder, "keep", slices.popleft())
