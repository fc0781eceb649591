"""Where the batches of a swarm run: in processes of this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from types import TracebackType
from typing import Protocol

from tcrp.cli.branches import Arcs
from tcrp.sim.swarm.batch import Tally
from tcrp.trace.plural import counted

POLL_SECONDS = 0.2
"""The longest delay before Ctrl-C is noticed."""
UNDER_WAY_EACH = 2
"""Batches that are submitted for each process, so that none waits for the next."""

Result = tuple[Tally, Arcs]
RunSeeds = Callable[[range], Result]
"""Runs a batch. It can be pickled."""


class WorkersLost(Exception):
    """No batch can be run any more. The message says why, and what to do."""


class Workers(Protocol):
    """A context that runs batches. At its end, what has not begun is not run."""

    def __enter__(self) -> Workers: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def wanted(self) -> int:
        """How many more batches to submit now."""

    def submit(self, seeds: range) -> None: ...

    def finished(self) -> list[tuple[range, Result]]:
        """The batches that have ended since the last call; waits `POLL_SECONDS` for one. Raises `WorkersLost`."""

    def names(self) -> str:
        """Who has run batches: `2 processes`."""


class LocalWorkers:
    """Processes of this machine."""

    def __init__(self, jobs: int, run: RunSeeds) -> None:
        self._jobs = jobs
        self._run = run
        self._pool = ProcessPoolExecutor(jobs, initializer=_ignore_interrupts)
        self._pending: dict[Future[Result], range] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def wanted(self) -> int:
        """See `Workers`."""
        return UNDER_WAY_EACH * self._jobs - len(self._pending)

    def submit(self, seeds: range) -> None:
        """See `Workers`."""
        try:
            self._pending[self._pool.submit(self._run, seeds)] = seeds
        except BrokenExecutor:
            raise self._lost() from None

    def finished(self) -> list[tuple[range, Result]]:
        """See `Workers`."""
        done, _ = wait(self._pending, POLL_SECONDS, FIRST_COMPLETED)
        try:
            return [(self._pending.pop(each), each.result()) for each in sorted(done, key=self._start)]
        except BrokenExecutor:
            raise self._lost() from None

    def names(self) -> str:
        """See `Workers`."""
        return counted(self._jobs, "process")

    def _start(self, future: Future[Result]) -> int:
        return self._pending[future].start

    @staticmethod
    def _lost() -> WorkersLost:
        return WorkersLost("a process that ran scenarios was killed (too little memory?); fewer --jobs need less")


def _ignore_interrupts() -> None:
    """Ctrl-C is handled by the parent process, which ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
