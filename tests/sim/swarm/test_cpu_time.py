"""A run is stopped by the processor time that it uses, in the main thread and in any other."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tcrp.sim.swarm.cpu_time import AGAIN_SECONDS, LOOK_SECONDS_MIN, RunTimedOut, within


def busy(seconds: float) -> bool:
    """Use that much processor time. Returns whether it may."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass
    return True


def used(seconds: float, most: float) -> float:
    """How long work of `seconds` goes on that has `most`: until it is stopped, or whole."""
    begun = time.thread_time()
    try:
        with within(most):
            busy(seconds)
    except RunTimedOut:
        assert time.thread_time() - begun < seconds
    return time.thread_time() - begun


@pytest.fixture(params=["the main thread", "another thread"])
def pool(request: pytest.FixtureRequest) -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(1) if request.param == "another thread" else None


def call(pool: ThreadPoolExecutor | None, *given: float) -> float:
    return pool.submit(used, *given).result() if pool is not None else used(*given)


def test_work_of_less_is_whole(pool: ThreadPoolExecutor | None) -> None:
    assert call(pool, 0.02, 5) >= 0.02


def test_work_of_more_is_stopped(pool: ThreadPoolExecutor | None) -> None:
    assert 0.05 <= call(pool, 5, 0.06) < 4


def test_work_is_stopped_though_the_first_time_out_was_dropped(pool: ThreadPoolExecutor | None) -> None:
    """As Python drops one that is raised while a callback of its garbage collector runs."""

    def works() -> bool:
        try:
            with within(0.06):
                with contextlib.suppress(RunTimedOut):
                    busy(5)
                return busy(5)
        except RunTimedOut:
            return False

    assert not (pool.submit(works).result() if pool is not None else works())


@pytest.mark.parametrize("most", [0, 1e-9])
def test_no_time_at_all_is_used_up_at_once(pool: ThreadPoolExecutor | None, most: float) -> None:
    """A timer of 0 seconds would be none."""
    assert call(pool, 5, most) < 4


def test_time_that_passes_without_work_does_not_count(pool: ThreadPoolExecutor | None) -> None:
    def waits() -> bool:
        with within(0.1):
            time.sleep(0.3)
        return True

    assert pool.submit(waits).result() if pool is not None else waits()


def test_nothing_is_stopped_after_the_block(pool: ThreadPoolExecutor | None) -> None:
    def works_afterwards() -> bool:
        with within(0.1):
            busy(0.01)
        return busy(0.1 + 3 * LOOK_SECONDS_MIN)

    assert pool.submit(works_afterwards).result() if pool is not None else works_afterwards()


def test_a_time_out_that_comes_as_the_block_ends_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raises, raise_in = threading.Event(), ctypes.pythonapi.PyThreadState_SetAsyncExc

    def raise_late(*given: object) -> int:
        raises.set()
        time.sleep(0.2)  # meanwhile the block ends; were this too short, the test would see less, and pass
        return int(raise_in(*given))

    def works_afterwards() -> bool:
        with contextlib.suppress(RunTimedOut), within(0.05):
            while not raises.is_set():
                pass
        return busy(2 * AGAIN_SECONDS)

    monkeypatch.setattr(ctypes.pythonapi, "PyThreadState_SetAsyncExc", raise_late)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(works_afterwards).result()


def test_a_thread_that_is_gone_is_looked_at_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock cannot be read. The thread that watches it may begin to run long after its block."""
    started: list[Callable[[], None]] = []

    class Late:
        def __init__(self, target: Callable[[], None], daemon: bool) -> None:
            self.start = lambda: started.append(target)

    def work() -> None:
        with within(5):
            pass

    thread = threading.Thread(target=work)
    monkeypatch.setattr(threading, "Thread", Late)
    thread.start()
    thread.join()
    [watch] = started
    watch()


def test_the_signals_handler_is_the_former_one_afterwards_whatever_happened() -> None:
    def mine(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGVTALRM, mine)
    try:
        with pytest.raises(KeyError), within(5):
            raise KeyError
        assert signal.getsignal(signal.SIGVTALRM) is mine
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_each_thread_is_stopped_by_its_own_time() -> None:
    barrier = threading.Barrier(2)

    def works(seconds: float, most: float) -> bool:
        barrier.wait(10)
        try:
            with within(most):
                return busy(seconds)
        except RunTimedOut:
            return False

    with ThreadPoolExecutor(2) as both:
        stopped, whole = both.submit(works, 5, 0.1), both.submit(works, 0.05, 5)
        assert (stopped.result(), whole.result()) == (False, True)
