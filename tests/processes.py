"""A chat-server process, and peers who speak to it byte by byte, for tests on real sockets.

The peers here write the bytes of the `text` dialect by hand, not with the project's codecs: what is
checked is what another program would meet. Everything waits for a condition, with a bound.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
PATIENCE = 20.0
"""Seconds after which something that should happen has not happened."""
QUIET = 0.3
"""Seconds in which something that should not happen would have happened on a loopback."""

CREATE, JOIN = 1, 2
_numbers = itertools.count(1)
READY = re.compile(
    r"ready on TCP (?:\[([^]]+)\]|([^]:]+)):(\d+) and UDP (?:\[[^]]+\]|[^]:]+):(\d+)(?:, metrics on (\S+))?"
)


def until(condition, what: str) -> None:  # type: ignore[no-untyped-def]
    """Wait until `condition()` holds; an assertion error that says `what`, if it never does."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, f"it never came: {what}"
        time.sleep(0.01)


def imported_by_help(program: str, names: set[str]) -> list[str]:
    """Which of these modules `program --help` imports."""
    script = (
        f"import sys; from {program} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('imported:', sorted({names!r} & sys.modules.keys()))"
    )
    shown = subprocess.run([BIN / "python", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    return re.findall(r"'([^']+)'", shown.stdout.rpartition("imported:")[2])


LISTENER = re.compile(r"TCP 127.0.0.1:(\d+) and UDP 127.0.0.1:(\d+), ")


class At:
    """One of several listeners of a server, where a peer takes a server."""

    def __init__(self, server: LiveServer, tcp: int, udp: int) -> None:
        self.host, self.tcp, self.udp, self.peers = "127.0.0.1", tcp, udp, server.peers


class LiveServer:
    """A chat-server on free ports.

    With `listen` it has several listeners, as `--listen` takes them; `listeners` is how many its file has.
    """

    def __init__(
        self,
        *options: str,
        host: str = "127.0.0.1",
        tcp: int = 0,
        udp: int = 0,
        listen: tuple[str, ...] = (),
        listeners: int = 0,
        command: tuple[str, ...] = (str(BIN / "chat-server"),),
        env: dict[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        self.peers: list[Peer] = []  # closed with it
        # Read by its name: a second file object of one open file would move the place where the server writes.
        self._log = tempfile.NamedTemporaryFile("w")  # noqa: SIM115 (closed with the server)
        ports = [f"--listen={each}" for each in listen]
        if not listen and not listeners:
            ports = ["--tcp-port", str(tcp), "--udp-port", str(udp)]
        self.process = subprocess.Popen(
            [*command, "--host", host, *ports, *options],
            stdout=subprocess.PIPE, stderr=self._log if stderr is None else stderr, text=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if readable else ""
        if (listen or listeners) and "ready" in line:
            self._know_listeners([self.process.stdout.readline() for _ in range(len(listen) or listeners)])
            return
        match = READY.search(line)
        assert match is not None, f"no ready line but {line!r}; the log says: {self.log()}"
        host = match[1] or match[2]
        self.host = host if host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        self.tcp, self.udp = int(match[3]), int(match[4])
        self.metrics_url = match[5]

    def _know_listeners(self, lines: list[str]) -> None:
        found = [LISTENER.search(line) for line in lines]
        self.host, self.metrics_url = "127.0.0.1", None
        self.listeners = [At(self, int(each[1]), int(each[2])) for each in found if each is not None]
        self.tcp, self.udp = self.listeners[0].tcp, self.listeners[0].udp

    def log(self) -> str:
        """What it has logged so far."""
        return Path(self._log.name).read_text(encoding="utf-8")

    def logs(self, word: str) -> bool:
        return word in self.log()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As if its machine had lost power."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ask it to stop, and wait. Returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        for peer in self.peers:
            peer.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


@contextlib.contextmanager
def live_server(*options: str, **network: object) -> Iterator[LiveServer]:
    """A server for the length of a block; it must not have met a fault of its own."""
    server = LiveServer(*options, **network)  # type: ignore[arg-type]
    try:
        yield server
        assert "internal_error" not in server.log()
        assert "Traceback" not in server.log()
    finally:
        server.close()


def ctl(path: Path, *arguments: str, code: int = 0) -> str:
    """What `chat-server ctl` prints: its result, or its complaint without the program's name."""
    done = subprocess.run(
        [BIN / "chat-server", "ctl", "--control", path, *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if code == 0:
        assert done.stderr == ""
        return done.stdout
    assert done.stdout == ""
    prefix, _, complaint = done.stderr.rpartition("chat-server ctl: ")
    assert "Traceback" not in prefix
    return complaint.rstrip("\n")


def frame(operation: int, state: int, room: bytes, payload: bytes) -> bytes:
    """A TCP frame by hand."""
    return bytes((len(room), operation, state)) + len(payload).to_bytes(29, "big") + room + payload


class Peer:
    """Somebody with one UDP socket, in the `text` dialect."""

    def __init__(self, server: LiveServer | At, name: str, ip: str = "127.0.0.1") -> None:
        self.server = server
        self.name = name
        self.ip = ip
        self.room = b""
        self.token = b""
        self.udp = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((ip, 0))
        # Connected: a port may be one that another test's server still sends to.
        self.udp.connect(("::1" if ":" in ip else server.host, server.udp))
        server.peers.append(self)

    def connect(self) -> socket.socket:
        """A TCP connection from this peer's address."""
        host = "::1" if ":" in self.ip else self.server.host
        return socket.create_connection((host, self.server.tcp), PATIENCE, source_address=(self.ip, 0))

    def ask(self, data: bytes) -> bytes:
        """Send bytes over TCP; everything that comes back until the server has said all."""
        with self.connect() as tcp:
            tcp.sendall(data)
            return read_all(tcp)

    def creates(self, room: str) -> Peer:
        return self._enters(CREATE, room)

    def joins(self, room: str) -> Peer:
        return self._enters(JOIN, room)

    def _enters(self, operation: int, room: str) -> Peer:
        self.room = room.encode()
        answer = self.ask(frame(operation, 0, self.room, self.name.encode()))
        head = frame(operation, 1, self.room, b"\0")
        assert answer.startswith(head), f"{self.name} was refused: {answer!r}"
        self.token = answer[len(head) + 32 + len(self.room) :]
        assert re.fullmatch(rb"[0-9a-f]{32}", self.token)
        self.says("")
        return self

    def datagram(self, text: bytes) -> bytes:
        return bytes((len(self.room), len(self.token))) + self.room + self.token + text

    def says(self, text: str | bytes) -> None:
        self.sends(self.datagram(text.encode() if isinstance(text, str) else text))

    def sends(self, data: bytes) -> None:
        try:
            self.udp.send(data)
        except ConnectionRefusedError:  # of an earlier datagram, to a server that was gone
            self.udp.send(data)

    def hears(self) -> bytes:
        """The next datagram."""
        readable, _, _ = select.select([self.udp], [], [], PATIENCE)
        assert readable, f"{self.name} heard nothing"
        return self.udp.recv(65536)

    def hears_nothing(self) -> bool:
        readable, _, _ = select.select([self.udp], [], [], QUIET)
        return not readable

    def hears_within(self, other: Peer, text: str) -> None:
        """`other` speaks until this peer hears it: entering by a datagram is not instantly known."""
        other.says(text)
        assert self.hears() == f"{other.name}: {text}".encode()

    def close(self) -> None:
        self.udp.close()


def read_all(tcp: socket.socket) -> bytes:
    """What comes until the server has finished; an error if it never does."""
    tcp.settimeout(PATIENCE)
    data = b""
    while more := tcp.recv(65536):
        data += more
    return data


@contextlib.contextmanager
def room_of(server: LiveServer, *names: str, room: str = "", ips: tuple[str, ...] = ()) -> Iterator[list[Peer]]:
    """A room whose first member is its host; everybody's address is known to the server when it begins.

    Unless it is named it has a name of its own, so that tests can share a server.
    """
    room = room or f"room-{next(_numbers)}"
    peers = []
    try:
        for number, name in enumerate(names):
            peer = Peer(server, name, ips[number] if ips else "127.0.0.1")
            peers.append(peer)
            peer.creates(room) if number == 0 else peer.joins(room)
            # Once the others hear a text, the keep-alive that entered the room before it was taken too.
            if number:
                peer.says("here")
                for other in peers[:-1]:
                    assert other.hears() == f"{name}: here".encode()
        yield peers
    finally:
        for peer in peers:
            peer.close()
