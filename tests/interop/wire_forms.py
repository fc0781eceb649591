"""The thirteen forms of `vectors/wire/`, as `forms.py` has the eight dialects. One of them nobody can speak from
outside: `other-header-b`, where a guest needs a token that the host hands on by hand."""

from __future__ import annotations

import json
import secrets
from string import ascii_letters, digits

from interop.forms import (
    CREATE,
    EXISTS,
    HEX16,
    JOIN,
    MISSING,
    PASSWORD,
    UUID,
    Asked,
    Form,
    JsonEndpoint,
    NamePort,
    Reads,
    Refused,
    body_of,
    head,
)

NO_CHAT = ("datagrams", "refusals", "leaving", "the host's leaving")


def _refuse() -> str:
    raise Refused


class BareToken(Form):
    """The reply is the token, without a header."""

    name = capture = "bare-token"
    unseen = NO_CHAT
    new_token = staticmethod(HEX16)

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return []  # the connection is closed

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        return tcp.rest().decode() or _refuse()


class ColonFields(Form):
    """The server greets; room and name follow the header on their own; datagrams are fields between colons."""

    name = capture = "colon-fields"
    enters_with = None
    text_enters = True
    leave = None
    left = closed = None
    echoes = True
    greeting = b"\0"
    pause = 0.02
    unseen = ("refusals", "leaving", "the host's leaving")
    new_token = staticmethod(lambda: secrets.token_urlsafe(255))

    def request(self, a: Asked) -> list[bytes]:
        [whole] = super().request(a)
        return [whole[:32], whole[32:]]

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [b"\x01", b"\x02" + token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return []

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        if tcp.take(3) != b"\0\x01\x02":
            raise Refused
        return tcp.rest().decode()

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        return f"{room}:{token}:{user}:{text}".encode()

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        room, token, _, text = data.decode().split(":", 3)
        return room, token, text

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return f"{user}:{text}".encode()

    def shows(self, data: bytes) -> str:
        return data.decode().replace(":", ": ", 1)


class NamePasswordPrefix(Form):
    """`name:password` in the request, the name behind its length in every text, relayed as it came."""

    name = capture = "name-password-prefix"
    has_passwords = True
    enters_with = None
    text_enters = True
    leave = None
    left = closed = None
    unseen = ("refusals", "leaving", "the host's leaving")

    def request(self, a: Asked) -> list[bytes]:
        [whole] = super().request(a)
        at = 32 + len(a.room.encode())
        return [whole[:32], whole[32:at], whole[at:]]

    def payload(self, a: Asked) -> bytes:
        return f"{a.user}:{a.password}".encode()

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        a.user, _, a.password = payload.decode().partition(":")
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [bytes((a.op, 0)) + token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [bytes((a.op, 1))]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        if tcp.take(2) != bytes((a.op, 0)):
            raise Refused
        return tcp.take(32).decode()

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        return super().text(room, token, user, "") + bytes((len(user.encode()),)) + user.encode() + text.encode()

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        at = 2 + data[0] + data[1]
        room, token = data[2 : 2 + data[0]].decode(), data[2 + data[0] : at].decode()
        return room, token, data[at + 1 + data[at] :].decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return self.text(room, senders, user, text)

    def shows(self, data: bytes) -> str:
        at = 2 + data[0] + data[1]
        return f"{data[at + 1 : at + 1 + data[at]].decode()}: {data[at + 1 + data[at] :].decode()}"


class NamePortLengthOnly(NamePort):
    """As `name-port`; its datagrams go to the port of the request, whatever the socket that it sends from."""

    capture = "name-port-length-only"


class NullPassword(Form):
    """JSON with a password, which is `null` where there is none."""

    name = capture = "null-password"
    has_passwords = True
    unseen = NO_CHAT
    new_token = staticmethod(lambda: secrets.token_urlsafe(32))

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user, "password": a.password or None})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.password = value["user_name"], value["password"] or ""
        return a


