"""Messages between processes: there and back, and every other byte string is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.cluster.messages import MAGIC, Kind, Message, read, write

WHOLE = Message(Kind.DATAGRAM, b"lobby \xff", 7, "a.life1.1", (0, "10.0.0.1", 5000), b"text\n", 1)
PARTS = [MAGIC, "datagram", "lobby", 7, "a.life1.1", [], 0]


@given(st.binary(max_size=200) | st.binary(max_size=20).map(lambda data: write(WHOLE)[:-9] + data))
def test_every_byte_string_is_a_message_or_none(data: bytes) -> None:
    found = read(data)
    assert found is None or read(write(found)) == found


@given(st.sampled_from(Kind), st.binary(max_size=255), st.integers(0, 2**63), st.binary(max_size=64))
def test_a_message_is_read_as_it_was_written(kind: Kind, room: bytes, fence: int, body: bytes) -> None:
    message = Message(kind, room, fence, "b.é.2", (1, "x", True, None), body, 3)
    assert read(write(message)) == message


def test_every_cut_of_a_message_before_its_body_is_none_and_a_cut_body_is_another_body() -> None:
    data = write(WHOLE)
    head = data.index(b"\n") + 1
    assert [read(data[:at]) for at in range(head)] == [None] * head
    assert read(data[:head]) == WHOLE._replace(body=b"")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "tcrp2"),
        (1, "shout"),
        (1, []),
        (2, "あ"),
        (2, 5),
        (3, "7"),
        (3, 7.0),
        (4, 5),
        (5, {}),
        (5, "what"),
        (6, "0"),
    ],
)
def test_a_part_of_another_kind_makes_it_none(at: int, value: object) -> None:
    assert read(json.dumps(PARTS).encode() + b"\n") is not None
    changed = [*PARTS[:at], value, *PARTS[at + 1 :]]
    assert read(json.dumps(changed).encode() + b"\n") is None


@pytest.mark.parametrize("parts", [PARTS[:-1], [*PARTS, 0], {str(each): each for each in range(7)}, 7, None])
def test_more_or_fewer_parts_make_it_none(parts: object) -> None:
    assert read(json.dumps(parts).encode() + b"\n") is None


def test_what_nests_too_deeply_is_none() -> None:
    assert read(b"[" * 100_000 + b"\n") is None
