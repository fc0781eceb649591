"""Runs the batches of a swarm on a Dask cluster: on those workers whose tcrp is the same as here.

Dask itself repeats a batch whose worker died on another that may have it. What is added here: workers are compared
before they get a batch, also those that come later; every wait has a bound; and whatever is lost, what was done stays.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import socket
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from distributed import Client, KilledWorker, Security
from distributed.core import rpc

from tcrp.cli.exits import UsageError
from tcrp.cli.identity import difference, identity
from tcrp.cli.swarm_workers import POLL_SECONDS, UNDER_WAY_EACH, Result, RunSeeds, Workers, WorkersLost
from tcrp.trace.plural import counted

ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[^\]]+\]|[^\[\]:/\s]+):(?P<port>\d{1,5})/?")
ANSWER_SECONDS = 5
"""How long a scheduler may take to say at first that it is there."""
REPLY_SECONDS = 20
"""How long a scheduler or a worker at work, on a busy machine, may take to answer."""
COUNT_EVERY_SECONDS = 1
"""How often the workers are counted."""
FIRST_WORKER_SECONDS = 10
"""How long to wait for a worker at the start."""
NEXT_WORKER_SECONDS = 60
"""How long to wait for another once none is left."""
LOST = "the scheduler {} is gone, or out of reach; what it had not finished was not counted"


@dataclass(frozen=True, slots=True)
class _UnderWay:
    seeds: range
    future: Any
    workers: frozenset[str]  # that may run it


class DaskWorkers:
    """A client of a scheduler. Raises `UsageError` if there is none, or no worker of use."""

    def __init__(self, address: str, run: RunSeeds, warn: Callable[[str], None]) -> None:
        self._address = address
        self._run = run
        self._warn = warn
        self._ours = identity()
        self._compared: dict[str, bool] = {}  # by address: whether its tcrp is the same
        self._threads: dict[str, int] = {}  # of those that are there and the same
        self._used: set[str] = set()
        self._pending: dict[str, _UnderWay] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._counted = self._had_worker = 0.0
        _silence_dask()
        check_scheduler(address)
        try:
            self._client: Any = Client(  # type: ignore[no-untyped-call]
                address, timeout=REPLY_SECONDS, set_as_default=False, name="chat-sim-swarm"
            )
        except OSError as error:
            raise UsageError(f"--dask {address}: the scheduler takes no client: {error}") from None

    def __enter__(self) -> Workers:
        try:
            self._await_first()
        except BaseException:
            self._client.close(timeout=ANSWER_SECONDS)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close(timeout=ANSWER_SECONDS)  # the scheduler then drops what nobody waits for

    def wanted(self) -> int:
        """See `Workers`."""
        return UNDER_WAY_EACH * sum(self._threads.values()) - len(self._pending)

    def submit(self, seeds: range) -> None:
        """See `Workers`."""
        future = self._client.submit(self._run, seeds, workers=list(self._threads), pure=False)
        self._used.update(self._threads)
        self._await(_UnderWay(seeds, future, frozenset(self._threads)))

    def finished(self) -> list[tuple[range, Result]]:
        """See `Workers`."""
        if time.monotonic() >= self._counted + COUNT_EVERY_SECONDS:
            self._count()
        try:
            keys = [self._ended.get(timeout=POLL_SECONDS)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            keys.append(self._ended.get())
        ended = [self._pending.pop(key) for key in keys if key in self._pending]
        results = [(each, self._result(each)) for each in ended]
        return [(each.seeds, result) for each, result in results if result is not None]

    def names(self) -> str:
        """See `Workers`."""
        return counted(len(self._used), "Dask worker")

    def _await(self, each: _UnderWay) -> None:
        self._pending[each.future.key] = each
        each.future.add_done_callback(lambda done: self._ended.put(done.key))

    def _result(self, ended: _UnderWay) -> Result | None:
        """None: it is gone with the worker that had it, so that another worker has to run it again."""
        if ended.future.status in ("error", "cancelled"):
            raise WorkersLost(self._why(ended))
        try:
            result: Result = ended.future.result(timeout=REPLY_SECONDS)
        except Exception:
            if self._client.status != "running" or ended.future.status in ("error", "cancelled"):
                raise WorkersLost(self._why(ended)) from None
            self._await(ended)
            return None
        return result

    def _why(self, ended: _UnderWay) -> str:
        if ended.future.status == "error":
            error = ended.future.exception(timeout=REPLY_SECONDS)
            seeds = f"seeds {ended.seeds.start} to {ended.seeds[-1]}"
            here = f"to run them here, say --seed {ended.seeds.start} --runs {len(ended.seeds)} without --dask"
            if isinstance(error, KilledWorker):
                return f"{seeds} ended one worker after the other (too little memory?); {here}"
            return f"{seeds} cannot be run by a worker: {error!r}; {here}"
        return LOST.format(self._address)

    # --- which workers -----------------------------------------------------------------------------

    def _await_first(self) -> None:
        until = time.monotonic() + FIRST_WORKER_SECONDS
        while True:
            try:
                self._count()
            except WorkersLost as lost:
                raise UsageError(str(lost)) from None
            if self._threads:
                return
            if self._compared:
                raise UsageError(f"--dask {self._address}: none of its workers has the tcrp of here")
            if time.monotonic() >= until:
                start = f"start one where this tcrp is installed: dask worker {self._address} --nthreads 1"
                raise UsageError(f"--dask {self._address}: the scheduler has no worker; {start}")
            time.sleep(POLL_SECONDS)

    def _count(self) -> None:
        """Find out which workers are there, compare those that are new, and give what only dead ones had to others."""
        threads: dict[str, int] = self._ask(self._client.scheduler.ncores)
        new = [address for address in threads if address not in self._compared]
        if new:
            self._compare(new)
        self._threads = {address: count for address, count in threads.items() if self._compared.get(address)}
        self._counted = time.monotonic()
        if self._threads:
            self._had_worker = self._counted
            for key, each in list(self._pending.items()):
                if each.workers.isdisjoint(self._threads) and not each.future.done():
                    del self._pending[key]
                    each.future.release()
                    self.submit(each.seeds)
        elif self._used and self._counted > self._had_worker + NEXT_WORKER_SECONDS:
            raise WorkersLost(f"{self._address} has had no worker for {NEXT_WORKER_SECONDS} s; the rest was not run")

    def _compare(self, addresses: list[str]) -> None:
        workers = self._ask(self._client.scheduler.identity, n_workers=-1)["workers"]
        for address in addresses:
            what = self._what_differs(address)
            self._compared[address] = not what
            if what:
                name = str(workers[address]["name"]) if address in workers else address
                at = "" if name == address else f" ({address})"
                self._warn(f"worker {name}{at} is not used: {what}")

    def _what_differs(self, address: str) -> str:
        """Between the tcrp of a worker and ours."""
        try:
            theirs = self._client.sync(
                self._client.run, identity, workers=[address], on_error="return", callback_timeout=REPLY_SECONDS
            )[address]
        except TimeoutError:
            return f"it did not say within {REPLY_SECONDS} s which tcrp it has"
        except (OSError, KeyError):
            return "it is gone"
        if isinstance(theirs, ImportError):
            return "it has no tcrp, or one that is too old to be asked"
        what = repr(theirs) if isinstance(theirs, BaseException) else difference(theirs, self._ours)
        return what and f"it has {what}"

    def _ask(self, question: Callable[..., Any], **arguments: Any) -> Any:
        """What the scheduler answers. Raises `WorkersLost`."""
        if self._client.status != "running":
            raise WorkersLost(LOST.format(self._address))
        try:
            return self._client.sync(question, callback_timeout=REPLY_SECONDS, **arguments)
        except (OSError, TimeoutError):
            raise WorkersLost(LOST.format(self._address)) from None


def _silence_dask() -> None:
    """What matters is said here, in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("distributed", "tornado")):  # several have levels of their own
            logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="distributed")  # of other versions of libraries: tcrp's are compared