class OtherHeaderA(Form):
    """Lengths of address and name in the header, and the port at its end; the reply's header counts no room."""

    name = capture = "other-header-a"
    enters_with = None
    leave = None
    left = closed = None
    pause = 0.02
    unseen = ("refusals", "leaving", "the host's leaving")
    new_token = staticmethod(UUID)

    def request(self, a: Asked) -> list[bytes]:
        room, user, ip = a.room.encode(), a.user.encode(), b"127.0.0.1"
        first = bytes((len(room), a.op, 0, len(ip), len(user))) + bytes(25) + a.port.to_bytes(2, "big")
        return [first, room + ip + user]

    def read_request(self, tcp: Reads) -> Asked:
        first = tcp.take(32)
        room = tcp.take(first[0]).decode()
        tcp.take(first[3])
        return Asked(first[1], room, tcp.take(first[4]).decode(), port=int.from_bytes(first[30:], "big"))

    def granted(self, a: Asked, token: str) -> list[bytes]:
        size = len(a.room.encode())
        return [head(size, a.op, 1, 1), head(size, a.op, 2, len(token)), token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [head(len(a.room.encode()), a.op, 1, 0)]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        if int.from_bytes(tcp.take(32)[3:], "big") != 1:
            raise Refused
        return tcp.take(int.from_bytes(tcp.take(32)[3:], "big")).decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return b"\0\xc8" + f"{user}: {text}".encode()

    def shows(self, data: bytes) -> str:
        return data[2:].decode()


class RelayPortPerClient(JsonEndpoint):
    """As `json-endpoint`; its server sends to each member from another port."""

    capture = "relay-port-per-client"
    relays_from_any_port = True


class RoomUserTokenLengths(Form):
    """The reply is bare JSON; datagrams hold lengths of room, user and token, and are relayed as they came."""

    name = capture = "room-user-token-lengths"
    has_passwords = True
    enters_with = "{user} がルームに参加しました"  # a text like any other: the others see it
    leave = None
    left = closed = None
    unseen = ("refusals", "leaving", "the host's leaving")
    new_token = staticmethod(lambda: secrets.token_urlsafe(32))

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user, "token": "", "password": a.password})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.password = value["user_name"], value["password"]
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        said = f"新しいルーム '{a.room}' を作成しました。" if a.op == CREATE else f"ルーム '{a.room}' に参加しました。"
        return [body_of({"message": said, "operation": a.op, "state": 2, "user_name": a.user, "token": token})]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [body_of({"message": f"ルーム '{a.room}' は使えません。", "operation": a.op, "state": 1})]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        value = json.loads(tcp.rest() or b"{}")
        if not value.get("token"):
            raise Refused(value.get("message"))
        return str(value["token"])

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        fields = [field.encode() for field in (room, user, token)]
        return bytes(map(len, fields)) + b"".join(fields) + text.encode()

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        at, fields = 3, []
        for size in data[:3]:
            fields.append(data[at : at + size].decode())
            at += size
        return fields[0], fields[2], data[at:].decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return self.text(room, senders, user, text)

    def shows(self, data: bytes) -> str:
        user_at = 3 + data[0]
        return f"{data[user_at : user_at + data[1]].decode()}: {data[user_at + data[1] + data[2] :].decode()}"


