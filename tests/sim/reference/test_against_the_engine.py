"""The engine and the reference server are given the same random inputs, of kinds that no scenario can write.

Requests of every dialect with every kind of fault, cut anywhere; trailers; ends and resets of connections;
datagrams of living, ended and unknown tokens from near and far; settings low enough to be met, and changed; late
timers; shutdowns.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, CloseStream, Detail, SendFrame
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.sim.checks.differential import difference
from tcrp.sim.reference.server import ReferenceServer
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import Limits
from tcrp.spec.names import PacketKind

IPS = ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fe80::1%eth0")
USERS = ("ann", "bob", "cem", "システム", "a:b", "x" * 255, "x" * 256, "e\u0301", "ex\u200bit", "é", "")
ROOMS = ("lobby", "attic", "a,b", "x" * 255, "", "\u202e", "lo\u2028bby")
PASSWORDS = ("", "", "", "sesame", "wrong", "ひらけ")
TEXTS = (
    "hi", "", "exit", "/exit", "/quit", "__LEAVE__", "@quit", "@join", "__REGISTER__", "bob left the room",
    "x" * 4000, "Room closed", "ROOM_CLOSED: lobby", "チャットルームが閉じられました", "é{room}{name}",
)  # fmt: skip
NO_REQUESTS = ("}", '{"username": "a", "username": "b"}', '{"username": "\\ud800"}', "{{", '"', "[" * 9999)
PORTS = (40001, 40002, 40003, 1024, 1023, 65535, 65536, 0, 12336)
STEPS = 120


class Pair:
    """Both servers, and what a driver knows: which connections are open, which tokens were handed out."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)  # noqa: S311 (a test's draws)
        self.now_us = 0
        self.streams: dict[str, str] = {}  # open ones, with the peer's address
        self.tokens: list[tuple[bytes, str, str]] = []
        self.limits = self.some_limits()
        only = codec(random.choice(NAMES)) if random.random() < 0.4 else None
        numbers = [iter(range(10_000)), iter(range(10_000))]
        self.engine = ServerEngine(
            ServerConfig(self.limits, only), new_token=lambda: b"%032x" % next(numbers[0]), detail=Detail.CHANGES
        )
        dialect = None if only is None else only.dialect
        self.reference = ReferenceServer(self.limits, dialect, lambda: b"%032x" % next(numbers[1]))
        self.opened = 0
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
            sessions_max=draw((3, 5, 100)),
            sessions_per_ip_max=draw((2, 3, 100)),
            connections_max=draw((3, 5, 100)),
            connections_per_ip_max=draw((2, 3, 100)),
            request_bytes_max=draw((64, 90, 120, 4096)),
            unentered_rooms_per_ip_max=draw((1, 2, 100)),
            idle_timeout=draw((1_000_000, 10_000_000, 300_000_000)),
            token_timeout=draw((1_000_000, 5_000_000)),
            handshake_timeout=draw((500_000, 2_000_000, 10_000_000)),
            linger=draw((0, 500_000, 5_000_000)),
            takeover_after=draw((1_000_000, 3_000_000)),
            texts_per_second_max=draw((1, 2, 20)),
            password_tries_max=draw((1, 2, 5)),
            takeover=draw([*type(Limits().takeover)]),
        )

    def give(self, method: str, *arguments: Any) -> None:
        """One input to both."""
        self.called_us = self.now_us if method == "set_limits" else arguments[-1]
        outputs = getattr(self.engine, method)(*arguments) or []
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
            if all(session.token != token for token, _, _ in self.tokens):
                self.tokens.append((session.token, session.room.name, self.streams.get(stream, IPS[0])))

    # --- what is drawn -----------------------------------------------------------------------------

    def request(self) -> bytes:
        """A request, mostly a good one."""
        random = self.random
        draw = random.choice
        room = draw(ROOMS[:2] if random.random() < 0.8 else ROOMS).encode()
        payload = self._payload(draw(USERS[:3] if random.random() < 0.85 else USERS))
        operation = draw((1, 2, 2)) if random.random() < 0.95 else draw((0, 3, 255))
        state = 0 if random.random() < 0.97 else 1
        length = len(payload) if random.random() < 0.97 else draw((len(payload) + 1, 5000, 2**64))
        return bytes((len(room), operation, state)) + length.to_bytes(29, "big") + room + payload

    def _payload(self, name: str) -> bytes:
        random = self.random
        draw = random.choice
        port: Any = draw(PORTS[:3] if random.random() < 0.9 else (*PORTS, True, "40001", 40001.0, None))
        password: Any = draw(PASSWORDS) if random.random() < 0.97 else draw((5, None))
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
        if value is None:
            two = port.to_bytes(2, "big") if type(port) is int and port < 65536 else b""
            return name.encode() + draw((b"", two))
        if isinstance(value, dict) and random.random() < 0.3:
            value |= draw(({"answer_keep_alive": True}, {"answer_keep_alive": 1}, {"more": 1}, {"user_address": ["a"]}))
        if isinstance(value, dict) and random.random() < 0.3 and self.tokens:
            value |= {"resume_token": draw((draw(self.tokens)[0].decode(), 5))} if RESUMES else {}
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        if random.random() < 0.05:
            text = draw((text + "}", *NO_REQUESTS))
        return text.encode()

    def datagram(self) -> tuple[bytes, str]:
        """A datagram and whom it is from, mostly a good one."""
        random = self.random
        draw = random.choice
        token, room, ip = draw(self.tokens) if self.tokens else (b"nobody", "lobby", IPS[0])
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
            ("open", "bytes", "end", "reset", "datagram", "time", "late", "limits", "remove", "shutdown"),
            (20, 25, 8, 3, 60, 40, 4, 1, 1, 0.3),
        )[0]
        if random.random() < 0.7:
            self.now_us += random.choice((0, 1, 1000, 100_000, 500_000, 1_000_000))
            if kind != "late":
                self.catch_up()
        if kind == "open":
            self.opened += 1
            stream = f"s{self.opened}"
            ip = random.choice(IPS)
            self.streams[stream] = ip
            self.give("stream_opened", stream, Address(ip, 50000 + self.opened), self.now_us)
            if stream in self.streams and random.random() < 0.9:
                data = self.request() + random.choice((b"", b"", b"\x9cA", b"\x00\x01", b"\x9c"))
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
        elif kind == "shutdown":
            self.give("shutdown", self.now_us)

    def catch_up(self) -> None:
        """Wake both at every moment at which the engine asks for it, up to now."""
        now_us = self.now_us
        while (when_us := self.engine.next_deadline_us()) is not None and when_us <= now_us:
            self.give("handle_timeout", now_us if self.is_late else max(when_us, self.called_us))


RESUMES = "token" in {str(each) for each in type(Limits().takeover)}


@pytest.mark.parametrize("part", range(10))
def test_both_give_the_same_for_random_inputs(part: int) -> None:
    for seed in range(part * 20, part * 20 + 20):
        pair = Pair(seed)
        for _ in range(STEPS):
            pair.step()
