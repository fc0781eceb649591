"""The engine and the reference server are given the same random inputs, of kinds that no scenario can write.

Requests of every dialect with every kind of fault, cut anywhere; trailers; ends and resets of connections;
datagrams of living, ended and unknown tokens from near and far; settings low enough to be met, and changed; late
timers; shutdowns.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from conversation import counted_tokens
from tcrp.engine.codec import codec, codec_of
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, CloseStream, Detail, SendFrame
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.text import room_name_fault
from tcrp.sim.checks.differential import difference
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.reference.wire import room_name
from tcrp.spec.dialects import NAMES, parse
from tcrp.spec.limits import SETTINGS, Limits, Takeover
from tcrp.spec.names import Operation, PacketKind

IPS = ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fe80::1%eth0")
USERS = ("ann", "bob", "cem", "システム", "a:b", "x" * 255, "x" * 256, "e\u0301", "ex\u200bit", "é", "")
ROOMS = ("lobby", "attic", "cellar", "a,b", "x" * 255, "", "\u202e", "lo\u2028bby")
PASSWORDS = ("", "", "", "wrong", "sesame", "ひらけ")
TEXTS = (
    "hi", "hi ", "", "exit", "/exit", "/quit", "__LEAVE__", "@quit", "@join", "__REGISTER__", "bob left the room",
    "x" * 4000, "Room closed", "ROOM_CLOSED: lobby", "チャットルームが閉じられました", "é{room}{name}",
)  # fmt: skip
NO_REQUESTS = ("}", '{"username": "a", "username": "b"}', '{"username": "\\ud800"}', "{{", '"', "[" * 9999)
PORTS = (40001, 40002, 40003, 1024, 1023, 65535, 65536, 0, 12336)
STEPS = 120


class Holder(NamedTuple):
    """To whom a token was handed out."""

    token: bytes
    room: str
    ip: str
    name: str


class Pair:
    """Both servers, and what a driver knows: which connections are open, which tokens were handed out."""

    def __init__(self, seed: int, *, without: str = "") -> None:
        """`without`: the setting that the engine does not know of."""
        self.without = without
        self.random = random = Random(seed)  # noqa: S311 (a test's draws)
        self.now_us = 0
        self.is_disputed = random.random() < 0.15  # all ask for names in use
        self.is_crowded = self.is_disputed or random.random() < 0.3  # many come, few go
        self.streams: dict[str, str] = {}  # open ones, with the peer's address
        self.tokens: list[Holder] = []
        self.limits = self.some_limits()
        self.has_passwords = (
            not self.is_disputed and random.random() < 0.25
        )  # most requests are of one room with a password
        is_open = self.has_passwords or self.is_disputed
        only = codec(random.choice((*NAMES, "name-port-list"))) if not is_open and random.random() < 0.4 else None
        self.lists = only is not None and only.dialect.lists
        listeners = (ListenerConfig((only,) if only is not None else ()),)
        numbers = [iter(range(10_000)), iter(range(10_000))]
        self.engine = ServerEngine(
            ServerConfig(self.engine_limits(), listeners),
            new_token=lambda: b"%032x" % next(numbers[0]),
            detail=Detail.CHANGES,
        )
        listed = [[each.dialect for each in listener.dialects] for listener in listeners]
        self.reference = ReferenceServer(self.limits, listed, lambda: b"%032x" % next(numbers[1]))
        self.opened = 0
        self.ips = random.choice((IPS, IPS[:2]))
        self.passwords = PASSWORDS[3:5] if self.has_passwords else PASSWORDS
        self.called_us = 0  # when they were called last
        self.is_late = self.random.random() < 0.2  # woken once for all that is due

    def some_limits(self) -> Limits:
        """Settings that are met soon."""
        draw = self.random.choice
        return replace(
            Limits(),
            rooms_max=draw((2, 3, 100)),
            rooms_per_ip_max=draw((1, 2, 100)),
            ipv6_prefix=draw((1, 48, 64, 128)),
            members_max=draw((1, 2, 3, 100)),
            sessions_max=draw((3, 5, 100, 100)),
            sessions_per_ip_max=draw((2, 3, 100, 100)),
            connections_max=draw((3, 5, 100)),
            connections_per_ip_max=draw((2, 3, 100)),
            request_bytes_max=draw((64, 90, 120, 4096)),
            unentered_rooms_per_ip_max=draw((1, 2, 100)),
            idle_timeout=draw((10_000_000, 300_000_000))
            if self.is_crowded
            else draw((1_000_000, 10_000_000, 300_000_000)),
            token_timeout=30_000_000 if self.is_crowded else draw((1_000_000, 5_000_000, 30_000_000)),
            handshake_timeout=draw((500_000, 2_000_000, 10_000_000)),
            linger=draw((0, 500_000, 5_000_000)),
            takeover_after=draw((1_000_000, 3_000_000)),
            texts_per_second_max=draw((1, 2, 20)),
            password_tries_max=draw((1, 2, 5)),
            takeover=draw([*type(Limits().takeover)]),
        )

    def engine_limits(self) -> Limits:
        """The engine's settings: the same, but for the one that it does not know of."""
        if not self.without:
            return self.limits
        others: dict[str, Any] = {"takeover": Takeover.OFF, "ipv6_prefix": 128}
        return replace(self.limits, **{self.without: others.get(self.without, getattr(Limits(), self.without))})

    def give(self, method: str, *arguments: Any) -> None:
        """One input to both."""
        self.called_us = self.now_us if method == "set_limits" else arguments[-1]
        own = (self.engine_limits(),) if method == "set_limits" else arguments
        outputs = getattr(self.engine, method)(*own) or []
        expected = getattr(self.reference, method)(*arguments) or []
        found = difference(outputs, expected)
        assert found is None, f"{method}{arguments!r}: {found}"
        for output in outputs:
            if isinstance(output, CloseStream):
                self.streams.pop(str(output.stream), None)
            elif isinstance(output, SendFrame) and output.what is PacketKind.COMPLETION:
                self._learn(output)
        woken_us, due_us = self.engine.next_deadline_us(), self.reference.next_deadline_us()
        assert due_us is None or (woken_us is not None and woken_us <= due_us), f"due at {due_us}, woken at {woken_us}"

    def _learn(self, frame: SendFrame) -> None:
        stream = str(frame.stream)
        for session in self.reference.rooms.sessions():
            if all(session.token != each.token for each in self.tokens):
                ip = self.streams.get(stream, IPS[0])
                self.tokens.append(Holder(session.token, session.room.name, ip, session.name))

    # --- what is drawn -----------------------------------------------------------------------------

    def request(self, holder: Holder | None = None) -> bytes:
        """A request, mostly a good one; or one for the name of a token's holder."""
        random = self.random
        draw = random.choice
        rooms = ROOMS[:1] if self.has_passwords else ROOMS[:3]
        room = draw(rooms if random.random() < 0.8 else (*ROOMS, *[""] * 10 * self.lists)).encode()
        name = draw(USERS[:3] if random.random() < 0.85 else USERS)
        token = b""
        if holder is not None:
            proofs = (holder.token,) if self.is_disputed else (holder.token, b"", b"stolen")
            room, name, token = holder.room.encode(), holder.name, draw(proofs)
        payload = self._payload(name, token)
        operation = draw((1, 2, 2)) if random.random() < 0.95 else draw((0, 3, 255))
        state = 0 if random.random() < 0.97 else 1
        length = len(payload) if random.random() < 0.97 else draw((len(payload) + 1, 5000, 2**64))
        return bytes((len(room), operation, state)) + length.to_bytes(29, "big") + room + payload

    def _payload(self, name: str, token: bytes) -> bytes:
        random = self.random
        draw = random.choice
        port: Any = draw(PORTS[:3] if random.random() < 0.9 else (*PORTS, True, "40001", 40001.0, None))
        password: Any = draw(self.passwords) if random.random() < 0.97 else draw((5, None))
        value: Any = draw(
            (
                {"username": name, "password": password},
                {"username": name},
                {"user_name": name, "user_address": ["10.9.9.9", port]},
                {"user_name": name, "udp_port": port},
                {"username": name, "ip": "10.9.9.9", "port": port, "password": password},
                {"username": name, "ip": 7, "port": port},
                name,
                None,
                None,
            )
        )
        if self.has_passwords or self.is_disputed:
            value = {"username": name, "password": password}
        if value is None:
            two = port.to_bytes(2, "big") if type(port) is int and port < 65536 else b""
            return name.encode() + draw((b"", two))
        if isinstance(value, dict) and random.random() < 0.3:
            value |= draw(({"answer_keep_alive": True}, {"answer_keep_alive": 1}, {"more": 1}, {"user_address": ["a"]}))
        if isinstance(value, dict) and token:
            value["resume_token"] = token.decode() if random.random() < 0.9 else 5
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        if random.random() < 0.05:
            text = draw((text + "}", *NO_REQUESTS))
        return text.encode()

    def datagram(self) -> tuple[bytes, str]:
        """A datagram and whom it is from, mostly a good one."""
        random = self.random
        draw = random.choice
        token, room, ip, _ = draw(self.tokens) if self.tokens else (b"nobody", "lobby", IPS[0], "")
        if random.random() < 0.1:
            room = draw(ROOMS)
        if random.random() < 0.1:
            ip = draw(IPS)
        text = draw(TEXTS).encode()
        if random.random() < 0.3:
            text = json.dumps({"sender": "ann", "message": text.decode()}).encode()
        if random.random() < 0.1:
            text = draw((b"\xff", b"{", b"x" * 4100, b'{"message": 1}', b'{"sender": 1, "message": "m"}', b"{}"))
        data = bytes((len(room.encode()), len(token))) + room.encode() + token + text
        return (data if random.random() < 0.97 else data[: random.randrange(40)]), ip

    def step(self) -> None:
        """One random input."""
        random = self.random
        kind = random.choices(
            ("open", "bytes", "end", "reset", "datagram", "time", "late", "limits", "remove", "close", "shutdown"),
            (60, 10, 0, 0, 20, 5, 1, 0, 0, 0, 0) if self.is_crowded else (20, 25, 8, 3, 60, 40, 4, 1, 1, 0.5, 0.3),
        )[0]
        if random.random() < 0.7:
            self.now_us += random.choice((0, 1, 1000, 100_000, 500_000, 1_000_000))
            if kind != "late":
                self.catch_up()
        if kind == "open":
            self.opened += 1
            asks = random.random() < (0.9 if self.is_disputed else 0.3)
            stream = f"s{self.opened}"
            holder = random.choice(self.tokens[-1 if self.is_disputed else -4 :]) if self.tokens and asks else None
            ip = holder.ip if holder is not None and random.random() < 0.9 else random.choice(self.ips)
            self.streams[stream] = ip
            self.give("stream_opened", stream, Address(ip, 50000 + self.opened), self.now_us)
            if stream in self.streams and random.random() < 0.9:
                data = self.request(holder) + random.choice((b"", b"", b"\x9cA", b"\x00\x01", b"\x9c"))
                for part in (data,) if random.random() < 0.8 else (data[:40], data[40:]):
                    if stream in self.streams:
                        self.give("receive_stream", stream, part, self.now_us)
        elif kind in ("bytes", "end", "reset") and self.streams:
            stream = random.choice([*self.streams])
            if kind == "bytes":
                data = random.choice((self.request(), b"\x9cA", b"\x9c", b"\0", self.request()[:33]))
                self.give("receive_stream", stream, data, self.now_us)
            elif kind == "end":
                self.give("stream_ended", stream, self.now_us)
            else:
                del self.streams[stream]
                self.give("stream_closed", stream, self.now_us)
        elif kind == "datagram":
            data, ip = self.datagram()
            self.give("receive_datagram", data, Address(ip, random.choice(PORTS[:4])), self.now_us)
        elif kind == "time":
            self.now_us += random.choice((0, 200_000, 1_000_000, 3_000_000))
            self.catch_up()
        elif kind == "limits":
            self.limits = self.some_limits()
            self.give("set_limits", self.limits)
        elif kind == "remove":
            self.give("remove", random.choice(USERS[:3]), random.choice(ROOMS[:2]), self.now_us)
        elif kind == "close":
            self.give("close_room", random.choice(ROOMS[:2]), self.now_us)
        elif kind == "shutdown":
            self.give("shutdown", self.now_us)

    def catch_up(self) -> None:
        """Wake both at every moment at which the engine asks for it, up to now."""
        now_us = self.now_us
        while (when_us := self.engine.next_deadline_us()) is not None and when_us <= now_us:
            self.give("handle_timeout", now_us if self.is_late else max(when_us, self.called_us))


