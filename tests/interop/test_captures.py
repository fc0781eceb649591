"""The forms of these tests are those of the captured programs: what they write was captured, byte for byte."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from interop.forms import CREATE, EIGHT, JOIN, Asked, Form
from interop.wire_forms import WIRE

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
ALL = [*EIGHT, *WIRE]
PACKET = re.compile(r"^[\d.]+ (TCP|UDP) [\d.]+:(\d+)->[\d.]+:(\d+) len=\d+ (.*)$", re.MULTILINE)
HEADER = re.compile(r"hdr\[(\d+),(\d+),(\d+),size29=([0-9a-f]+)\] body=(.*)")
CUT = re.compile(r"\.\.\.\(\d+ bytes\)$")
PART = re.compile(r"\\(x[0-9a-f]?)?$")  # of an escape, at the cut

FIRST_PORT_OF_CLIENTS = 20_000


class Packet(NamedTuple):
    is_tcp: bool
    is_servers: bool
    ports: tuple[int, int]
    data: bytes
    is_cut: bool  # only the beginning of the payload is known


class Captured:
    """A capture, and what it shows of alice and bob."""

    def __init__(self, form: Form) -> None:
        self.packets = _wire(form.capture) if form.capture else _vector(form.name)
        tcp = [each for each in self.packets if each.is_tcp]
        self.tcp = [b"".join(each.data for each in tcp if each.is_servers is side) for side in (False, True)]
        self.datagrams = [each for each in self.packets if not each.is_tcp]
        self.ports = sorted({port for each in self.datagrams for port in each.ports})

    def holds(self, data: bytes) -> bool:
        """Whether these bytes were sent over TCP, in one piece or in several, as far as the capture shows."""
        begins = any(each.is_cut and data.startswith(each.data) for each in self.packets)
        return begins or any(data in each for each in self.tcp)


def _vector(name: str) -> list[Packet]:
    steps = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["conversation"]
    packets = []
    for step in steps:
        if "hex" in step:
            ports = step.get("from_port", 0), step.get("to_port", 0)
            is_tcp, is_servers = step["proto"] == "tcp", step["from"] == "server"
            packets.append(Packet(is_tcp, is_servers, ports, bytes.fromhex(step["hex"]), is_cut=False))
    return packets


def _wire(name: str) -> list[Packet]:
    text = (VECTORS / "wire" / f"{name}.txt").read_text(encoding="utf-8")
    packets = []
    for proto, from_port, to_port, payload in PACKET.findall(text):
        ports, is_cut, head, said = (int(from_port), int(to_port)), CUT.search(payload) is not None, b"", payload
        if found := HEADER.match(said):
            head = bytes(map(int, found.groups()[:3])) + bytes.fromhex(found[4].zfill(58))
            said = found[5]
        if is_cut:
            said = PART.sub("", CUT.sub("", said))
            said += said[1] if said[0] == "b" else said[0]
        value = ast.literal_eval(said)
        data = head + (value if isinstance(value, bytes) else value.encode())
        packets.append(Packet(proto == "TCP", ports[0] < FIRST_PORT_OF_CLIENTS, ports, data, is_cut))
    return packets


SHOWN = [form for form in ALL if form.name != "text"]
TOKEN_BYTES = (16, 32, 36, 38, 43, 64, 128, 250, 340)


def name_of(form: Form) -> str:
    return form.capture or form.name


@pytest.mark.parametrize("form", SHOWN, ids=name_of)
def test_requests_and_replies_are_as_they_were_captured(form: Form) -> None:
    capture = Captured(form)
    for asked in users_of(form):
        asked.port = ports_of_requests(capture, form, asked)
        assert capture.holds(asks(form, asked, asked.port)), f"{asked.user} asks otherwise"
        answers = [form.granted(asked, token) for token in tokens_of(capture)]
        assert any(all(map(capture.holds, frames)) for frames in answers), f"{asked.user} is answered otherwise"


def users_of(form: Form) -> list[Asked]:
    """Who asks in the form's capture: one creates, one joins."""
    is_other = form.name == "typed-lengths"
    password = {"typed-lengths": "secret123", "json": ""}.get(form.name, "pw") if form.has_passwords else ""
    room = "TestRoom" if is_other else "room1"
    names = ("Alice", "Bob") if is_other else ("alice", "bob")
    return [Asked(op, room, user, password) for op, user in zip((CREATE, JOIN), names, strict=True)]


def ports_of_requests(capture: Captured, form: Form, asked: Asked) -> int:
    """The port that the captured request says; 0 where it says none."""
    return next((port for port in capture.ports if capture.holds(asks(form, asked, port))), 0)


def asks(form: Form, asked: Asked, port: int) -> bytes:
    asked.port = port
    return b"".join(form.request(asked))


def tokens_of(capture: Captured) -> Iterator[str]:
    """What may be a token. Of a token that the capture cuts, the rest is made up."""
    for packet in capture.packets:
        for word in map(bytes.decode, re.findall(rb"[0-9A-Za-z_-]{16,}", packet.data) if packet.is_tcp else []):
            for size in TOKEN_BYTES:
                for start in range(max(len(word) - size, 0) + 1):
                    yield word[start : start + size].ljust(size, "x") if packet.is_cut else word[start : start + size]


@pytest.mark.parametrize("form", [form for form in SHOWN if "datagrams" not in form.unseen], ids=name_of)
def test_texts_and_relays_are_as_they_were_captured(form: Form) -> None:
    capture = Captured(form)
    whole = {each.data for each in capture.datagrams if not each.is_cut}
    cut = [each.data for each in capture.datagrams if each.is_cut]
    texts = [each for each in capture.datagrams if is_text(form, each.data)]
    tokens = {form.read_text(each.data)[1] for each in texts}
    if not texts:  # its tokens are so long that the capture cuts them
        tokens = {"t" * 125, "u" * 125}
    for user, text in (("alice", "hello from alice"), ("bob", "hi from bob"), ("alice", "日本語メッセージ")):
        relays = {form.relay("room1", user, text, one, two) for one in tokens for two in tokens}
        assert relays & whole, f"{text!r} is relayed otherwise"
        sent = {form.text("room1", token, user, text) for token in tokens}
        assert sent & whole or cut, f"{text!r} is sent otherwise"
        assert all(text in form.shows(each) for each in relays & whole)


def is_text(form: Form, data: bytes) -> bool:
    try:
        return form.read_text(data)[0] == "room1"
    except (ValueError, IndexError, KeyError):
        return False


@pytest.mark.parametrize("form", SHOWN, ids=name_of)
def test_words_and_notices_are_as_they_were_captured(form: Form) -> None:
    capture = Captured(form)
    said = {each.data for each in capture.datagrams}
    if form.leave is not None and "leaving" not in form.unseen:
        assert any(data.endswith(form.leave.encode()) for data in said)
    if form.left is not None and "leaving" not in form.unseen:
        sentences = {form.left.format(user="bob", room="room1", port=port) for port in capture.ports}
        assert {form.notice(each) for each in sentences} & said
    if form.closed is not None and "the host's leaving" not in form.unseen:
        assert form.notice(form.closed.format(user="alice", room="room1")) in said
