"""Small chat servers as other teams write them, each with one flaw. Nothing of tcrp is imported here.

`Server` follows the rules: a thread for each connection, one for datagrams, one for time. It speaks two dialects:
plain names (`text`), and JSON with address, port and password (`json-endpoint`). Each class below it breaks one
rule, in the way that real programs do; its docstring says which.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading
import time
import unicodedata

IDLE, UNUSED, HANDSHAKE, LINGER = 3.5, 1.5, 2.0, 1.7
TICK = 0.05
AGAIN = (0.5, 1.5, 3.5)
EXISTS, MISSING, WRONG_PASSWORD, BAD, TAKEN = 1, 2, 3, 4, 6
HTTP_STATUS = {EXISTS: 409, MISSING: 404, WRONG_PASSWORD: 401, BAD: 400, TAKEN: 409}
REASON = {
    EXISTS: "room_exists", MISSING: "no_such_room", WRONG_PASSWORD: "wrong_password", BAD: "bad_request",
    TAKEN: "name_taken",
}  # fmt: skip
CLOSED, IDLED, REMOVED = "Room closed", "You were silent too long", "You were removed"


def frame(room: bytes, operation: int, state: int, payload: bytes) -> bytes:
    return bytes((len(room), operation, state)) + len(payload).to_bytes(29, "big") + room + payload


class Member:
    def __init__(self, name: str, room: str, token: bytes, ip: str, is_json: bool, port: int | None) -> None:
        self.name = name
        self.room = room
        self.token = token
        self.ip = ip
        self.is_json = is_json
        self.address: tuple[str, int] | None = (ip, port) if port is not None else None
        self.heard = time.monotonic()
        self.rejected = 0
        self.entered = port is not None


class Room:
    def __init__(self, password: str) -> None:
        self.password = password
        self.members: list[Member] = []
        self.host: Member | None = None
        self.closed_at: float | None = None


class Server:
    """A server that follows the rules."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.tokens: dict[bytes, Member] = {}
        self.later: list[tuple[float, tuple[str, int], bytes]] = []
        self.lock = threading.RLock()
        self.running = True
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.ports = self.tcp.getsockname()[1], self.udp.getsockname()[1]
        self.threads = [
            threading.Thread(target=each, daemon=True) for each in (self.accept_all, self.hear_all, self.watch_the_time)
        ]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        self.running = False
        with contextlib.suppress(OSError):
            self.tcp.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.udp.sendto(b"", self.udp.getsockname())
        for thread in self.threads:
            thread.join(5)
        self.tcp.close()  # not before: a thread on its way to wait would wait for the next socket of that number
        self.udp.close()

    # --- TCP -------------------------------------------------------------------------------------

    def accept_all(self) -> None:
        while self.running:
            try:
                connection, (ip, _) = self.tcp.accept()
            except OSError:
                return
            self.serve(connection, ip)

    def serve(self, connection: socket.socket, ip: str) -> None:
        threading.Thread(target=self.talk, args=(connection, ip), daemon=True).start()

    def talk(self, connection: socket.socket, ip: str) -> None:
        with contextlib.suppress(OSError), connection:
            self.set_timeout(connection)
            request = self.read_request(connection)
            if request is None:
                return
            for each in self.answer(*request, ip):
                connection.sendall(each)
            self.finish(connection)

    def set_timeout(self, connection: socket.socket) -> None:
        connection.settimeout(HANDSHAKE)

    def read_request(self, connection: socket.socket) -> tuple[int, int, bytes, bytes] | None:
        head = self.read(connection, 32)
        size = int.from_bytes(head[3:], "big") if len(head) == 32 else 0
        if size > 4096:
            self.is_rubbish()
        if len(head) < 32 or size > 4096:
            return None
        body = self.read(connection, head[0] + size)
        if len(body) < head[0] + size:
            return None
        return head[1], head[2], body[: head[0]], body[head[0] :]

    def is_rubbish(self) -> None:
        return

    def read(self, connection: socket.socket, size: int) -> bytes:
        data = b""
        ends = time.monotonic() + HANDSHAKE
        while len(data) < size and time.monotonic() < ends:
            more = connection.recv(size - len(data))
            if not more:
                break
            data += more
        return data

    def finish(self, connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def answer(self, operation: int, state: int, room: bytes, payload: bytes, ip: str) -> list[bytes]:
        is_json = payload[:1] == b"{"
        try:
            if is_json:
                said = json.loads(payload)
                name, password, port = str(said["username"]), str(said["password"]), int(said["port"])
                ip = self.receiver_ip(ip, said)
            else:
                name, password, port = payload.decode(), "", None
            with self.lock:
                result = self.grant(operation, state, room.decode(), name, password, ip, is_json, port)
        except (ValueError, KeyError, TypeError, RecursionError):
            result = BAD
        if isinstance(result, int):
            if not is_json:
                return [frame(room, operation, 1, bytes((result,)))]
            return [
                frame(
                    b"", operation, 1, json.dumps({"status": HTTP_STATUS[result], "message": REASON[result]}).encode()
                )
            ]
        token = result.token
        if not is_json:
            return [frame(room, operation, 1, b"\0"), frame(room, operation, 2, token)]
        accepted = json.dumps({"status": 202, "message": "The request is accepted"}).encode()
        done = json.dumps(
            {"status": 201 if operation == 1 else 200, "message": "done", "token": token.decode()}
        ).encode()
        return [frame(b"", operation, 1, accepted), frame(b"", operation, 2, done)]

    def receiver_ip(self, ip: str, said: dict[str, str]) -> str:
        return ip

    def grant(
        self, operation: int, state: int, room: str, name: str, password: str, ip: str, is_json: bool, port: int | None
    ) -> Member | int:
        if (
            operation not in (1, 2)
            or state != 0
            or not room
            or not self.is_name(name)
            or (port is not None and port < 1024)
        ):
            return BAD
        found = self.rooms.get(room)
        if operation == 1:
            if found is not None and not self.may_create_again():
                return EXISTS
            found = self.rooms[room] = Room(password)
        elif found is None or found.closed_at is not None:
            return self.missing()
        elif not self.is_password(found, password):
            return WRONG_PASSWORD
        twin = next((each for each in found.members if each.name == name), None)
        if twin is not None and not self.takes_twin(twin):
            return TAKEN
        member = Member(name, room, self.new_token(), ip, is_json, port)
        found.members.append(member)
        found.host = found.host or member
        self.tokens[member.token] = member
        return member

    def room_of(self, member: Member) -> Room:
        return self.rooms.get(member.room) or Room("")

    def is_name(self, name: str) -> bool:
        bad = any(each in ":[]" or unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in name)
        return 0 < len(name.encode()) < 256 and not bad and name != "システム"

    def may_create_again(self) -> bool:
        return False

    def missing(self) -> int:
        return MISSING

    def is_password(self, room: Room, password: str) -> bool:
        return not room.password or room.password == password

    def takes_twin(self, twin: Member) -> bool:
        return False

    def new_token(self) -> bytes:
        return secrets.token_hex(16).encode()

    # --- UDP -------------------------------------------------------------------------------------

    buffer_bytes = 65536

    def hear_all(self) -> None:
        while self.running:
            data, source = self.udp.recvfrom(self.buffer_bytes)
            if not self.running:
                return
            with self.lock:
                self.hear_safely(data, source)

    def hear_safely(self, data: bytes, source: tuple[str, int]) -> None:
        with contextlib.suppress(UnicodeDecodeError):
            self.hear(data, source)

    def hear(self, data: bytes, source: tuple[str, int]) -> None:
        if len(data) < 2 or len(data) < 2 + data[0] + data[1]:
            return None
        room, token = data[2 : 2 + data[0]], data[2 + data[0] : 2 + data[0] + data[1]]
        member = self.holder(token, room, source)
        if member is None:
            return None
        text = self.text_of(member, data[2 + data[0] + data[1] :])
        if room.decode(errors="replace") != member.room or text is None or self.is_too_long(data):
            return self.reject(member)
        member.rejected = 0
        member.entered = True
        if source[0] == member.ip:
            member.address = source
        if text or self.keep_alives_count:
            member.heard = time.monotonic()
        if text in self.leave_words and not member.is_json:
            return self.leave(member)
        if text or self.relays_empty_texts:
            self.relay(member, text)
        return None

    leave_words: tuple[str, ...] = ("exit", "/exit")
    relays_empty_texts = False
    keep_alives_count = True

    def is_too_long(self, data: bytes) -> bool:
        return len(data) > 4096

    def holder(self, token: bytes, room: bytes, source: tuple[str, int]) -> Member | None:
        member = self.tokens.get(token)
        return member if member is not None and self.is_from(member, source) else None

    def is_from(self, member: Member, source: tuple[str, int]) -> bool:
        return member.ip == source[0]

    def text_of(self, member: Member, data: bytes) -> str | None:
        try:
            text = data.decode()
            if member.is_json and text:
                text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            return None
        return text

    def reject(self, member: Member) -> None:
        member.rejected += 1
        if member.rejected == 3:
            self.end(member, REMOVED)

    def relay(self, sender: Member, text: str) -> None:
        for member in self.audience(sender):
            data = self.form(member, self.name_of(sender, text), text)
            if member.address is not None and not self.is_forged(member, data):
                self.send_relay(data, member.address)

    def audience(self, sender: Member) -> list[Member]:
        return [each for each in self.room_of(sender).members if each is not sender]

    def name_of(self, sender: Member, text: str) -> str:
        return sender.name

    def form(self, member: Member, name: str, text: str) -> bytes:
        if member.is_json:
            return b"\0\0" + json.dumps({"sender": name, "message": text}).encode()
        return f"{name}: {text}".encode()

    def is_forged(self, member: Member, data: bytes) -> bool:
        return not member.is_json and data.endswith(b" left the room")

    def send_relay(self, data: bytes, address: tuple[str, int]) -> None:
        if len(data) <= 4094:
            self.udp.sendto(data, address)

    def tell(self, member: Member, sentence: str, *, again: tuple[float, ...] = ()) -> None:
        if member.address is None:
            return
        data = sentence.encode()
        if member.is_json:
            data = b"\0\0" + json.dumps({"sender": "", "message": CLOSED}).encode()
        self.udp.sendto(data, member.address)
        self.later += [(time.monotonic() + each, member.address, data) for each in again]

    # --- endings ---------------------------------------------------------------------------------

    def leave(self, member: Member) -> None:
        room = self.room_of(member)
        self.forget(member)
        self.tell_left(room, member)
        if self.ends_room(room, member):
            self.close_room(room)

    def tell_left(self, room: Room, member: Member) -> None:
        for other in room.members:
            if not other.is_json:
                self.tell(other, f"{member.name} left the room")

    def ends_room(self, room: Room, member: Member) -> bool:
        return room.host is member

    def end(self, member: Member, why: str) -> None:
        room = self.room_of(member)
        self.forget(member)
        self.tell_end(member, why)
        if self.ends_room(room, member):
            self.close_room(room)

    def tell_end(self, member: Member, why: str) -> None:
        self.tell(member, why, again=AGAIN)

    def forget(self, member: Member) -> None:
        self.tokens.pop(member.token, None)
        members = self.room_of(member).members
        if member in members:
            members.remove(member)

    def close_room(self, room: Room) -> None:
        room.closed_at = time.monotonic()
        for member in list(room.members):
            self.forget(member)
            self.tell_end(member, CLOSED)

    def watch_the_time(self) -> None:
        while self.running:
            time.sleep(TICK)
            now = time.monotonic()
            with self.lock:
                for due, address, data in [each for each in self.later if each[0] <= now]:
                    self.later.remove((due, address, data))
                    self.udp.sendto(data, address)
                for member in list(self.tokens.values()):
                    if member.token in self.tokens and self.is_silent(member, now - member.heard):
                        self.end(member, IDLED)
                for name, room in list(self.rooms.items()):
                    if room.closed_at is not None and self.is_over(now - room.closed_at):
                        del self.rooms[name]

    def is_silent(self, member: Member, silence: float) -> bool:
        return silence > (IDLE if member.entered else UNUSED)

    def is_over(self, since: float) -> bool:
        return since > LINGER


# --- the flaws -----------------------------------------------------------------------------------


class TalksOnTcp(Server):
    """R-TCP-1: after the token it also sends a welcome over TCP."""

    def finish(self, connection: socket.socket) -> None:
        connection.sendall(b"welcome to the chat")
        super().finish(connection)


class OneRecvPerFrame(Server):
    """R-TCP-2: takes what one recv() gives for the whole request."""

    def read(self, connection: socket.socket, size: int) -> bytes:
        return connection.recv(size)


class GivesTheWrongReason(Server):
    """R-TCP-2: says that a missing room exists."""

    def missing(self) -> int:
        return EXISTS


class ClosesAtOnce(Server):
    """R-TCP-3: closes the connection instead of half-closing it."""

    def finish(self, connection: socket.socket) -> None:
        connection.close()


class ResetsConnections(Server):
    """R-TCP-3: throws the connection away."""

    def finish(self, connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def set_timeout(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)

    def read(self, connection: socket.socket, size: int) -> bytes:
        connection.settimeout(HANDSHAKE)
        data = super().read(connection, size)
        connection.settimeout(0.2)
        return data


class NeverHalfCloses(Server):
    """R-TCP-3: leaves the connection open until the client ends it."""

    def finish(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while connection.recv(4096):
            pass


class CreatesTwice(Server):
    """R-TCP-4: creates a room that exists."""

    def may_create_again(self) -> bool:
        return True


class OneClientAtATime(Server):
    """R-TCP-5: serves a connection before it accepts the next, and waits for it without end."""

    def serve(self, connection: socket.socket, ip: str) -> None:
        self.talk(connection, ip)

    def set_timeout(self, connection: socket.socket) -> None:
        connection.settimeout(60)

    def read(self, connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := connection.recv(size - len(data))):
            data += more
        return data


class WaitsForRequestsForEver(Server):
    """R-TCP-5: never drops a connection that sends nothing."""

    def set_timeout(self, connection: socket.socket) -> None:
        connection.settimeout(60)

    def read(self, connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := connection.recv(size - len(data))):
            data += more
        return data

    def finish(self, connection: socket.socket) -> None:
        connection.settimeout(HANDSHAKE)
        super().finish(connection)


class CountsTokens(Server):
    """R-TOK-1: its tokens are a counter."""

    count = 0

    def new_token(self) -> bytes:
        self.count += 1
        return b"%032d" % self.count


class HasShortTokens(Server):
    """R-TOK-1: its tokens have four digits."""

    def new_token(self) -> bytes:
        return secrets.token_hex(2).encode()


class LooksAtRoomsOnly(Server):
    """R-TOK-2: relays whatever names a room, whoever sends it."""

    def hear(self, data: bytes, source: tuple[str, int]) -> None:
        room, token = data[2 : 2 + data[0]], data[2 + data[0] : 2 + data[0] + data[1]]
        if token and token == b"f" * len(token) and (found := self.rooms.get(room.decode())) and found.members:
            self.relay(
                Member("?", room.decode(), token, source[0], False, None), data[2 + data[0] + data[1] :].decode()
            )
        else:
            Server.hear(self, data, source)

    def hear_safely(self, data: bytes, source: tuple[str, int]) -> None:
        with contextlib.suppress(Exception):
            self.hear(data, source)


class IgnoresTheAddress(Server):
    """R-TOK-3: takes a token from any address."""

    def is_from(self, member: Member, source: tuple[str, int]) -> bool:
        return True


class KeepsTheFirstPort(Server):
    """R-TOK-3: sends relays to the first port for ever."""

    def hear(self, data: bytes, source: tuple[str, int]) -> None:
        before = {each: each.address for each in self.tokens.values() if each.address is not None}
        super().hear(data, source)
        for member, address in before.items():
            member.address = address


class KeepsTokens(Server):
    """R-TOK-4: a token works after its user has left."""

    def leave(self, member: Member) -> None:
        super().leave(member)
        if self.room_of(member).closed_at is None:
            self.tokens[member.token] = member


class KeepsUnusedTokens(Server):
    """R-TOK-5: a token that is never used never ends."""

    def is_silent(self, member: Member, silence: float) -> bool:
        return member.entered and silence > IDLE


class BelievesTheRequest(Server):
    """R-ADDR-1: sends relays to the address that the request names (in JSON)."""

    def receiver_ip(self, ip: str, said: dict[str, str]) -> str:
        return said["ip"]


class HasASmallBuffer(Server):
    """R-UDP-1: receives 1024 bytes of a datagram and cuts the rest."""

    buffer_bytes = 1024


class RelaysOversize(Server):
    """R-UDP-1: relays datagrams of more than 4096 bytes."""

    def is_too_long(self, data: bytes) -> bool:
        return False

    def send_relay(self, data: bytes, address: tuple[str, int]) -> None:
        if len(data) < 4095 or data.startswith(b"ann: oversize"):
            self.udp.sendto(data, address)


class CutsLongRelays(Server):
    """R-UDP-2: cuts a relay that is too long."""

    def send_relay(self, data: bytes, address: tuple[str, int]) -> None:
        self.udp.sendto(data[:4094], address)


class SendsLongRelays(Server):
    """R-UDP-2: sends relays of any length."""

    def send_relay(self, data: bytes, address: tuple[str, int]) -> None:
        self.udp.sendto(data, address)


class DiesOfBadUtf8(Server):
    """R-UDP-3: the thread that relays dies of a datagram that is not UTF-8."""

    def hear_safely(self, data: bytes, source: tuple[str, int]) -> None:
        if self.is_dead:  # as a thread that has ended
            return
        try:
            data.decode()
            self.hear(data, source)
        except UnicodeDecodeError:
            self.is_dead = True

    is_dead = False


class AnswersStrangers(Server):
    """R-UDP-3: answers a datagram with an unknown token."""

    def holder(self, token: bytes, room: bytes, source: tuple[str, int]) -> Member | None:
        if token not in self.tokens and token == b"f" * len(token):
            self.udp.sendto(b"invalid token", source)
        return super().holder(token, room, source)


class EchoesToTheSender(Server):
    """R-REL-1: relays a text to its sender too."""

    def audience(self, sender: Member) -> list[Member]:
        return self.room_of(sender).members


class RelaysToEveryRoom(Server):
    """R-REL-1: relays a text to everybody, whatever their room."""

    def audience(self, sender: Member) -> list[Member]:
        return [each for each in self.tokens.values() if each is not sender]


class ForgetsTheHost(Server):
    """R-REL-1: the host is sent nothing."""

    def audience(self, sender: Member) -> list[Member]:
        return [each for each in super().audience(sender) if each is not self.room_of(sender).host]


class RelaysInThreads(Server):
    """R-REL-2: relays each text in a thread of its own, and some threads are slow."""

    count = 0

    def relay(self, sender: Member, text: str) -> None:
        if "number" not in text:
            return super().relay(sender, text)
        self.count += 1
        threading.Timer(0.15 if self.count % 2 else 0.01, super().relay, (sender, text)).start()
        return None


class TrustsTheSender(Server):
    """R-REL-3: relays a text by the name that its client writes into it (in JSON)."""

    def text_of(self, member: Member, data: bytes) -> str | None:
        text = super().text_of(member, data)
        if member.is_json and text:
            self.signed = str(json.loads(data).get("sender"))
        return text

    def name_of(self, sender: Member, text: str) -> str:
        return self.signed if sender.is_json else sender.name


class NamesNobody(Server):
    """R-REL-3: relays texts without a name."""

    def form(self, member: Member, name: str, text: str) -> bytes:
        return f"> {text}".encode()


class RelaysForgedNotices(Server):
    """R-REL-3: relays a text that reads as a notice."""

    def is_forged(self, member: Member, data: bytes) -> bool:
        return False


class ClosesWithAnyGuest(Server):
    """R-ROOM-1: a room closes when anybody leaves."""

    def ends_room(self, room: Room, member: Member) -> bool:
        return True


class DoesNotNoticeTheHost(Server):
    """R-ROOM-2: the room goes on without its host."""

    def ends_room(self, room: Room, member: Member) -> bool:
        return not room.members


class KeepsNames(Server):
    """R-ROOM-3: the name of a room that has closed stays taken."""

    def is_over(self, since: float) -> bool:
        return False


class TellsOnce(Server):
    """R-END-1: tells each end once."""

    def tell_end(self, member: Member, why: str) -> None:
        self.tell(member, why)


class TellsNobody(Server):
    """R-END-1: members are not told that their session has ended."""

    def tell_end(self, member: Member, why: str) -> None:
        return


class RelaysTheLeaveWord(Server):
    """R-EXIT-1: does not know the leave word."""

    leave_words = ()


class NeverIdles(Server):
    """R-IDLE-1: a silent session never ends."""

    def is_silent(self, member: Member, silence: float) -> bool:
        return not member.entered and silence > UNUSED


class RelaysEmptyTexts(Server):
    """R-IDLE-1: relays keep-alives."""

    relays_empty_texts = True


class IgnoresKeepAlives(Server):
    """R-IDLE-1: an empty text does not break the silence."""

    keep_alives_count = False


class NeverRemoves(Server):
    """R-IDLE-2: rejected datagrams have no consequence."""

    def reject(self, member: Member) -> None:
        return


class TakesAnyName(Server):
    """R-NAME-1: takes names with control characters."""

    def is_name(self, name: str) -> bool:
        return bool(name)


class TakesTwins(Server):
    """R-NAME-1: two members may have one name."""

    def takes_twin(self, twin: Member) -> bool:
        return True


class GivesNamesAway(Server):
    """R-NAME-2: who asks for a name that is in use gets it."""

    def takes_twin(self, twin: Member) -> bool:
        self.forget(twin)
        self.tell_end(twin, "You joined from elsewhere")
        return True


class IgnoresPasswords(Server):
    """R-PASS-1: takes any password (in JSON)."""

    def is_password(self, room: Room, password: str) -> bool:
        return True


class DiesOfRubbish(Server):
    """R-LIM-1: a request that is too long ends the loop that accepts."""

    def is_rubbish(self) -> None:
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()


JSON = "json-endpoint"
FLAWED: tuple[tuple[type[Server], str], ...] = (
    *((each, "text") for each in Server.__subclasses__() if "(in JSON)" not in str(each.__doc__)),
    *((each, JSON) for each in Server.__subclasses__() if "(in JSON)" in str(each.__doc__)),
)
"""Each flawed server, and the dialect in which its flaw shows."""


def broken_rule(server: type[Server]) -> str:
    """The rule that the server breaks: the beginning of its docstring."""
    return (server.__doc__ or "").partition(":")[0]