@pytest.mark.parametrize("part", range(10))
def test_both_give_the_same_for_random_inputs(part: int) -> None:
    for seed in range(part * 20, part * 20 + 20):
        pair = Pair(seed)
        for _ in range(STEPS):
            pair.step()


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_engine_that_does_not_know_one_setting_differs(setting: str) -> None:
    def differs(seed: int) -> bool:
        pair = Pair(seed, without=setting)
        try:
            for _ in range(STEPS):
                pair.step()
        except AssertionError:
            return True
        return False

    assert any(differs(seed) for seed in range(400))


def test_both_take_the_same_names_of_one_character() -> None:
    for code in chain(range(0xD800), range(0xE000, 0x110000)):
        name = chr(code).encode()
        assert (room_name_fault.__wrapped__(name) is None) == (room_name(name) is not None), f"U+{code:04X}"


ANSWER_FIRST = Path(__file__).parents[2] / "interop" / "dialects" / "answer-first.toml"


@pytest.mark.parametrize("others", [(), ("json",)])
def test_a_head_is_answered_by_both_where_no_other_dialect_can_be_meant(others: tuple[str, ...]) -> None:
    speaks = codec_of(parse(ANSWER_FIRST.read_text(encoding="utf-8"), "answer-first.toml"))
    codecs = (speaks, *map(codec, others))
    tokens: list[Any] = [counted_tokens(), counted_tokens()]
    engine = ServerEngine(
        ServerConfig(Limits(), (ListenerConfig(codecs),)), new_token=tokens[0], detail=Detail.EVERYTHING
    )
    reference = ReferenceServer(Limits(), [[each.dialect for each in codecs]], tokens[1])
    request = speaks.write_request(Operation.CREATE, b"room1", "alice", "", "", 40_001)
    address = Address("10.0.0.1", 40_001)
    answered = []
    for call in (
        ("stream_opened", "peer", address, 0, 0), ("receive_stream", "peer", request[:32], 0),
        ("receive_stream", "peer", request[32:], 0), ("handle_timeout", 0),
    ):  # fmt: skip
        outputs, expected = (getattr(server, call[0])(*call[1:]) or [] for server in (engine, reference))
        assert difference(outputs, expected) is None
        answered.append(sum(isinstance(each, SendFrame) for each in expected))
    assert answered == ([0, 1, 0, 1] if not others else [0, 0, 1, 1])
