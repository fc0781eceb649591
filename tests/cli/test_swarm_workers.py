"""Processes that run a swarm's batches: how many are under way, in which order they end, what is said of a lost one."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import wait
from typing import Any

import pytest

from tcrp.cli.swarm_workers import POLL_SECONDS, UNDER_WAY_EACH, LocalWorkers, WorkersLost

GIVE_BACK: Any = tuple  # what a process can run without importing this file: a batch gives its own seeds


def all_of(workers: LocalWorkers, count: int) -> list[tuple[range, Any]]:
    found: list[tuple[range, Any]] = []
    while len(found) < count:
        found += workers.finished()
    return found


def until_lost(workers: LocalWorkers) -> None:
    """Batches, until it is noticed that no process runs them."""
    for start in range(1_000_000):
        workers.submit(range(start, start + 1))
        workers.finished()


def test_each_process_has_a_batch_that_waits_and_what_ends_makes_room() -> None:
    workers = LocalWorkers(2, GIVE_BACK)
    with workers:
        assert workers.wanted() == 2 * UNDER_WAY_EACH
        for start in range(0, 40, 10):
            workers.submit(range(start, start + 10))
        assert workers.wanted() == 0
        found = all_of(workers, 4)
        assert workers.wanted() == 2 * UNDER_WAY_EACH
    assert sorted(found, key=lambda each: each[0].start) == [
        (range(start, start + 10), tuple(range(start, start + 10))) for start in range(0, 40, 10)
    ]


def test_batches_that_have_ended_come_in_the_order_of_their_seeds() -> None:
    workers = LocalWorkers(2, GIVE_BACK)
    with workers:
        for start in (30, 10, 20, 0):
            workers.submit(range(start, start + 1))
        wait(workers._pending)
        assert [seeds.start for seeds, _ in workers.finished()] == [0, 10, 20, 30]


def test_waiting_ends_soon_although_no_batch_does() -> None:
    workers = LocalWorkers(1, GIVE_BACK)
    with workers:
        began = time.monotonic()
        assert workers.finished() == []
        assert time.monotonic() - began < 50 * POLL_SECONDS


def test_a_process_that_is_killed_ends_the_swarm_with_a_hint() -> None:
    workers = LocalWorkers(1, GIVE_BACK)
    with workers:
        workers.submit(range(1))
        all_of(workers, 1)
        [process] = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(WorkersLost, match=r"was killed \(too little memory\?\); fewer --jobs need less"):
            until_lost(workers)
        with pytest.raises(WorkersLost):
            workers.submit(range(1))


@pytest.mark.parametrize(("jobs", "name"), [(1, "1 process"), (2, "2 processes")])
def test_who_runs_them_is_named(jobs: int, name: str) -> None:
    workers = LocalWorkers(jobs, GIVE_BACK)
    with workers:
        assert workers.names() == name
