"""Servers that speak no known dialect: what can be guessed of them is written to a file that works."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from judge.flawed_servers import Member, Server, frame
from tcrp.cli.sim import main
from tcrp.engine.codec import codec_of
from tcrp.judge import relays
from tcrp.judge.guessing import Replies, is_readable, read_replies, toml_of, with_tables
from tcrp.judge.record import Waits
from tcrp.judge.runner import Runner
from tcrp.judge.verdicts import Judgement, Outcome
from tcrp.live.conform_ground import LiveGround
from tcrp.spec.dialects import parse
from tcrp.spec.names import Rule


class Odd(Server):
    """One reply, of JSON in a frame of its own kind; datagrams with the token alone; relays with an arrow."""

    def answer(self, operation: int, state: int, room: bytes, payload: bytes, ip: str) -> list[bytes]:
        name = payload.decode(errors="replace")
        if not name.isalpha():
            return []
        with self.lock:
            member = self.grant(operation, state, room.decode(), name, "", ip, False, None)
        if isinstance(member, int):
            return [frame(b"", 9, 4, b'{"result": "no"}')]
        said = {"result": "ok", "session_id": member.token.decode(), "room": room.decode()}
        return [frame(b"", 9, 3, json.dumps(said).encode())]

    def hear(self, data: bytes, source: tuple[str, int]) -> None:
        token, text = data[1 : 1 + data[0]] if data else b"", data[1 + data[0] :] if data else b""
        member = self.tokens.get(token)
        room = member.room.encode() if member is not None else b""
        super().hear(bytes((len(room), len(token))) + room + token + text, source)

    def form(self, member: Member, name: str, text: str) -> bytes:
        return f"{name} -> {text}".encode()


class NeedsAMember(Server):
    """The request is JSON with a key that no known dialect has; all else is as in `text`."""

    def answer(self, operation: int, state: int, room: bytes, payload: bytes, ip: str) -> list[bytes]:
        try:
            name = json.loads(payload)["user"]
        except (ValueError, KeyError, TypeError):
            return []
        return super().answer(operation, state, room, name.encode(), ip)


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (
            Odd,
            {
                "reply": '"session_id" = "{token}"',
                "datagram": '["len(token): u1", "token", "text"]',
                "relay": "{name} -> {text}",
            },
        ),
        (NeedsAMember, {"request": '{ user = "{name}" }', "reply": '["token"]', "relay": "{name}: {text}"}),
    ],
)
def test_what_is_guessed_of_an_unknown_server_is_said_written_and_works(
    make: Callable[[], Server],
    seen: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    server = make()
    try:
        tcp, udp = server.ports
        places = ("127.0.0.1", "--tcp-port", str(tcp), "--udp-port", str(udp))
        assert main(["conform", "server", *places]) == 2
        said = dict(line.split(maxsplit=1) for line in capsys.readouterr().err.splitlines() if line.startswith("    "))
        assert {key: part for key, part in seen.items() if part not in said[key]} == {}, said
        assert main(["dialect", "check", "discovered.toml"]) == 0
        judgement = asyncio.run(relays_by(Path("discovered.toml"), tcp, udp))
        assert {each.rule for each in judgement.with_outcome(Outcome.HOLDS)} == {Rule.REL_1, Rule.REL_3}
    finally:
        server.close()
    assert os.listdir(tmp_path) == ["discovered.toml"]


async def relays_by(path: Path, tcp: int, udp: int) -> Judgement:
    """Whether relays are as the description says."""
    speaks = codec_of(parse(path.read_text(encoding="utf-8"), path.name))
    ground = LiveGround("127.0.0.1", tcp, udp)
    return await Runner(ground, speaks, Waits()).run(relays.PROBES[:1], "server")


ROOM, NAMES = b"lobby", ("annika", "bobby")


def replies(make: Callable[[bytes], bytes]) -> Replies | None:
    return read_replies((make(b"abcd1234"), make(b"zyxw9876")), ROOM, NAMES)


@pytest.mark.parametrize(
    ("make", "completion"),
    [
        (lambda token: frame(ROOM, 1, 1, b"\0") + frame(ROOM, 1, 2, token), 'state = 2\npayload = ["token"]'),
        (lambda token: frame(ROOM, 1, 1, b"OK") + frame(b"", 1, 7, b"KEY:" + token), """["'KEY:'", "token"]"""),
        (lambda token: frame(b"", 1, 2, b'{"ok": true, "t": "' + token + b'"}'), '{ "ok" = true, "t" = "{token}" }'),
        (lambda token: frame(b"", 1, 2, b'"' + token + b'"'), '["token: json"]'),
        (lambda token: token, 'fields = ["token"]'),
    ],
)
def test_a_token_is_found_in_two_replies_by_their_difference(make: Callable[[bytes], bytes], completion: str) -> None:
    found = replies(make)
    assert found is not None
    assert found.tokens == (b"abcd1234", b"zyxw9876")
    assert completion in found.tables["completion"]
    described = with_tables(toml_of("text"), found.tables)
    assert described is not None
    assert is_readable(described)


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"ERROR",
        lambda _: frame(ROOM, 1, 1, b"\4"),
        lambda token: frame(ROOM, 1, 1, b"\0") + frame(ROOM, 1, 2, token[:2]),
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_replies_that_do_not_differ_hold_no_token(make: Callable[[bytes], bytes]) -> None:
    assert replies(make) is None
