"""The server of a scenario on sockets: a chat-server process with a trace, which can crash and restart."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tcrp.engine.outputs import Address
from tcrp.sim.scenario.model import CloseRoom, Crash, Listener, Pause, Remove, ServerAction, SetLimits, Shutdown, Start
from tcrp.spec.limits import SETTINGS, Limits, write_setting
from tcrp.trace.reader import read_trace
from tcrp.trace.records import Record

READY = re.compile(r"TCP (\S+):(\d+) and UDP \S+:(\d+)")
READY_SECONDS = 30
RESTART_SECONDS = 1.0
"""So long may a server take that is started again: scenarios let it go on after about a second."""


class ServerFailed(Exception):
    """The server process could not start. The message holds the last line of its output."""


class LiveServer:
    """A server on `ip`, with the same ports after every restart. Traces and logs are written to `folder`.

    `is_up` is called whenever the server is ready. With `is_commanded` it has a control socket, which `Remove`
    and `CloseRoom` need.
    """

    def __init__(
        self,
        ip: str,
        limits: Limits,
        listeners: Sequence[Listener],
        folder: Path,
        is_up: Callable[[], Coroutine[None, None, None]],
        *,
        is_commanded: bool = False,
    ) -> None:
        self._is_up = is_up
        self._control = folder / "control" if is_commanded else None
        self._ip = ip
        self._limits = limits
        self._listeners = listeners
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._processes: list[asyncio.subprocess.Process] = []  # all there were
        self._starting = asyncio.Lock()  # two steps may start it
        self._traces: list[Path] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.addresses = [(Address(ip, 0), Address(ip, 0)) for _ in listeners]  # of each, for TCP and UDP
        self.late_seconds = 0.0  # by which a restart took longer than it may

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises `ServerFailed`."""
        trace = self._folder / f"server-{len(self._traces) + 1}.jsonl"
        options = [f"--{name.replace('_', '-')}={write_setting(name, self._limits)}" for name in SETTINGS]
        options += [f"--control={self._control}"] if self._control is not None else []
        log = self._folder / f"server-{len(self._traces) + 1}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tcrp.cli.server", "--host", self._ip, "--trace", str(trace),
                *self._listen_options(), *options,
                stdout=asyncio.subprocess.PIPE, stderr=stderr, start_new_session=True,
            )  # fmt: skip
        self._process = process
        self._processes.append(process)
        self._traces.append(trace)
        assert process.stdout is not None, "stdout is a pipe"
        said = (await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)).decode()
        if "ready" in said and self._listeners[0].name:  # then a line for each
            for _ in self._listeners:
                said += (await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)).decode()
        ports = [(int(tcp), int(udp)) for _, tcp, udp in READY.findall(said)]
        if len(ports) != len(self._listeners):
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise ServerFailed(f"the server did not start: {last or said.strip() or 'no output'}")
        self.addresses[:] = [(Address(self._ip, tcp), Address(self._ip, udp)) for tcp, udp in ports]
        await self._is_up()

    def _listen_options(self) -> list[str]:
        options = []
        for listener, (tcp, udp) in zip(self._listeners, self.addresses, strict=True):
            if listener.name:
                dialects = "".join(f",dialect={each}" for each in listener.dialects)
                options.append(f"--listen=tcp={tcp.port},udp={udp.port},name={listener.name}{dialects}")
            else:
                dialect = listener.dialects[0] if listener.dialects else "auto"
                options += ["--tcp-port", str(tcp.port), "--udp-port", str(udp.port), "--dialect", dialect]
        return options

    def act(self, action: ServerAction) -> None:
        """Take a step of the script."""
        match action:
            case Crash(restart_us):
                self._signal(signal.SIGKILL)
                self._process = None
                if restart_us is not None:
                    self._later(restart_us / 1_000_000, self._restart)
            case Start():
                self._later(0, self._restart)
            case Pause(for_us):
                self._signal(signal.SIGSTOP)
                self._later(for_us / 1_000_000, self._resume)
            case Shutdown():
                self._signal(signal.SIGTERM)
            case Remove(user, room):
                self._later(0, partial(self._command, {"command": "remove", "user": user, "room": room}))
            case CloseRoom(room):
                self._later(0, partial(self._command, {"command": "close", "room": room}))
            case SetLimits():
                raise AssertionError(f"{action} cannot run on sockets")

    async def _restart(self) -> None:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                began = time.monotonic()
                await self.start()
                self.late_seconds = max(self.late_seconds, time.monotonic() - began - RESTART_SECONDS)

    async def _resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def _command(self, request: dict[str, str]) -> None:
        """Ask over the control socket, as `chat-server ctl` does. A server that is down does nothing."""
        assert self._control is not None, "a server that is to be commanded has a control socket"
        with suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(self._control)
            writer.write(json.dumps(request).encode() + b"\n")
            await reader.read()
            writer.close()

    def _later(self, seconds: float, what: Callable[[], Coroutine[None, None, None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await what()

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def records(self) -> Iterator[tuple[int, Iterator[Record]]]:
        """The records of each process so far, in order: its number, and its trace as far as lines are whole."""
        for number, trace in enumerate(self._traces):
            if trace.exists() and trace.stat().st_size:  # a process may have ended before it wrote any
                yield number, read_trace(trace, still_written=True)[1]

    async def close(self) -> None:
        """Kill what runs: a shutdown would add steps to the trace."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
