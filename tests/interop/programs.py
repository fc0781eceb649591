"""Small chat programs with blocking sockets and threads, as programs of this exercise have them: a server, a client.

They speak a `Form` and know nothing of tcrp. Everything that waits has a bound.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

from interop.forms import CREATE, EXISTS, MISSING, PASSWORD, Asked, Form

SECONDS_MAX = 10.0


def until(condition, what: str) -> None:  # type: ignore[no-untyped-def]
    """Wait until `condition()` holds; an assertion error that says `what`, if it never does."""
    ends = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < ends, f"it never came: {what}"
        time.sleep(0.005)


class Stream:
    """A TCP connection that is read as the forms want it."""

    def __init__(self, tcp: socket.socket) -> None:
        tcp.settimeout(SECONDS_MAX)
        self.tcp = tcp

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.tcp.recv(size - len(data))
            if not more:
                raise EOFError(f"{len(data)} of {size} bytes came: {data!r}")
            data += more
        return data

    def rest(self) -> bytes:
        data = b""
        while more := self.tcp.recv(65536):
            data += more
        return data


@dataclass
class Member:
    user: str
    token: str
    ip: str
    port: int = 0  # where its datagrams go, once that is known
    socket: socket.socket | None = None  # what they are sent from, if not from the server's own


@dataclass
class Room:
    password: str
    members: dict[str, Member] = field(default_factory=dict)  # by token; the first is the host


class ForeignServer:
    """A server of one form, on ports that the system picks."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.rooms: dict[str, Room] = {}
        self.heard: list[str] = []  # all texts
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._is_closed = False
        self._relaying: list[socket.socket] = []
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._accept, self._hear)]
        for thread in self.threads:
            thread.start()

    @property
    def ports(self) -> tuple[int, int]:
        return self.tcp.getsockname()[1], self.udp.getsockname()[1]

    def knows(self, room: str, *users: str) -> bool:
        """Whether exactly these are in the room, and it knows where they receive."""
        with self._lock:
            members = self.rooms[room].members.values() if room in self.rooms else []
            return [each.user for each in members if each.port] == list(users)

    def close(self) -> None:
        self._is_closed = True
        _end(self.threads, self.tcp, self.udp)
        for each in self._relaying:
            each.close()

    # --- TCP ---------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                tcp, address = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(tcp, address), daemon=True).start()

    def _serve(self, tcp: socket.socket, address: tuple[str, int]) -> None:
        form, stream = self.form, Stream(tcp)
        with tcp, contextlib.suppress(OSError, EOFError):
            tcp.sendall(form.greeting)
            asked = form.read_request(stream)
            why = self._why_not(asked)
            if why is not None:
                for data in form.refused(asked, why):
                    tcp.sendall(data)
                return
            member = Member(asked.user, form.new_token(), address[0], asked.port)
            if form.uses_tcp_port:
                member.port = address[1]
            if form.relays_from_any_port:
                member.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                member.socket.bind(("127.0.0.1", 0))
                self._relaying.append(member.socket)
            with self._lock:
                self.rooms.setdefault(asked.room, Room(asked.password)).members[member.token] = member
            for data in form.granted(asked, member.token):
                tcp.sendall(data)
            if form.has_trailer:
                member.port = int.from_bytes(stream.take(2), "big")

    def _why_not(self, asked: Asked) -> str | None:
        with self._lock:
            room = self.rooms.get(asked.room)
        if asked.op == CREATE:
            return EXISTS if room is not None else None
        if room is None:
            return MISSING
        return PASSWORD if room.password != asked.password else None

    # --- UDP ---------------------------------------------------------------------------------------

    def _hear(self) -> None:
        while not self._is_closed:
            try:
                data, address = self.udp.recvfrom(4096)
            except OSError:
                return
            try:
                room, token, text = self.form.read_text(data)
                member = self.rooms[room].members[token]
            except (KeyError, ValueError, IndexError):
                continue
            if not member.port:
                member.port = address[1]
            self.heard.append(text)
            self._take(room, member, text)

    def _take(self, name: str, member: Member, text: str) -> None:
        form, room = self.form, self.rooms[name]
        if text and text == form.enters_with and text.startswith(("_", "@")):  # a word, and not a text to be shown
            return
        if text and text == form.leave:
            self._leave(name, room, member)
            return
        for other in list(room.members.values()):
            if other.port and (form.echoes or other is not member):
                self._send(other, form.relay(name, member.user, text, member.token, other.token))

    def _leave(self, name: str, room: Room, member: Member) -> None:
        is_host = member is next(iter(room.members.values()))
        with self._lock:
            del room.members[member.token]
            if is_host:
                del self.rooms[name]
        sentence = self.form.closed if is_host else self.form.left
        if sentence is not None:
            said = sentence.format(user=member.user, room=name, port=member.port)
            for other in room.members.values():
                self._send(other, self.form.notice(said))

    def _send(self, to: Member, data: bytes) -> None:
        (to.socket or self.udp).sendto(data, (to.ip, to.port))


