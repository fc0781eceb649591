"""Forms of other public programs of the same exercise, as `forms.py` has the captured ones; their dialects are files of
the tests, in `dialects/`. docs/dialects.md has what was found of them."""

from __future__ import annotations

import json
import secrets
from string import ascii_letters, digits

from interop.forms import CREATE, EXISTS, HEX32, MISSING, PASSWORD, UUID, Asked, Form, Reads, Refused, body_of


class AnswerFirst(Form):
    """The client waits for the answer to its header before it sends the rest."""

    name = file = "answer-first"
    enters_with = None
    has_trailer = True
    waits_for = 13  # bytes, behind the first piece of its request
    leave = None
    left = closed = None
    new_token = staticmethod(UUID)
    answer = b'{"status": 1}'

    def request(self, a: Asked) -> list[bytes]:
        [whole] = super().request(a)
        return [whole[:32], whole[32:]]

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [self.answer, body_of({"status": 2, "token": token})]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        said = "Room name already exists" if why == EXISTS else "Room not found"
        return [self.answer, body_of({"error": said})]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        """The answer has been read by then."""
        data = b""
        while not data.endswith(b"}"):
            data += tcp.take(1)
        value = json.loads(data)
        if "error" in value:
            raise Refused(value["error"])
        return str(value["token"])

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return f"{user}:{text}".encode()


class BareSentences(Form):
    """The reply is the token, or a sentence."""

    name = file = "bare-sentences"
    leave = None
    left = closed = None
    echoes = True
    new_token = staticmethod(lambda: secrets.token_hex(127))
    sentences = ("Room already exists", "Room does not exist")

    def granted(self, a: Asked, token: str) -> list[bytes]:
        return [token.encode()]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [self.sentences[why == MISSING].encode()]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        said = tcp.rest().decode()
        if not said or said in self.sentences:
            raise Refused(said)
        return said


class JsonDatagrams(Form):
    """Objects everywhere, the client's behind their length."""

    name = file = "json-datagrams"
    enters_with = None
    text_enters = True
    leave = None
    left = closed = None
    new_token = staticmethod(lambda: "".join(secrets.choice(ascii_letters + digits) for _ in range(10)))

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        a.user = json.loads(payload)["user_name"]
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        said = {"status": "success", "message": "サーバから応答がありました"}
        return [self.reply(a, 1, body_of(said)), self.reply(a, 2, body_of({"token": token}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        status, said = ("room already exists", "存在します") if why == EXISTS else ("not found room", "ありません")
        return [self.reply(a, 1, body_of({"status": status, "message": f"{a.room}は{said}"}))]

    def accepts(self, answer: bytes) -> bool:
        return bool(json.loads(answer)["status"] == "success")

    def token_in(self, payload: bytes) -> str:
        return str(json.loads(payload)["token"])

    def text(self, room: str, token: str, user: str, text: str) -> bytes:
        data = body_of({"token": token, "user_name": user, "room_name": room, "message": text})
        return len(data).to_bytes(2, "big") + data

    def read_text(self, data: bytes) -> tuple[str, str, str]:
        value = json.loads(data[2:])
        return value["room_name"], value["token"], value["message"]

    def relay(self, room: str, user: str, text: str, senders: str, receivers: str) -> bytes:
        return body_of({"room_name": room, "username": user, "message": text})

    def shows(self, data: bytes) -> str:
        value = json.loads(data)
        return f"{value['username']}: {value['message']}"


class StatusInOneFrame(Form):
    """One frame for both outcomes; a refusal holds a token too."""

    name = file = "status-in-one-frame"
    has_passwords = True
    enters_with = None
    left = closed = None
    new_token = staticmethod(HEX32)

    def payload(self, a: Asked) -> bytes:
        return body_of({"user_name": a.user, "ip": "127.0.0.1", "port": a.port, "password": a.password})

    def read_payload(self, a: Asked, payload: bytes) -> Asked:
        value = json.loads(payload)
        a.user, a.port, a.password = value["user_name"], value["port"], value["password"]
        return a

    def granted(self, a: Asked, token: str) -> list[bytes]:
        said = "Chat room created" if a.op == CREATE else "Joined chat room"
        return [self.reply(a, 2, body_of({"status": 200, "message": f"{said} successfully.", "token": token}))]

    def refused(self, a: Asked, why: str) -> list[bytes]:
        status, said = {
            EXISTS: (400, "Chat room already exists."), MISSING: (404, "Chat room not found."),
            PASSWORD: (401, "Incorrect password."),
        }[why]  # fmt: skip
        return [self.reply(a, 1, body_of({"status": status, "message": said, "token": self.new_token()}))]

    def read_granted(self, tcp: Reads, a: Asked) -> str:
        value = json.loads(self.read_reply(tcp, a)[1])
        if value["status"] != 200:
            raise Refused(value["message"])
        return str(value["token"])


PUBLIC: list[Form] = [AnswerFirst(), BareSentences(), JsonDatagrams(), StatusInOneFrame()]
