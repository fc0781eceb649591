"""The partitions of a search: one in this process, and others in processes of their own.

A search begins with the one here: most are over before a process has started. `spread` gives the others their shares.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from select import POLLIN, POLLOUT, poll
from time import process_time
from types import TracebackType
from typing import Any

from tcrp.explore.model import ArrayModel, Model, PackedModel
from tcrp.explore.packed import PackedPartition
from tcrp.explore.partition import Partition, StatePartition

AnyModel = Model[Any] | PackedModel | ArrayModel
MakeModel = Callable[[], AnyModel]
"""Makes a model, the same in each process. With several processes it must be possible to pickle it."""

Call = tuple[str, tuple[Any, ...]]
"""A partition's method, and what it is given."""

PIPE_BYTES = 1 << 20  # what Linux allows everybody
_KIBIBYTE = 1024
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else _KIBIBYTE  # getrusage counts in bytes there


class WorkerError(Exception):
    """A partition raised. The message says what."""


class HelperLost(Exception):
    """A process that explored is gone. The message says how it ended."""


class Team:
    """Asks partitions: all at once, or each on its own. A context: its processes end with it."""

    def __init__(self, make_model: MakeModel, jobs: int) -> None:
        self._model = make_model()
        self._own = make_partition(self._model, 0, 1)
        self._at_work: list[Helper] = []
        self.helpers: list[Helper] = []
        try:
            self.helpers += (Helper(make_model, index, jobs) for index in range(1, jobs))
        except BaseException:
            self.end()
            raise
        self._own_calls: deque[Call] = deque()
        self._asked_at = process_time()  # when all were last asked: processor time of this process
        self.more_seconds = 0.0  # of processor time: by how much the slowest helper exceeded this process, added up

    def __enter__(self) -> Team:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """End the processes, whatever they do."""
        for helper in self.helpers:
            helper.end()

    @property
    def jobs(self) -> int:
        """How many partitions are at work."""
        return 1 + len(self._at_work)

    @property
    def is_spread(self) -> bool:
        """Whether all are at work that there will be."""
        return len(self._at_work) == len(self.helpers)

    def spread(self, *, waits: bool) -> None:
        """Between levels: give the others their shares, if all have started. `waits`: until they have.

        If one is gone before that, this process goes on alone: it has all states.
        Raises `WorkerError` and `HelperLost`, as all that asks partitions does.
        """
        try:
            can_begin = not self.is_spread and all(each.has_started(waits=waits) for each in self.helpers)
        except HelperLost:
            self.end()
            self.helpers = []
            return
        if can_begin:
            saved, learned = [self._own.save()], self._own.learned()
            self._set_to_work()
            self.ask("load", saved)
            for index in range(1, self.jobs):
                self.submit(index, "learn", learned)
            for _ in self.answers():
                pass

    def load(self, saved: list[Any]) -> None:
        """Before anything else: give what the partitions of an earlier search saved to all that there will be.

        One alone would have to tell the others later all that its model takes over now.
        """
        for helper in self.helpers:
            helper.has_started(waits=True)
        self._set_to_work()
        self.ask("load", saved)

    def _set_to_work(self) -> None:
        self._at_work = self.helpers
        self._own = make_partition(self._model, 0, self.jobs)

    def ask(self, call: str, *arguments: Any) -> list[Any]:
        """What each partition answers."""
        for index in range(self.jobs):
            self.submit(index, call, *arguments)
        answers = [None] * self.jobs
        for index, _, answer in self.answers():
            answers[index] = answer
        return answers

    def ask_one(self, index: int, call: str, *arguments: Any) -> Any:
        """What one partition answers."""
        self.submit(index, call, *arguments)
        [(_, _, answer)] = self.answers()
        return answer

    def submit(self, index: int, call: str, *arguments: Any) -> None:
        """Ask one partition. It answers in the order in which it was asked; `answers` has what it says."""
        if index:
            self._at_work[index - 1].submit((call, arguments))
        else:
            self._own_calls.append((call, arguments))

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        """Which partition answers which call with what, as they come, until none has anything left to do."""
        while True:
            waiting = [index for index, helper in enumerate(self._at_work, 1) if helper.asked]
            ready = self._exchange(waiting)
            for index in ready:
                yield index, *self._at_work[index - 1].answer()
            if self._own_calls and not ready:  # the others first: they wait for what this process does with it
                call, arguments = self._own_calls.popleft()
                yield 0, call, self._answer(call, arguments)
            elif not waiting:
                break
        longest = max((helper.seconds for helper in self._at_work), default=0.0)
        began, self._asked_at = self._asked_at, process_time()
        self.more_seconds += max(0.0, longest - (self._asked_at - began))
        for helper in self._at_work:
            helper.seconds = 0.0

    def memory_bytes(self) -> int:
        """The most memory that the exploring processes have held, added up, as far as they have said."""
        return memory_bytes() + sum(helper.memory for helper in self._at_work)

    def _exchange(self, waiting: list[int]) -> list[int]:
        """Write to helpers what there is room for. Who of those that are waited for can be read from.

        If nothing is to be done here, this waits until one can be read from or written to.
        """
        readers = {self._at_work[index - 1].answers.fileno(): index for index in waiting}
        writers = {helper.calls.fileno(): helper for helper in self._at_work if helper.has_unsent}
        if not (readers or writers):
            return []
        poller = poll()
        for file in readers:
            poller.register(file, POLLIN)
        for file in writers:
            poller.register(file, POLLOUT)
        ready = [file for file, _ in poller.poll(0 if self._own_calls else None)]
        for file in ready:
            if file in writers:
                writers[file].write()
        return [readers[file] for file in ready if file in readers]

    def _answer(self, call: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return getattr(self._own, call)(*arguments)
        except Exception as error:
            raise WorkerError(traceback.format_exc()) from error


class Helper:
    """A partition in a process of its own, which starts at once."""

    def __init__(self, make_model: MakeModel, index: int, partitions: int) -> None:
        self.asked: deque[str] = deque()  # what it has not answered
        self.seconds = 0.0  # of processor time, since somebody set it to zero
        self.memory = 0
        context = multiprocessing.get_context("spawn")
        self.answers, their_answers = context.Pipe(duplex=False)
        their_calls, self.calls = context.Pipe(duplex=False)
        for pipe in (self.answers, self.calls):
            _widen(pipe)
        # This process never waits until a helper reads: the helper could wait for this one to read.
        os.set_blocking(self.calls.fileno(), False)
        self._unsent = bytearray()
        work = (their_calls, their_answers, make_model, index, partitions)
        self._process = context.Process(target=_work, args=work, daemon=True)
        with _without_sigint():
            self._process.start()
        self.pid = self._process.pid or 0  # None only before its start
        their_answers.close()
        their_calls.close()
        self._has_started = False

    def has_started(self, *, waits: bool) -> bool:
        """Whether its partition is there to be asked. `waits`: until it is."""
        if not self._has_started and (waits or self.answers.poll()):
            self._receive()
            self._has_started = True
        return self._has_started

    def submit(self, call: Call) -> None:
        """Ask it, after what it was asked before."""
        self.asked.append(call[0])
        self._unsent += pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
        self.write()

    @property
    def has_unsent(self) -> bool:
        """Whether calls are to be written when there is room for them."""
        return bool(self._unsent)

    def write(self) -> None:
        """Write what there is room for."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self.calls.fileno(), self._unsent)]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it is gone: who waits for its answer is told
            self._unsent.clear()

    def answer(self) -> tuple[str, Any]:
        """What it answers to the next of its calls."""
        return self.asked.popleft(), self._receive()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self.calls.close()
        self.answers.close()

    def _receive(self) -> Any:
        try:
            is_answer, value, seconds, self.memory = self.answers.recv()
        except (EOFError, OSError):  # before an answer, and in the midst of one
            self._process.join()
            code = self._process.exitcode
            what = f"a process that explored is gone (exit code {code})"
            raise HelperLost(f"{what}: perhaps memory ran out; fewer --jobs take less") from None
        if not is_answer:
            raise WorkerError(value)
        self.seconds += seconds
        return value


def make_partition(model: AnyModel, index: int, partitions: int) -> Partition:
    """The partition that fits the model."""
    if isinstance(model, PackedModel):
        return PackedPartition(model, index, partitions)
    if isinstance(model, ArrayModel):
        from tcrp.explore.arrays import ArrayPartition  # NumPy need not be installed

        return ArrayPartition(model, index, partitions)
    return StatePartition(model, index, partitions)


def memory_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def _widen(pipe: Connection) -> None:
    """Let a slice's findings fit into a pipe, so that nobody waits for the other end; where the system allows it."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


@contextmanager
def _without_sigint() -> Iterator[None]:
    """A process that is started here never gets SIGINT: Ctrl-C is the search's to heed, and it ends its processes."""
    resource_tracker.ensure_running()  # its start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(calls: Connection, answers: Connection, make_model: MakeModel, index: int, partitions: int) -> None:
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):  # the search has ended, maybe in midst of a call
        try:
            partition = make_partition(make_model(), index, partitions)
        except Exception:
            answers.send((False, traceback.format_exc(), 0.0, 0))
            return
        answers.send((True, None, 0.0, memory_bytes()))
        last = process_time()
        with open(calls.fileno(), "rb", closefd=False) as incoming:
            while True:
                call, arguments = pickle.load(incoming)  # noqa: S301 - the process of this search wrote it
                answer = _answer_of(partition, call, arguments)
                began, last = last, process_time()
                answers.send((*answer, last - began, memory_bytes()))


def _answer_of(partition: Partition, call: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether it is an answer, and that; else what went wrong."""
    try:
        return True, getattr(partition, call)(*arguments)
    except Exception:
        return False, traceback.format_exc()
