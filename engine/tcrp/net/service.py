"""A server as a process: signals, log, trace file, metrics, and one line when it is ready."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import platform
import resource
import signal
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO

from tcrp.engine.codec import Codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.net.addresses import address_of
from tcrp.net.background import BackgroundWriter
from tcrp.net.control import Control
from tcrp.net.log import Format, Log, written_address
from tcrp.net.ports import CannotBind, Place, overlapping
from tcrp.net.server import Server
from tcrp.net.trace_file import TraceFile
from tcrp.net.udp import BUFFER_BYTES, udp_path
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import Limits
from tcrp.trace.header import Header, Mode, written_limits
from tcrp.trace.plural import counted
from tcrp.trace.records import Record
from tcrp.trace.trace import Trace

if TYPE_CHECKING:
    from tcrp.net.cluster import ClusterConfig

TICK_SECONDS = 1.0
EXHAUSTED_AGAIN_SECONDS = 60
SPARE_FILES = 64
COLLECT_AFTER = (10_000, 10, 100)
"""Of the garbage collector: after so many more objects the newest are looked at, after so many times older ones too."""
LOG_BYTES_MAX = 1 << 20
"""What of the log may wait to be written; beyond that lines are lost, and counted."""


@dataclass(frozen=True, slots=True)
class Listen:
    """A listener that is to be opened. `dialects` are those that it recognises; none: `auto`. `host` may be a name."""

    name: str = ""
    host: str = "127.0.0.1"
    tcp_port: int = 9002
    udp_port: int = 9003
    dialects: tuple[Codec, ...] = ()

    def written_dialects(self) -> str:
        """What it recognises, in words."""
        return ", ".join(each.dialect.name for each in self.dialects) or "auto"


class Watcher(Protocol):
    """Who shows the trace as it happens. Never makes the server wait."""

    wants_texts: bool

    def __call__(self, record: Record) -> None: ...

    def heard(self, n: int, datagram: bytes) -> None:
        """A datagram whose text is relayed, and the number of the first record that followed from it."""

    def open(self, header: Header, serving: str) -> str:
        """Begin. Returns the address at which it is shown. Raises `OSError`."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a server is to be run. All listeners have names, or an only one none. `metrics_port` None: no metrics."""

    listeners: tuple[Listen, ...] = (Listen(),)
    limits: Limits = field(default_factory=Limits)
    trace: Path | None = None
    log_format: Format = "text"
    metrics_port: int | None = None
    control: Path | None = None
    version: str = ""
    watcher: Watcher | None = None
    cluster: ClusterConfig | None = None
    ends_at_hangup: bool = False
    """SIGHUP says that the server's terminal is gone, not that there is something to read again."""


class CannotServe(Exception):
    """The server cannot begin. The message says what to do."""


class CannotReread(Exception):
    """Settings cannot be read again; the old ones stay."""


class Reread(NamedTuple):
    """Settings that were read again: the limits, and which other settings differ and need a restart."""

    limits: Limits
    needs_restart: tuple[str, ...] = ()