class StateLength31(Form):
    """Replies are a state byte and a length of 31 bytes, sentences, and then the bare token. Relays name nobody."""

    name = capture = "state-length31"
    has_passwords = True
    leave = "exit"
    left = "{user}  [('127.0.0.1', {port})] は部屋を去りました。False"
    closed = "\0\x01\xbc"
    echoes = True
    pause = 0.02
    unseen = ("refusals",)  # known from the program's source
    new_token = staticmethod(lambda: "".join(secrets.choice(ascii_letters + digits) for _ in range(128)))

    def request(self, a: Asked) -> list[bytes]:
        payload, room = self.payload(a), a.room.encode()
        return [head(len(room), a.op, 0 if a.op == CREATE else 9, len(payload)), room + payload]

    def payload(self, a: Asked) -> bytes:
        return body_of({"password": a.password, "userName": a.user, "ip": "0.0.0.0", "port": 9001})  # noqa: S104

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.password = value["userName"], value["password"]
        return a

    @staticmethod
    def _said(state: int, words: str) -> bytes:
        return bytes((state,)) + len(words).to_bytes(31, "big") + words.encode()

    def granted(self, a: Asked, token: str) -> list[bytes]:
        if a.op == CREATE:
            return [self._said(1, "Try to Make Room"), self._said(2, "Made And Joined Room"), token.encode()]
        return [self._said(9, "Joined Room"), token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        words = {EXISTS: "Room Already Exists", MISSING: "Room Does not Exist", PASSWORD: "Wrong Password"}
        first = [self._said(1, "Try to Make Room")] if a.op == CREATE else []
        return [*first, self._said(9, words[why])]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        for state in (1, 2) if a.op == CREATE else (9,):
            first = tcp.take(32)
            words = tcp.take(int.from_bytes(first[1:], "big"))
            if first[0] != state or (a.op == JOIN and words != b"Joined Room"):
                raise Refused(words)
        return tcp.rest().decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return text.encode()

    def notice(self, sentence: str) -> bytes:
        return b"\0\x01\xbc" if sentence == self.closed else sentence.encode()

    def shows(self, data: bytes) -> str:
        return "\0\x01\xbc" if data == b"\0\x01\xbc" else data.decode()


class StateOne(Form):
    """The request has state 1; datagrams go to the port of the TCP connection, and come back as they are sent."""

    name = capture = "state-one"
    enters_with = None  # its port is known
    leave = None
    left = closed = None
    echoes = True
    uses_tcp_port = True
    request_state = 1
    unseen = ("refusals", "leaving", "the host's leaving")
    new_token = staticmethod(UUID)

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [head(0, 1, 1, 1) + b"\xc8", self.reply(a, 2, body_of({"status_code": 200, "user_token": token}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [head(0, 1, 1, 1) + b"\x90"]

    def accepts(self, answer: bytes) -> bool:
        return answer == b"\xc8"

    def token_in(self, payload: bytes) -> str:
        return str(json.loads(payload)["user_token"])

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return self.text(room, receivers, user, text)

    def shows(self, data: bytes) -> str:
        return self.read_text(data)[2]


class TwoByteReply(Form):
    """Two bytes for an answer, a completion of fixed width, and relays that name room and user by their lengths."""

    name = capture = "two-byte-reply-padded-token"
    leave = None
    left = closed = None
    echoes = True
    unseen = ("refusals", "leaving", "the host's leaving")
    new_token = staticmethod(UUID)

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [bytes((a.op, 1)), bytes((a.op, 2)) + token.encode().ljust(255, b"\0")]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return []

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        if tcp.take(2) != bytes((a.op, 1)) or tcp.take(2) != bytes((a.op, 2)):
            raise Refused
        return tcp.take(255).rstrip(b"\0").decode()

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return super().text(room, user, "", text)

    def shows(self, data: bytes) -> str:
        _, user, text = self.read_text(data)
        return f"{user}: {text}"


class TypedLengths(Form):
    """JSON in both replies; a refusal has the reason in words."""

    name = capture = "typed-lengths"
    has_passwords = True
    unseen = ("datagrams", "leaving", "the host's leaving")
    new_token = staticmethod(lambda: secrets.token_hex(32))

    def payload(self, a: Asked) -> bytes:
        return body_of({"username": a.user, "password": a.password})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.password = value["username"], value["password"]
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        said = "Room creation approved" if a.op == CREATE else "Join room successful"
        room = {"room_created": True} if a.op == CREATE else {"participant_count": 2, "room_joined": True}
        return [
            self.reply(a, 1, body_of({"status_code": 0, "message": said})),
            self.reply(a, 2, body_of({"token": token, "host_username": "Alice", **room})),
        ]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        said = "Room already exists" if why == EXISTS else "Room not found"
        return [self.reply(a, 1, body_of({"status_code": 1, "message": said}))]

    def accepts(self, answer: bytes) -> bool:
        return bool(json.loads(answer)["status_code"] == 0)

    def token_in(self, payload: bytes) -> str:
        return str(json.loads(payload)["token"])


WIRE: list[Form] = [
    BareToken(), ColonFields(), NamePasswordPrefix(), NamePortLengthOnly(), NullPassword(), OtherHeaderA(),
    RelayPortPerClient(), RoomUserTokenLengths(), StateLength31(), StateOne(), TwoByteReply(), TypedLengths(),
]  # fmt: skip
