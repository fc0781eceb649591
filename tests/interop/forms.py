"""How programs of this family speak, byte by byte, as `vectors/` and `vectors/wire/` show them.

Written from the captures alone: nothing here imports tcrp or reads its dialect files. `test_captures.py` compares
what a form writes with what was captured. Where a capture does not show something, such as a refusal or the
datagrams, the form has the commonest one, and `unseen` says so.
"""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass
from typing import ClassVar, Protocol

CREATE, JOIN = 1, 2
EXISTS, MISSING, PASSWORD = "exists", "missing", "password"
HEX16 = lambda: secrets.token_hex(8)  # noqa: E731
HEX32 = lambda: secrets.token_hex(16)  # noqa: E731
UUID = lambda: str(uuid.uuid4())  # noqa: E731


class Refused(Exception):
    """The server said no."""


class Reads(Protocol):
    """A blocking stream: exactly so many bytes, or an EOFError; or all that comes."""

    def take(self, size: int) -> bytes: ...
    def rest(self) -> bytes: ...


@dataclass
class Asked:
    """A request. `port` is where its sender receives datagrams."""

    op: int
    room: str
    user: str
    password: str = ""
    port: int = 0


def head(room_bytes: int, op: int, state: int, size: int) -> bytes:
    """The header that most of them share."""
    return bytes((room_bytes, op, state)) + size.to_bytes(29, "big")


def body_of(value: object) -> bytes:
    return json.dumps(value).encode()


class Form:
    """The commonest form; the others are described by what they do otherwise."""

    name = "text"
    capture = ""  # the file of the capture, if it is another
    file = ""  # of its dialect, where that is one of the tests
    waits_for = 0  # so many bytes of an answer are read behind the first piece of a request
    has_passwords = False
    enters_with: str | None = ""  # the text of the first datagram; None: there is none
    text_enters = False  # where there is none, the first text is it
    leave: str | None = "exit"
    echoes = False  # the server sends a text to its sender too
    relays_from_any_port = False
    uses_tcp_port = False  # datagrams go to the port of the TCP connection
    has_trailer = False
    unseen: tuple[str, ...] = ()
    pause = 0.0  # between the pieces of a request
    greeting = b""
    request_state = 0
    left: str | None = "{user} left the room"
    closed: str | None = "Room closed"
    new_token = staticmethod(HEX32)

    # --- the request -------------------------------------------------------------------------------

    def request(self, a: Asked) -> list[bytes]:
        payload, room = self.payload(a), a.room.encode()
        return [head(len(room), a.op, self.request_state, len(payload)) + room + payload]

    def payload(self, a: Asked) -> bytes:
        return a.user.encode()

    def read_request(self, tcp: Reads) -> Asked:
        first = tcp.take(32)
        room = tcp.take(first[0]).decode()
        payload = tcp.take(int.from_bytes(first[3:], "big"))
        return self.read_payload(Asked(first[1], room, ""), payload)

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        a.user = payload.decode()
        return a

    # --- the reply ---------------------------------------------------------------------------------

    def room_in_reply(self, room: str) -> tuple[int, bytes]:
        return len(room.encode()), room.encode()

    def reply(self, a: Asked, state: int, payload: bytes) -> bytes:
        length, room = self.room_in_reply(a.room)
        return head(length, a.op, state, len(payload)) + room + payload

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [self.reply(a, 1, b"\0"), self.reply(a, 2, token.encode())]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [self.reply(a, 1, bytes(({EXISTS: 1, MISSING: 2, PASSWORD: 3}[why],)))]

    def read_reply(self, tcp: Reads, a: Asked) -> tuple[int, bytes]:
        first = tcp.take(32)
        tcp.take(len(self.room_in_reply("x" * first[0])[1]))
        return first[2], tcp.take(int.from_bytes(first[3:], "big"))

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        """The token. Raises `Refused`, or EOFError where the server says nothing."""
        _, answer = self.read_reply(tcp, a)
        if not self.accepts(answer):
            raise Refused(answer)
        return self.token_in(self.read_reply(tcp, a)[1])

    def accepts(self, answer: bytes) -> bool:
        return answer == b"\0"

    def token_in(self, payload: bytes) -> str:
        return payload.decode()

    # --- datagrams ---------------------------------------------------------------------------------

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        r, t = room.encode(), token.encode()
        return bytes((len(r), len(t))) + r + t + text.encode()

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        """Room, token, text."""
        at = 2 + data[0]
        return data[2:at].decode(), data[at : at + data[1]].decode(), data[at + data[1] :].decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        """`senders`, `receivers`: their tokens, which some forms send back."""
        return f"{user}: {text}".encode()

    def shows(self, data: bytes) -> str:
        """A relay or a notice as the program prints it."""
        return data.decode()

    def notice(self, sentence: str) -> bytes:
        return sentence.encode()


