"""The partitions of a search: one in this process, or several in processes of their own."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from time import process_time
from types import TracebackType
from typing import Any

from tcrp.explore.model import ArrayModel, Model, PackedModel
from tcrp.explore.packed import PackedPartition
from tcrp.explore.partition import Partition, StatePartition

MakeModel = Callable[[], Model[Any] | PackedModel | ArrayModel]
"""Makes a model, the same in each process. With several processes it must be possible to pickle it."""

_KIBIBYTE = 1024
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else _KIBIBYTE  # getrusage counts in bytes there


class WorkerError(Exception):
    """A process that explored raised, or is gone. The message says what it said."""


class Team:
    """Asks all partitions at once. A context: its processes end with it."""

    def __init__(self, make_model: MakeModel, jobs: int) -> None:
        self.jobs = jobs
        self.processor_seconds = 0.0  # of the process that took longest, call by call
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

    def ask(self, call: str, *arguments: Any, each: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """What each partition answers. `each` has arguments of its own for each. Raises `WorkerError`."""
        own = each if each is not None else [arguments] * self.jobs
        if self._local is not None:
            return [getattr(self._local, call)(*own[0])]
        for pipe, its in zip(self._pipes, own, strict=True):
            pipe.send((call, its))
        answers = [self._receive(pipe) for pipe in self._pipes]
        self.processor_seconds += max(seconds for _, seconds in answers)
        return [answer for answer, _ in answers]

    def ask_one(self, index: int, call: str, *arguments: Any) -> Any:
        """What one partition answers. Raises `WorkerError`."""
        if self._local is not None:
            return getattr(self._local, call)(*arguments)
        self._pipes[index].send((call, arguments))
        answer, seconds = self._receive(self._pipes[index])
        self.processor_seconds += seconds
        return answer

    def memory_bytes(self) -> int:
        """The most memory that the exploring processes have held, added up."""
        return memory_bytes() if self._local is not None else sum(self.ask(_MEMORY))

    @staticmethod
    def _receive(pipe: Connection) -> tuple[Any, float]:
        """What a process answers, and how long that took its processor."""
        try:
            is_answer, value, seconds = pipe.recv()
        except EOFError:
            raise WorkerError("a process that explored is gone") from None
        if not is_answer:
            raise WorkerError(value)
        return value, seconds


_MEMORY = "memory"


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
            answer = memory_bytes() if call == _MEMORY else getattr(partition, call)(*arguments)
            began, last = last, process_time()
            pipe.send((True, answer, last - began))
    except EOFError:
        return  # the search has ended
    except Exception:
        pipe.send((False, traceback.format_exc(), 0.0))
