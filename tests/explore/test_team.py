"""Partitions in processes of their own: they begin when they have started, take any amount of data, and may be gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from functools import partial
from multiprocessing import connection
from typing import Any

import pytest
from bench.models import two_phase_commit

from tcrp.explore.fingerprints import fingerprint
from tcrp.explore.model import Bounds, Model, Progress
from tcrp.explore.search import SPREAD_FROM, breadth_first
from tcrp.explore.team import HelperLost, Team, WorkerError

LARGE = 1 << 20  # bytes, far more than fit between two processes


def spread(model: Any, jobs: int) -> Team:
    team = Team(model, jobs)
    team.ask("start")
    team.spread(waits=True)
    return team


def test_a_search_that_ends_soon_waits_for_no_other_process() -> None:
    result = breadth_first(partial(two_phase_commit, 3), jobs=2)
    assert (result.progress.distinct, result.progress.processes) == (288, 1)


def endless() -> Model[int]:
    """Levels of as many states each as make it worthwhile to share them."""
    return Model("endless", tuple(range(SPREAD_FROM)), lambda n: [("on", n + SPREAD_FROM)], fingerprint)


def test_with_enough_to_do_the_others_join_when_they_have_started() -> None:
    told: list[Progress] = []
    result = breadth_first(
        endless, Bounds(seconds=60.0), jobs=2, on_progress=told.append,
        is_interrupted=lambda: bool(told) and told[-1].processes == 2,
    )  # fmt: skip
    assert result.cut == "interrupted"
    assert told[-1].processes == 2


def test_before_they_have_their_shares_one_partition_is_asked() -> None:
    with Team(partial(two_phase_commit, 3), 3) as team:
        assert (team.jobs, team.is_spread) == (1, False)
        assert [each.new for each in team.ask("start")] == [1]
        team.spread(waits=True)
        assert (team.jobs, team.is_spread) == (3, True)
        assert sum(team.ask("begin_level")) == 1


def large_states() -> Model[bytes]:
    """A few, of which each fills what lies between two processes many times."""
    return Model(
        "large", tuple(bytes([n]) * LARGE for n in range(4)), lambda _: [], lambda state: state[0],
        learned=lambda: bytes(LARGE), learn=lambda _: None,
    )  # fmt: skip


def test_both_can_have_much_to_say_at_once() -> None:
    """None waits for the other to read first."""
    with spread(large_states, 2) as team:
        assert team.ask("begin_level") == [2, 2]
        _, share = team.ask_one(0, "give", 2)
        assert sum(map(len, share[1])) == 2 * LARGE
        for _ in range(3):
            for call, argument in (("take", share), ("give", 2)):
                team.submit(1, call, argument)
        said = [(call, answer) for _, call, answer in team.answers()]
        assert [call for call, _ in said] == ["take", "give"] * 3
        assert all(sum(map(len, answer.share[1])) == 2 * LARGE for call, answer in said if call == "give")


def test_a_process_that_is_gone_ends_the_search_with_a_message() -> None:
    with spread(partial(two_phase_commit, 3), 2) as team:
        [helper] = team.helpers
        os.kill(helper.pid, signal.SIGKILL)
        with pytest.raises(HelperLost, match=r"a process that explored is gone \(exit code -9\)"):
            team.ask("begin_level")


def test_a_process_that_is_gone_before_it_joins_is_done_without() -> None:
    with Team(partial(two_phase_commit, 3), 3) as team:
        team.ask("start")
        os.kill(team.helpers[0].pid, signal.SIGKILL)
        team.spread(waits=True)
        assert (team.jobs, team.helpers) == (1, [])
        assert team.ask("begin_level") == [1]


def dies_in_the_midst_of_an_answer() -> Model[Any]:
    """Its process says that it has started, and ends when it has written a part of its first answer."""
    if multiprocessing.parent_process() is not None:
        send = connection.Connection._send  # type: ignore[attr-defined]

        def send_half(self: Any, data: Any) -> None:
            os.write(self.fileno(), data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        def send_first(self: Any, data: Any) -> None:
            send(self, data)
            connection.Connection._send = send_half  # type: ignore[attr-defined]

        connection.Connection._send = send_first  # type: ignore[attr-defined]
    return two_phase_commit(3)


def test_a_process_that_ends_while_it_answers_ends_the_search_with_a_message_too() -> None:
    with pytest.raises(HelperLost, match="a process that explored is gone"):
        breadth_first(dies_in_the_midst_of_an_answer, jobs=2, together=True)


def slow_to_begin() -> Model[Any]:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGINT)  # as from a terminal, while it begins
    return two_phase_commit(3)


def test_ctrl_c_does_not_reach_the_other_processes() -> None:
    with spread(slow_to_begin, 2) as team:
        [helper] = team.helpers
        os.kill(helper.pid, signal.SIGINT)
        assert len(team.ask("begin_level")) == 2


def fails_elsewhere(parent: int) -> Model[Any]:
    """Raises in any other process than this one."""
    if os.getpid() != parent:
        raise LookupError("no model can be had here")
    return two_phase_commit(3)


def test_a_process_that_cannot_begin_says_why() -> None:
    with pytest.raises(WorkerError, match="LookupError: no model can be had here"):
        breadth_first(partial(fails_elsewhere, os.getpid()), jobs=2, together=True)