# --- the eight of `vectors/` ---------------------------------------------------------------------------


class Json(Form):
    name = "json"
    has_passwords = True
    enters_with = None
    has_trailer = True
    leave = "/exit"
    left = None  # its server relays a guest's leave word as a text
    closed = "チャットルームが閉じられました"
    new_token = staticmethod(UUID)

    def payload(self, a: Asked) -> bytes:
        return body_of({"username": a.user, "password": a.password})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.password = value["username"], value["password"]
        return a


class JsonAddress(Form):
    name = "json-address"
    enters_with = None
    left = "{user}が{room}から退出しました。"
    closed = "{user}が{room}から退出しました。\nホストが退出したため、チャットルーム:{room}を終了します。"
    unseen = ("the host's leaving",)
    new_token = staticmethod(lambda: secrets.token_hex(32))

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user, "user_address": ["127.0.0.1", a.port]})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.port = value["user_name"], value["user_address"][1]
        return a

    def room_in_reply(self, room: str) -> tuple[int, bytes]:
        return len(room.encode()), b""

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [self.reply(a, 2, body_of({"status": 202, "message": "リクエストを完了しました。", "token": token}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        words = {EXISTS: "ルームは既に存在します", MISSING: "ルームがありません"}
        return [self.reply(a, 0, body_of({"status": 400, "message": words[why]}))]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        state, payload = self.read_reply(tcp, a)
        value = json.loads(payload)
        if state != 2 or value["status"] != 202:
            raise Refused(value["message"])
        return str(value["token"])


class JsonPort(Form):
    name = "json-port"
    enters_with = None
    leave = "/quit"
    left = "[システム]: {user}が退出しました"
    closed = "[システム]: ホストが退出したためルームを閉じます"
    unseen = ("the host's leaving",)
    new_token = staticmethod(UUID)

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user, "udp_port": a.port})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.port = value["user_name"], value["udp_port"]
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        said = "が作成されました" if a.op == CREATE else "に参加しました"
        value = {"state": 2, "status": "success", "token": token, "user_name": a.user}
        return [self.reply(a, 2, body_of({**value, "message": f"ルーム名：{a.room}{said}"}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        words = {EXISTS: "ルームは既に存在します", MISSING: "ルームが存在しません"}
        return [self.reply(a, 1, body_of({"state": 1, "status": "error", "message": words[why]}))]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        value = json.loads(self.read_reply(tcp, a)[1])
        if value["status"] != "success":
            raise Refused(value["message"])
        return str(value["token"])

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return f"[{user}]: {text}".encode()

    def shows(self, data: bytes) -> str:
        line = data.decode()
        return line if line.startswith("[システム]") else line.removeprefix("[").replace("]: ", ": ", 1)


class JsonEndpoint(Form):
    name = "json-endpoint"
    has_passwords = True
    enters_with = None
    leave = None
    left = None
    closed = None
    unseen = ("leaving", "the host's leaving")
    new_token = staticmethod(lambda: secrets.token_hex(125))

    def payload(self, a: Asked) -> bytes:
        return body_of({"username": a.user, "ip": "127.0.0.1", "port": a.port, "password": a.password})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.port, a.password = value["username"], value["port"], value["password"]
        return a

    def room_in_reply(self, room: str) -> tuple[int, bytes]:
        return 0, b""

    def granted(self, a: Asked, token: str) -> list[bytes]:
        status, word = (201, "create") if a.op == CREATE else (200, "joined")
        said = {"status": status, "message": f"Successfully {word} a chat room", "token": token}
        accepted = {"status": 202, "message": "Server accpeted your request"}
        return [self.reply(a, 1, body_of(accepted)), self.reply(a, 2, body_of(said))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        status, said = {
            EXISTS: (409, "The room exists"), MISSING: (404, "There is no such room"), PASSWORD: (401, "Wrong password")
        }[why]  # fmt: skip
        return [self.reply(a, 1, body_of({"status": status, "message": said}))]

    def accepts(self, answer: bytes) -> bool:
        return bool(json.loads(answer)["status"] == 202)

    def token_in(self, payload: bytes) -> str:
        return str(json.loads(payload)["token"])

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        return super().text(room, token, user, json.dumps({"sender": user, "message": text}))

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        room, token, text = super().read_text(data)
        return room, token, str(json.loads(text)["message"])

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return b"\0\0" + body_of({"sender": user, "message": text})

    def shows(self, data: bytes) -> str:
        value = json.loads(data[2:])
        return f"{value['sender']}: {value['message']}" if value["sender"] else str(value["message"])


class JsonName(Form):
    name = "json-name"
    enters_with = "__REGISTER__"
    leave = "__LEAVE__"
    left = None
    closed = "__ROOM_CLOSED__"
    unseen = ("the host's leaving",)
    new_token = staticmethod(lambda: "token_" + secrets.token_hex(16))

    def payload(self, a: Asked) -> bytes:
        return body_of(a.user)

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        a.user = json.loads(payload)
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [self.reply(a, 1, body_of({"success": 1})) + self.reply(a, 2, body_of({"token": token}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [self.reply(a, 1, body_of({"success": 0})) + self.reply(a, 2, body_of({"token": ""}))]

    def accepts(self, answer: bytes) -> bool:
        return bool(json.loads(answer)["success"] == 1)

    def token_in(self, payload: bytes) -> str:
        return str(json.loads(payload)["token"])

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        quoted = f'"{user}"'.encode()
        return bytes((len(quoted),)) + quoted + text.encode()

    def shows(self, data: bytes) -> str:
        if data == b"__ROOM_CLOSED__":
            return data.decode()
        return f"{json.loads(data[1 : 1 + data[0]])}: {data[1 + data[0] :].decode()}"


class NamePort(Form):
    name = "name-port"
    enters_with: str | None = None
    leave = "__LEAVE__"
    new_token = staticmethod(HEX16)
    words: ClassVar[dict[str, str]] = {EXISTS: "ROOM_EXISTS", MISSING: "ROOM_NOT_FOUND"}

    def payload(self, a: Asked) -> bytes:
        return a.user.encode() + a.port.to_bytes(2, "big")

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        a.user, a.port = payload[:-2].decode(), int.from_bytes(payload[-2:], "big")
        return a

    def room_in_reply(self, room: str) -> tuple[int, bytes]:
        return len(room.encode()), b""

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [self.reply(a, 1, b"OK"), self.reply(a, 2, token.encode())]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [self.reply(a, 1, self.words[why].encode())]

    def accepts(self, answer: bytes) -> bool:
        return answer == b"OK"


class NamePortList(NamePort):
    name = "name-port-list"
    enters_with = "@join"
    leave = "@quit"
    left = None
    closed = "ROOM_CLOSED: {room}"
    unseen = ("the host's leaving",)
    words: ClassVar[dict[str, str]] = {EXISTS: "ROOM_EXISTS", MISSING: "NO_ROOM"}

    def request(self, a: Asked) -> list[bytes]:
        [whole] = super().request(a)
        at = 32 + len(a.room.encode())
        return [whole[:32], whole[32:at], whole[at:]]

    def room_in_reply(self, room: str) -> tuple[int, bytes]:
        return len(room.encode()), room.encode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return bytes((len(user.encode()),)) + user.encode() + text.encode()

    def shows(self, data: bytes) -> str:
        if data.startswith((b"DISCONNECTED", b"ROOM_CLOSED", b"SERVER_SHUTDOWN")):
            return data.decode()
        return f"{data[1 : 1 + data[0]].decode()}: {data[1 + data[0] :].decode()}"


EIGHT = [Form(), Json(), JsonAddress(), JsonPort(), JsonEndpoint(), JsonName(), NamePort(), NamePortList()]
