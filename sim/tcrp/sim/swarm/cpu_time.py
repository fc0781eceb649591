"""Stops a run that uses too much CPU time: by a timer of the system in the main thread, else by a second thread."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LOOK_SECONDS_MIN = 0.05
"""The shortest time between two looks at another thread's CPU time."""

TIMER_SECONDS_MIN = 1e-6
"""The shortest time of a timer: one of 0 would be switched off."""

AGAIN_SECONDS = 0.5
"""`RunTimedOut` comes again after this: Python drops what is raised in a callback of its garbage collector."""


class RunTimedOut(Exception):
    """A run has used more CPU time than it may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `RunTimedOut` in the block after this much CPU time, and again every `AGAIN_SECONDS` until it ends."""
    if threading.current_thread() is not threading.main_thread():
        with _watched(seconds):
            yield
        return
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _time_out)
    signal.setitimer(signal.ITIMER_VIRTUAL, max(seconds, TIMER_SECONDS_MIN), AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _time_out(_signal: int, _frame: FrameType | None) -> None:
    raise RunTimedOut


@contextmanager
def _watched(seconds: float) -> Iterator[None]:
    """The same in a thread other than the main one, such as those of Dask workers: signals do not reach them."""
    import ctypes  # slow to import, and only such a thread needs it

    clock, ended, turn = _clock_of_this_thread(), threading.Event(), threading.Lock()
    watched, ends = threading.get_ident(), clock() + seconds

    is_over = False

    def watch() -> None:
        nonlocal ends
        left = seconds
        while not ended.wait(max(left, LOOK_SECONDS_MIN)):
            with turn:  # the block cannot end meanwhile: the clock of a thread that is gone cannot be read
                if is_over:
                    return
                left = ends - clock()
                if left <= 0:
                    raised = ctypes.py_object(RunTimedOut)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(watched), raised)
                    left, ends = AGAIN_SECONDS, clock() + AGAIN_SECONDS

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over = True  # at once: what was raised late interrupts the calls below
        with turn:
            ended.set()


def _clock_of_this_thread() -> Callable[[], float]:
    """The CPU time of this thread, for another to read. macOS cannot tell: there it is the time that passes."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)
