"""Datagrams made by hand: their bytes, at the limits of their length fields."""

from __future__ import annotations

import pytest

from tcrp.engine.codec import codec
from tcrp.sim.hosts.forged import body_of, forged_datagram
from tcrp.sim.scenario.model import Datagram
from tcrp.sim.scenario.reader import read_scenario_text


@pytest.mark.parametrize(
    ("room", "token", "body", "data"),
    [
        ("", b"", b"", b"\0\0"),
        ("lobby", b"t", b"hi", b"\5\1lobbythi"),
        ("あ", b"", b"\xff", b"\3\0\xe3\x81\x82\xff"),
        ("r" * 255, b"t" * 255, b"", b"\xff\xff" + b"r" * 255 + b"t" * 255),
        ("r" * 256, b"", b"x", b"\xff\0" + b"r" * 255 + b"x"),  # as much as the length can tell
    ],
)
def test_it_is_lengths_room_token_and_body(room: str, token: bytes, body: bytes, data: bytes) -> None:
    assert forged_datagram(room, token, body) == data


def made(parts: str) -> Datagram:
    text = f"claim: a\nscript:\n  - {{at: 0s, allow_invalid: true, bob: {{datagram: {parts}}}}}\n"
    action = read_scenario_text(text).script[0].action
    assert isinstance(action, Datagram)
    return action


@pytest.mark.parametrize(
    ("parts", "dialect", "body"),
    [
        ('{token_of: bob, room: lobby, text: "hi"}', "text", b"hi"),
        ('{token_of: bob, room: lobby, text: ""}', "text", b""),
        ('{token_of: bob, room: lobby, text: "hi"}', "json-endpoint", b'{"sender": "bob", "message": "hi"}'),
        ('{token_of: bob, room: lobby, text: ""}', "json-endpoint", b'{"sender": "bob", "message": ""}'),
        ('{hex: "00ff"}', "json-endpoint", b"\0\xff"),
        ('{hex: ""}', "text", b""),
    ],
)
def test_its_body_is_given_bytes_or_a_text_as_the_user_says_it(parts: str, dialect: str, body: bytes) -> None:
    assert body_of(made(parts), codec(dialect), "bob") == body