def check_scheduler(address: str) -> None:
    """Raise `UsageError` if no scheduler is there. A `Client` would try for long, and may never return."""
    parts = ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise UsageError(f"--dask {address}: the address of a scheduler is HOST:PORT, such as 127.0.0.1:8786")
    where = f"--dask {address}"
    try:
        with socket.create_connection((parts["host"].strip("[]"), int(parts["port"])), ANSWER_SECONDS) as connection:
            # The other side of a TLS connection waits for us; a scheduler on TCP says what it is at once.
            if parts["scheme"] != "tls" and not connection.recv(1):
                raise UsageError(f"{where}: what is there is not a Dask scheduler")
    except TimeoutError:
        raise UsageError(f"{where}: no answer within {ANSWER_SECONDS} s; is it a Dask scheduler?") from None
    except OSError as error:
        raise UsageError(f"{where}: there is no scheduler: {error.strerror}; start one: dask scheduler") from None
    try:
        kind = asyncio.run(asyncio.wait_for(_kind(address), ANSWER_SECONDS))
    except Exception as error:
        raise UsageError(f"{where}: what is there is not a Dask scheduler: {error!r}") from None
    if kind != "Scheduler":
        raise UsageError(f"{where}: that is the address of a Dask {kind.lower()}; the scheduler's is needed")


async def _kind(address: str) -> str:
    arguments = Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    async with rpc(address, timeout=ANSWER_SECONDS, connection_args=arguments) as there:  # type: ignore[no-untyped-call]
        about: dict[str, str] = await there.identity()
        return about["type"]
