"""The partitions of a search: one in this process, or several in processes of their own."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from time import process_time
from types import TracebackType
from typing import Any

from tcrp.explore.model import ArrayModel, Model, PackedModel
from tcrp.explore.packed import PackedPartition
from tcrp.explore.partition import Partition, StatePartition

MakeModel = Callable[[], Model[Any] | PackedModel | ArrayModel]
"""Makes a model, the same in each process. With several processes it must be possible to pickle it."""

Call = tuple[str, tuple[Any, ...]]
"""A partition's method, and what it is given."""

_KIBIBYTE = 1024
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else _KIBIBYTE  # getrusage counts in bytes there


class WorkerError(Exception):
    """A process that explored raised, or is gone. The message says what it said."""


class Team:
    """Asks partitions: all at once, or each on its own. A context: its processes end with it."""

    def __init__(self, make_model: MakeModel, jobs: int) -> None:
        self.jobs = jobs
        self.processor_seconds = 0.0  # of the process that took longest, from one call of all to the next
        self._busy = [0.0] * jobs  # since the last call of all
        self._memory = [0] * jobs
        self._asked = [""] * jobs  # what each is at work on
        self._waiting: list[deque[Call]] = [deque() for _ in range(jobs)]
        self._local: Partition | None = None
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        if jobs == 1:
            self._local = make_partition(make_model, 0, 1)
            return
        context = multiprocessing.get_context("spawn")
        for index in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, make_model, index, jobs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Team:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
            process.join()

    def ask(self, call: str, *arguments: Any) -> list[Any]:
        """What each partition answers. Raises `WorkerError`."""
        for index in range(self.jobs):
            self.submit(index, call, *arguments)
        answers = [None] * self.jobs
        for index, _, answer in self.answers():
            answers[index] = answer
        return answers

    def ask_one(self, index: int, call: str, *arguments: Any) -> Any:
        """What one partition answers. Raises `WorkerError`."""
        self.submit(index, call, *arguments)
        [(_, _, answer)] = self.answers()
        return answer

    def submit(self, index: int, call: str, *arguments: Any) -> None:
        """Ask one partition as soon as it has answered what it was asked before. `answers` has what it says."""
        self._waiting[index].append((call, arguments))
        self._send(index)

    def is_idle(self, index: int) -> bool:
        """Whether a partition has answered all that it was asked."""
        return not self._asked[index] and not self._waiting[index]

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        """Which partition answers which call with what, as they come, until none has anything left to do.

        Raises `WorkerError`.
        """
        if self._local is not None:
            while self._waiting[0]:
                call, arguments = self._waiting[0].popleft()
                yield 0, call, getattr(self._local, call)(*arguments)
            return
        while asked := [pipe for pipe, call in zip(self._pipes, self._asked, strict=True) if call]:
            ready = wait(asked)
            for index in [at for at, pipe in enumerate(self._pipes) if pipe in ready]:
                answer = self._receive(index)
                call, self._asked[index] = self._asked[index], ""
                self._send(index)
                yield index, call, answer
        self.processor_seconds += max(self._busy)
        self._busy = [0.0] * self.jobs

    def memory_bytes(self) -> int:
        """The most memory that the exploring processes have held, added up, as far as they have said."""
        return memory_bytes() if self._local is not None else sum(self._memory)

    def _send(self, index: int) -> None:
        # A process gets a call when it waits for one: else both ends could wait until the other reads.
        if self._local is None and self._waiting[index] and not self._asked[index]:
            call = self._waiting[index].popleft()
            self._asked[index] = call[0]
            self._pipes[index].send(call)

    def _receive(self, index: int) -> Any:
        try:
            is_answer, value, seconds, self._memory[index] = self._pipes[index].recv()
        except EOFError:
            raise WorkerError("a process that explored is gone") from None
        if not is_answer:
            raise WorkerError(value)
        self._busy[index] += seconds
        return value


def make_partition(make_model: MakeModel, index: int, partitions: int) -> Partition:
    """The partition that fits the model."""
    model = make_model()
    if isinstance(model, PackedModel):
        return PackedPartition(model, index, partitions)
    if isinstance(model, ArrayModel):
        from tcrp.explore.arrays import ArrayPartition  # NumPy need not be installed

        return ArrayPartition(model, index, partitions)
    return StatePartition(model, index, partitions)


def memory_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def _work(pipe: Connection, make_model: MakeModel, index: int, partitions: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the search's to heed: it ends its processes
    try:
        partition = make_partition(make_model, index, partitions)
        last = process_time()
        while True:
            call, arguments = pipe.recv()
            answer = getattr(partition, call)(*arguments)
            began, last = last, process_time()
            pipe.send((True, answer, last - began, memory_bytes()))
    except EOFError:
        return  # the search has ended
    except Exception:
        pipe.send((False, traceback.format_exc(), 0.0, 0))