def serve(configuration: Configuration, reread: Callable[[], Reread], out: TextIO, log_file: TextIO) -> None:
    """Serve until SIGTERM or SIGINT. On SIGHUP `reread` gives new settings, or raises `CannotReread`.

    Raises `CannotServe` if it cannot begin.
    """
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_Service(configuration, reread, out, log_file).run())


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed (`tcrp[fast]`)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _spare_the_collector() -> None:
    """Keep the garbage collector from pauses that relays would wait for.

    What is there when serving begins stays, and need not be looked at again. What a server holds and lets go is no
    garbage of its: sessions, rooms and outputs are freed when nothing refers to them. Cycles are few, so that it may
    look for them rarely.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _taken(error: CannotBind, listen: Listen) -> str:
    """What to say of taken ports, and of the options with which a server and its clients can go elsewhere."""
    tcp, udp = listen.tcp_port, listen.udp_port
    if listen.name:
        return (
            f"port {error.port} ({error.transport.upper()}) of the listener {listen.name} is taken by another program"
        )
    if error.is_other_taken:
        what, options = f"ports {tcp} (TCP) and {udp} (UDP) are", f"--tcp-port {tcp + 100} --udp-port {udp + 100}"
    else:
        what, options = f"port {error.port} is", f"--{error.transport}-port {error.port + 100}"
    return f"{what} taken (another chat-server?). Try {options}, here and for chat-client"


def _dialects_of(listeners: Sequence[Listen]) -> tuple[str, ...]:
    """Every dialect that some listener takes."""
    named = [each.dialect.name for listen in listeners for each in listen.dialects]
    auto = NAMES if any(not listen.dialects for listen in listeners) else ()
    return tuple(dict.fromkeys([*auto, *named]))


class _Service:
    def __init__(
        self, configuration: Configuration, reread: Callable[[], Reread], out: TextIO, log_file: TextIO
    ) -> None:
        self._stop = asyncio.Event()
        self._limits = configuration.limits
        self._names = tuple(each.name for each in configuration.listeners if each.name)
        self.configuration = configuration
        self._reread = reread
        self._out = out
        self._log_writer = BackgroundWriter(log_file.fileno(), LOG_BYTES_MAX)
        # JSON is UTF-8, wherever it goes; text is what the terminal can show.
        encoding = "utf-8" if configuration.log_format == "json" else log_file.encoding
        self._log = Log(
            lambda line: self._log_writer.write(line.encode(encoding, "backslashreplace")),
            configuration.log_format,
            self._names,
        )
        self._lines_lost = 0  # as the log has said
        self._trace = Trace()
        self._trace_file: TraceFile | None = None
        self._warned_at = -float("inf")

    async def run(self) -> None:
        try:
            await self._serve()
        finally:
            self._log_writer.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.set_exception_handler(self._on_exception)
        server, metrics = self._make_server()
        self._raise_file_limit(server)
        # nohup has the signal ignored, because the server is to survive its terminal.
        if not (self.configuration.ends_at_hangup and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN):
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup, server)
        await self._join(server)
        await self._open(server)
        control = Control(server, self._stop.set, lambda **what: self._log.info("control_command", **what))
        served = None
        try:
            self._open_trace_file()
            await self._begin(server)
            await self._open_control(control)
            served, metrics_port = self._serve_metrics(metrics, server)
            self._say_ready(server, metrics_port, self._open_watcher(server))
            self._say_how_datagrams_go(server)
            _spare_the_collector()
            ticking = asyncio.create_task(self._tick(server))
            await self._stop.wait()
            ticking.cancel()
            self._log.info("stopping")
            self._notify_systemd("STOPPING=1")
        finally:
            control.close()
            await server.stop()
            self._tick_once(server)
            if served is not None:
                served.shutdown()
                served.server_close()
            if self._trace_file is not None:
                self._trace_file.close()
            if self.configuration.watcher is not None:
                self.configuration.watcher.close()
        self._log.info("stopped")

    # --- beginning -------------------------------------------------------------------------------

    def _make_server(self) -> tuple[Server, Any]:
        configuration = self.configuration
        metrics = None
        if configuration.metrics_port is not None:
            from tcrp.net.metrics import Metrics  # a server without metrics starts without it

            metrics = Metrics()
            metrics.log_lines_lost = lambda: self._log_writer.lost
        trace = self._trace
        trace.listeners.append(self._log.hear)
        watcher = configuration.watcher
        if watcher is not None:
            trace.listeners.append(watcher)
        make: Callable[..., Server] = Server
        if configuration.cluster is not None:
            from tcrp.net.cluster import ClusterServer  # a single server needs no NATS

            make = partial(ClusterServer, configuration.cluster, self._log)
        server = make(
            configuration.limits,
            listeners=[ListenerConfig(each.dialects) for each in configuration.listeners],
            names=self._names,
            trace=trace,
            records_chat=configuration.trace is not None or watcher is not None,
            observer=metrics,
            entered=self._log.entered,
            exhausted=self._on_exhausted,
            heard=watcher.heard if watcher is not None and watcher.wants_texts else None,
        )
        return server, metrics

    def _open_trace_file(self) -> None:
        """Begin the trace, once the ports are ours: a server that is started twice must not empty the first's trace."""
        path = self.configuration.trace
        if path is None:
            return
        soon = asyncio.get_running_loop().call_soon
        try:
            self._trace_file = TraceFile(path, self._header().line(), soon, self._on_full_disk)
        except OSError as error:
            raise CannotServe(f"{path}: the trace cannot be written: {error.strerror}") from None
        self._trace.listeners.append(self._trace_file)

    async def _join(self, server: Server) -> None:
        """Find the cluster, if the server is to be one of several."""
        if self.configuration.cluster is not None:
            from tcrp.net.cluster import ClusterServer
            from tcrp.net.nats_login import CannotJoin

            assert isinstance(server, ClusterServer), "it was made as one"
            try:
                await server.join()
            except CannotJoin as error:
                raise CannotServe(str(error)) from None

    async def _begin(self, server: Server) -> None:
        if self.configuration.cluster is not None:
            from tcrp.net.cluster import ClusterServer
            from tcrp.net.nats_login import CannotJoin

            assert isinstance(server, ClusterServer), "it was made as one"
            try:
                await server.begin()
            except CannotJoin as error:
                raise CannotServe(str(error)) from None

    def _header(self) -> Header:
        configuration = self.configuration
        return Header(
            Mode.SOCKETS,
            versions={"python": platform.python_version(), "tcrp": configuration.version},
            limits=written_limits(configuration.limits),
            dialects=_dialects_of(configuration.listeners),
            listeners={each.name: each.written_dialects() for each in configuration.listeners if each.name},
        )

    async def _open(self, server: Server) -> None:
        listeners = self.configuration.listeners
        places = [Place(await self._resolve(each.host), each.tcp_port, each.udp_port) for each in listeners]
        if (found := overlapping(places)) is not None:
            first, second, transport = listeners[found[0]], listeners[found[1]], found[2]
            port = first.tcp_port if transport == "tcp" else first.udp_port
            why = f"the listeners {first.name} and {second.name} both have port {port} ({transport.upper()})"
            raise CannotServe(f"{why}. Give one of them another port, or each an address of its own")
        try:
            server.start(places)
        except CannotBind as error:
            listen = listeners[error.listener]
            of = f" (listener {listen.name})" if listen.name else ""
            if error.errno == errno.EADDRINUSE:
                why = _taken(error, listen)
            elif error.errno == errno.EACCES:
                higher = error.port + 9000
                hint = f"Give it port {higher}" if listen.name else f"Try --{error.transport}-port {higher}"
                why = f"port {error.port}{of} needs more rights than you have. {hint}"
            elif error.errno == errno.EADDRNOTAVAIL:
                hint = "Give it another" if listen.name else "Try --host 0.0.0.0, or leave it out"
                why = f"{listen.host}{of} is no address of this machine. {hint}"
            else:
                why = f"{error}{of}"
            raise CannotServe(why) from None

    @staticmethod
    async def _resolve(host: str) -> str:
        try:
            # Not the loop's own getaddrinfo: uvloop's loses the scope of a link-local address.
            found = await asyncio.to_thread(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # UnicodeError: not a name that DNS could have
            raise CannotServe(f"{host!r} is no host. Try --host 127.0.0.1, ::1, 0.0.0.0 or ::") from None
        return address_of(found[0][4]).ip

    async def _open_control(self, control: Control) -> None:
        path = self.configuration.control
        if path is None:
            return
        try:
            await control.open(path)
        except OSError as error:
            why = f"the control socket {path} cannot be opened: {error.strerror or error}"
            if error.errno == errno.EADDRINUSE:
                why += " (another chat-server, or another file?). Try another --control"
            raise CannotServe(why) from None

    def _serve_metrics(self, metrics: Any, server: Server) -> tuple[Any, int | None]:
        if metrics is None:
            return None, None
        metrics.server = server
        port = self.configuration.metrics_port
        try:
            served, bound = metrics.serve(port)
        except OSError as error:
            why = f"the metrics cannot be served on port {port}: {error.strerror}. Try --metrics-port 0"
            raise CannotServe(why) from None
        return served, bound

    def _raise_file_limit(self, server: Server) -> None:
        """A connection is a file; the system's first offer is often 1024."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.configuration.limits.connections_max + SPARE_FILES
        if soft != resource.RLIM_INFINITY and soft < wanted:
            better = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
                soft = better
            except (OSError, ValueError) as error:  # a fence around the process may forbid it
                self._log.warning("file_limit_not_raised", why=str(error))
        if soft != resource.RLIM_INFINITY and soft < wanted:
            self._log.warning("few_file_descriptors", allowed=soft, wanted=wanted)

    def _say_how_datagrams_go(self, server: Server) -> None:
        """Which way to the system the UDP sockets have, and whether it gave them the buffers that they asked for."""
        self._log.info("udp_path", path=udp_path())
        receive, send = (min(sizes) for sizes in zip(*server.buffer_bytes, strict=True))
        if min(receive, send) < BUFFER_BYTES:
            self._log.warning("small_udp_buffers", receive=receive, send=send, wanted=BUFFER_BYTES)

    def _open_watcher(self, server: Server) -> str | None:
        """The address of the live view, if there is one."""
        watcher = self.configuration.watcher
        if watcher is None:
            return None
        try:
            return watcher.open(self._header(), ", ".join(written_address(tcp) for tcp, _ in server.addresses))
        except OSError as error:
            why = f"the live view cannot be served: {error.strerror}. Try another port, or 0, for --watch"
            raise CannotServe(why) from None

    def _say_ready(self, server: Server, metrics_port: int | None, watched: str | None) -> None:
        where = [f"TCP {written_address(tcp)} and UDP {written_address(udp)}" for tcp, udp in server.addresses]
        several = counted(len(where), "listener")
        line = f"chat-server: ready on {several if self._names else where[0]}"
        if self.configuration.cluster is not None:
            line += f", as {self.configuration.cluster.node} of the cluster {self.configuration.cluster.bucket}"
        if metrics_port is not None:
            line += f", metrics on http://127.0.0.1:{metrics_port}/metrics"
        for listen, each in zip(self.configuration.listeners if self._names else (), where, strict=False):
            line += f"\n  {listen.name}: {each}, {listen.written_dialects()}"
        if watched is not None:
            line += f"\nchat-server: watch it in a browser: {watched}"
        try:
            os.write(self._out.fileno(), line.encode() + b"\n")  # a buffer would keep what cannot be written
        except OSError as error:  # nobody reads it, which is no reason not to serve
            self._log.warning("ready_line_not_written", why=error.strerror or str(error))
        self._notify_systemd("READY=1")

    # --- while it serves -------------------------------------------------------------------------

    async def _tick(self, server: Server) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick_once(server)

    def _tick_once(self, server: Server) -> None:
        counters = server.counters_by_listener
        self._log.tick(dict(zip(self._names or ("",), (each.by_rule for each in counters), strict=True)))
        if self._trace_file is not None:
            self._trace_file.flush()
        lost = self._log_writer.lost
        if lost > self._lines_lost and self._log_writer.keeps_up:
            self._log.warning("log_lines_lost", times=lost - self._lines_lost)
            self._lines_lost = lost

    def _on_hangup(self, server: Server) -> None:
        if self.configuration.ends_at_hangup:
            self._log.info("terminal_closed")
            self._stop.set()
            return
        self._notify_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reload(server)
        self._notify_systemd("READY=1")

    def _reload(self, server: Server) -> None:
        try:
            limits, needs_restart = self._reread()
        except CannotReread as error:
            self._log.warning("limits_not_reread", why=str(error))
            return
        old, new = written_limits(self._limits), written_limits(limits)
        changed = [f"{name}={value}" for name, value in new.items() if old[name] != value]
        server.set_limits(limits)
        self._limits = limits
        self._log.info("limits_reread", changed=" ".join(changed) or "nothing")
        if needs_restart:
            self._log.warning("restart_needed", settings=" ".join(needs_restart))

    def _on_full_disk(self, error: OSError) -> None:
        self._log.error("trace_ended", why=error.strerror or str(error))

    def _on_exhausted(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= EXHAUSTED_AGAIN_SECONDS:
            self._warned_at = now
            self._log.warning("no_more_connections", why=error.strerror or str(error))

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # a peer's connection broke which is not a fault of the server
            self._log.warning("connection_error", why=error.strerror or str(error))
            return
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self._log.error("internal_error", what=str(context.get("message")), why=repr(error), traceback=trace)

    def _notify_systemd(self, state: str) -> None:
        """Tell systemd (`Type=notify`), where it asked for that: one datagram, as sd_notify(3) has it."""
        path = os.environ.get("NOTIFY_SOCKET")
        if not path:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.setblocking(False)
            try:
                notify.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
            except OSError as error:
                self._log.warning("systemd_not_told", why=error.strerror or str(error))