def _udp_of(form: Form) -> socket.socket:
    """A socket, on a port that is free for TCP too where the form's clients have one for both."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        if not form.uses_tcp_port:
            return udp
        with socket.socket() as tcp, contextlib.suppress(OSError):
            tcp.bind(udp.getsockname())
            return udp
        udp.close()


def _end(threads: list[threading.Thread], *sockets: socket.socket) -> None:
    """Close the sockets, but first end the threads that wait for them.

    A thread that is between two calls has the number of its socket in hand. Were that closed and the number given to
    the next socket, the thread would take that one's datagrams away.
    """
    for each in sockets:
        with contextlib.suppress(OSError):  # the system complains, but wakes who waits
            each.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(SECONDS_MAX)
        assert not thread.is_alive(), "a thread still waits for a socket"
    for each in sockets:
        each.close()


class ForeignClient:
    """A client of one form. `lines` is what it has printed."""

    def __init__(self, form: Form, user: str, host: str, tcp_port: int, udp_port: int) -> None:
        self.form = form
        self.user = user
        self.room = self.token = ""
        self.lines: list[str] = []
        self._server = host, tcp_port
        self.udp = _udp_of(form)
        # Of some the port would print as text: then a server that must guess takes it for a part of the name.
        self._to = host, udp_port
        self._is_closed = False
        self.thread = threading.Thread(target=self._hear, daemon=True)
        self.thread.start()

    def asks(self, op: int, room: str, password: str = "") -> ForeignClient:
        """Raises `Refused` or EOFError, as the program would break off."""
        form, port = self.form, self.udp.getsockname()[1]
        asked = Asked(op, room, self.user, password, port)
        source = ("127.0.0.1", port if form.uses_tcp_port else 0)
        with socket.create_connection(self._server, SECONDS_MAX, source_address=source) as tcp:
            stream = Stream(tcp)
            for number, piece in enumerate(form.request(asked)):
                if number and form.pause:
                    time.sleep(form.pause)
                if number == 1 and form.waits_for:
                    stream.take(form.waits_for)
                tcp.sendall(piece)
            self.token = form.read_granted(stream, asked)
            if form.has_trailer:
                tcp.sendall(port.to_bytes(2, "big"))
        self.room = room
        if form.enters_with is not None:
            self.says(form.enters_with.format(user=self.user))
        return self

    def says(self, text: str) -> None:
        self.udp.sendto(self.form.text(self.room, self.token, self.user, text), self._to)

    def leaves(self) -> None:
        assert self.form.leave is not None, "this form has a word for it"
        self.says(self.form.leave)

    def sees(self, line: str) -> None:
        """Wait until a line is printed that holds this."""
        until(lambda: any(line in each for each in self.lines), f"{line!r} among {self.lines}")

    def close(self) -> None:
        self._is_closed = True
        _end([self.thread], self.udp)

    def _hear(self) -> None:
        while not self._is_closed:
            try:
                data = self.udp.recv(65536)
            except OSError:
                return
            if not data:
                continue
            try:
                self.lines.append(self.form.shows(data))
            except (ValueError, IndexError, KeyError, TypeError):
                self.lines.append(f"unreadable: {data!r}")
