"""Every dialect on real sockets: captured conversations against a chat-server, and a ninth dialect from a file."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import CREATE, JOIN, PATIENCE, LiveServer, Peer, frame, live_server, read_all
from tcrp.engine.codec import Codec, codec
from tcrp.engine.meanings import Completed, Reply
from tcrp.spec.names import Operation

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))
NOT_COPIED = (b"alice: /exit",)  # the captured `json` server relayed a guest's leave word
UNNAMED_PORT = 38138  # where it sent a join notice, though no client had named the port

NINTH = """
format = "tcrp-dialect/2"
name = "shouted"
sentence = "A dialect for this test: sentences in capitals, and relays in capitals."
frame = ["len(room): u1", "operation: u1", "state: u1", "len(payload): u29", "room", "payload"]
reply_frame = ["no_room: u1 = 0", "operation: u1", "state: u1", "len(payload): u29", "payload"]
[request]
state = 0
payload = { WHO = "{name}", SECRET = "{password}" }
[answer]
state = 1
payload = ["'YES'"]
[completion]
state = 2
payload = { KEY = "{token}" }
[refusal]
state = 1
payload = ["reason"]
[words]
room_exists = "TAKEN"
no_such_room = "WHERE"
wrong_password = "NO"
bad_request = "WHAT"
room_full = "FULL"
name_taken = "YOU"
too_many_requests = "SLOWLY"
[port]
learned_from = "datagram"
[datagram]
fields = ["len(room): u1", "len(token): u1", "room", "token", "text"]
[relay]
fields = ["'!!{name} SHOUTS {text}'"]
[leave]
words = ["BYE"]
[notices]
left = "{name} IS GONE"
room_closed = "ALL GONE"
idled = "YOU SLEPT"
removed = "OUT"
superseded = "DOUBLE"
shutdown = "NIGHT"
"""


class Hosts:
    """UDP sockets on the ports of a captured conversation, on a separate loopback address."""

    def __init__(self, ip: str, steps: list[dict[str, Any]]) -> None:
        self.ip = ip
        ports = {step[key] for step in steps for key in ("from_port", "to_port") if key in step} - {UNNAMED_PORT}
        self.sockets = {port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for port in sorted(ports)}
        for port, each in self.sockets.items():
            each.bind((ip, port))

    def hears(self, server: LiveServer, port: int, wanted: bytes) -> bool:
        """Whether `wanted` arrives at `port` from this server; datagrams that only our server sends are skipped."""
        ends = time.monotonic() + PATIENCE
        while select.select([self.sockets[port]], [], [], max(ends - time.monotonic(), 0))[0]:
            if self.sockets[port].recvfrom(65536) == (wanted, (server.host, server.udp)):
                return True
        return False

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()


def replies(speaks: Codec, data: bytes) -> Iterator[Reply | bytes]:
    """The messages of a server; a listing as it is."""
    if speaks.dialect.lists and data[:1] == b"\0":
        yield data
        return
    operation = Operation.CREATE if data[1:2] == b"\x01" else Operation.JOIN
    while data:
        found = speaks.read_reply(data, operation)
        assert isinstance(found, Reply), f"no reply: {data!r}"
        yield found
        data = data[found.size :]


def meaning(speaks: Codec, data: bytes, tokens: dict[str, str]) -> list[object]:
    """The contents of replies, without message sentences and with the captured tokens in place of ours."""
    said: list[object] = []
    for each in replies(speaks, data):
        text = each.decode() if isinstance(each, bytes) else each.payload.decode()
        for ours, theirs in tokens.items():
            text = text.replace(ours, theirs)
        value = json.loads(text) if text[:1] == "{" else text
        if isinstance(value, dict):
            value.pop("message", None)
        said.append(value)
    return said


@pytest.mark.parametrize("name", NAMES)
def test_our_server_answers_a_captured_conversation_like_the_captured_one(name: str) -> None:
    speaks = codec(name)
    steps: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["conversation"]
    hosts = Hosts(f"127.0.77.{NAMES.index(name) + 1}", steps)
    ours: dict[bytes, bytes] = {}  # captured token -> the token that our server gave instead
    with contextlib.closing(hosts), live_server("--dialect", name) as server, contextlib.ExitStack() as connections:
        streams: dict[int, socket.socket] = {}
        heard: dict[int, bytes] = {}
        captured: dict[int, bytes] = {}
        for step in steps:
            data = bytes.fromhex(step.get("hex", ""))
            number = step.get("connection", 0)
            if step["proto"] == "udp" and step["from"] != "server":
                for theirs, token in ours.items():
                    data = data.replace(bytes((len(theirs),)), bytes((len(token),)), 1).replace(theirs, token)
                hosts.sockets[step["from_port"]].sendto(data, (server.host, server.udp))
            elif step["proto"] == "udp":
                if step["to_port"] in hosts.sockets and data not in NOT_COPIED:
                    assert hosts.hears(server, step["to_port"], data), f"never heard: {data!r}"
            elif step["from"] != "server" and step.get("event") == "open":
                tcp = socket.create_connection((server.host, server.tcp), PATIENCE, source_address=(hosts.ip, 0))
                streams[number] = connections.enter_context(tcp)
            elif step["from"] != "server" and step.get("event") == "close":
                streams[number].close()
            elif step["from"] != "server":
                streams[number].sendall(data)
            elif data:
                if number not in heard:
                    heard[number] = read_all(streams[number])
                captured[number] = captured.get(number, b"") + data
                if len(list(replies(speaks, captured[number]))) == len(list(replies(speaks, heard[number]))):
                    _note_token(speaks, captured[number], heard[number], ours)
        tokens = {token.decode(): theirs.decode() for theirs, token in ours.items()}
        assert len(ours) == 2
        for number, data in captured.items():
            assert meaning(speaks, heard[number], tokens) == meaning(speaks, data, {})


def _note_token(speaks: Codec, captured: bytes, reply: bytes, ours: dict[bytes, bytes]) -> None:
    for theirs, mine in zip(replies(speaks, captured), replies(speaks, reply), strict=True):
        if isinstance(theirs, Reply) and isinstance(mine, Reply):
            old, new = theirs.says, mine.says
            if isinstance(old, Completed) and isinstance(new, Completed):
                ours[old.token] = new.token


def test_members_with_different_dialects_share_a_room() -> None:
    with live_server() as server:
        ann = Peer(server, "ann").creates("lobby")
        bob = Peer(server, "bob")
        answer = bob.ask(frame(JOIN, 0, b"lobby", b'"bob"'))
        bob.room, bob.token = b"lobby", json.loads(answer[answer.rindex(b"{") :])["token"].encode()
        cem = Peer(server, "cem")
        port = cem.udp.getsockname()[1]
        request = json.dumps({"username": "cem", "ip": "10.1.2.3", "port": port, "password": ""}).encode()
        answer = cem.ask(frame(JOIN, 0, b"lobby", request))
        cem.room, cem.token = b"lobby", json.loads(answer[answer.rindex(b"{") :])["token"].encode()
        bob.says("__REGISTER__")
        cem.says('{"sender": "somebody else", "message": "hello"}')
        assert ann.hears() == b"cem: hello"
        assert bob.hears() == b'\x05"cem"hello'
        bob.says("hi")
        assert ann.hears() == b"bob: hi"
        assert cem.hears() == b'\0\0{"sender": "bob", "message": "hi"}'


@pytest.fixture
def ninth(tmp_path: Path) -> Path:
    path = tmp_path / "shouted.toml"
    path.write_text(NINTH)
    return path


def test_a_ninth_dialect_needs_only_a_file(ninth: Path) -> None:
    with live_server("--dialect", str(ninth)) as server:
        ann, bob = _shouter(server, "ann", CREATE), _shouter(server, "bob", JOIN)
        ann.says("")
        bob.says("")
        bob.says("hello")
        assert ann.hears() == b"!!bob SHOUTS hello"
        bob.says("BYE")
        assert ann.hears() == b"bob IS GONE"
        refused = bob.ask(frame(CREATE, 0, b"lobby", b'{"WHO": "bob", "SECRET": ""}'))
        assert refused == frame(CREATE, 1, b"", b"TAKEN")


def _shouter(server: LiveServer, name: str, operation: int) -> Peer:
    peer = Peer(server, name)
    answer = peer.ask(frame(operation, 0, b"lobby", json.dumps({"WHO": name, "SECRET": ""}).encode()))
    head = frame(operation, 1, b"", b"YES")
    assert answer.startswith(head)
    peer.room, peer.token = b"lobby", json.loads(answer[len(head) + 32 :])["KEY"].encode()
    return peer
