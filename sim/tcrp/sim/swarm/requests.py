"""Requests made by hand, for random scenarios: bytes on TCP that no client of ours sends, and sizes at each bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tcrp.engine.codec import codec
from tcrp.engine.frames import CREATE, HEADER_BYTES, JOIN, STATE_REQUEST, write_frame
from tcrp.sim.swarm.dice import Dice
from tcrp.spec.limits import NAME_BYTES_MAX, PORT_MAX, PORT_MIN
from tcrp.spec.names import Operation

LISTING_REQUEST = write_frame(0, JOIN, STATE_REQUEST, b"", b"")

PAYLOADS = (
    b"", b"\xff\xff\xff", b"raw\xff", b"raw\x03\xff", b"raw\xc3\x50", b"\x04\x00",  # texts, names with ports, neither
    b"{", b"[]", b"5", b'"raw"', b'"raw', b'"\\ud800"', b'""', b"{}",
    b'{"username": "raw", "password": ""}', b'{"username": "raw"}', b'{"username": "raw", "username": "two"}',
    b'{"username": 5, "password": ""}', b'{"username": "raw", "password": 5}', b'{"username": "raw", "x": 1}',
    b'{"username": "raw", "password": "", "ip": "10.0.0.1", "port": 70000}',
    b'{"username": "raw", "password": "", "ip": "10.0.0.1", "port": 40009}',
    b'{"username": "raw", "password": "", "ip": ["10.0.0.1"], "port": 40009}',
    b'{"user_name": "raw", "udp_port": 40009}', b'{"user_name": "raw", "udp_port": "40009"}',
    b'{"user_name": "raw", "user_address": ["10.0.0.1", 40009]}', b'{"user_name": "raw", "user_address": [40009]}',
    b'{"user_name": "raw", "user_address": {"ip": "10.0.0.1"}}', b'{"user_name": ["raw"], "udp_port": true}',
    b'{"username": "raw", "password": "", "answer_keep_alive": true}',
)  # fmt: skip
"""Of every dialect, well and badly written."""

NAMES = (
    "", "a" * NAME_BYTES_MAX, "a" * (NAME_BYTES_MAX + 1), "名" * 85, "é" * 128, "e\u0301", "a\x07b", "é\x85",
    "a\u202eb", "é\u200f", "a:b", "[a]", "システム", "raw name", "長い",
)  # fmt: skip
"""Names at the bounds of R-NAME-1."""


class Draw(NamedTuple):
    """What requests are drawn from: a room's name, and the server's limit."""

    dice: Dice
    room: bytes
    request_bytes_max: int


def with_any_payload(draw: Draw) -> bytes:
    """A well-formed frame with a payload of some dialect, or of none."""
    return write_frame(len(draw.room), _operation(draw.dice), STATE_REQUEST, draw.room, draw.dice.one_of(PAYLOADS))


def with_any_user_name(draw: Draw) -> bytes:
    """A name at a bound, in a dialect that has place for it."""
    name, speaks = draw.dice.one_of(NAMES), codec(draw.dice.one_of(("text", "json", "name-port", "json-name")))
    return speaks.write_request(_named(draw.dice), draw.room, name, "", "10.0.0.1", 40009)


def with_any_room_name(draw: Draw) -> bytes:
    """A room's name at a bound, as far as its length can be said."""
    name = draw.dice.one_of(NAMES).encode()[:NAME_BYTES_MAX]
    return write_frame(len(name), _operation(draw.dice), STATE_REQUEST, name, b"raw")


def of_a_size_at_the_bound(draw: Draw) -> bytes:
    """A request that is as long as one may be, a byte shorter, or a byte longer."""
    size = draw.request_bytes_max - HEADER_BYTES - len(draw.room) + draw.dice.between(-1, 1)
    payload = b'{"username": "raw", "password": "'
    payload += b"p" * (size - len(payload) - 2) + b'"}'
    return write_frame(len(draw.room), _operation(draw.dice), STATE_REQUEST, draw.room, payload[: max(size, 0)])


def with_any_port(draw: Draw) -> bytes:
    """A port at a bound of those that a request may name."""
    port = draw.dice.one_of((0, PORT_MIN - 1, PORT_MIN, PORT_MAX))
    speaks = codec(draw.dice.one_of(("json-port", "json-address", "json-endpoint", "name-port")))
    return speaks.write_request(_named(draw.dice), draw.room, "raw", "", "10.0.0.1", port)


def with_a_trailer(draw: Draw) -> bytes:
    """A request with bytes behind it: the port of dialects that have one there, too much, or too little."""
    speaks = codec(draw.dice.one_of(("json", "json", "text")))
    trailer = draw.dice.one_of((b"\xc3\x50", b"\xc3", b"\x00\x50", b"\xc3\x50\x00\x00"))
    return speaks.write_request(_named(draw.dice), draw.room, "raw", "", "", 0) + trailer


def with_a_wrong_header(draw: Draw) -> bytes:
    """An operation or a state that no request has, or lengths that are more than fits."""
    operation, state = draw.dice.one_of(((9, STATE_REQUEST), (0, STATE_REQUEST), (JOIN, 1), (CREATE, 2)))
    whole = write_frame(len(draw.room), operation, state, draw.room, b"raw")
    return whole if draw.dice.chance(70) else b"\x05\x01\x00" + b"\xff" * 29


def cut_off(draw: Draw) -> bytes:
    """A part of a request, after which nothing comes."""
    whole = write_frame(len(draw.room), JOIN, STATE_REQUEST, draw.room, b"raw")
    return whole[: draw.dice.one_of((0, 1, HEADER_BYTES - 1, HEADER_BYTES, len(whole) - 1))]


def for_a_listing(draw: Draw) -> bytes:
    """What asks for the open rooms, where the server's dialect lists them; to create without a name is none."""
    return LISTING_REQUEST if draw.dice.chance(80) else write_frame(0, CREATE, STATE_REQUEST, b"", b"raw\xc3\x50")


KINDS: tuple[Callable[[Draw], bytes], ...] = (
    with_any_payload, with_any_payload, with_any_user_name, with_any_room_name, of_a_size_at_the_bound, with_any_port,
    with_a_trailer, with_a_wrong_header, cut_off, for_a_listing,
)  # fmt: skip


def draw_request(dice: Dice, room: str, request_bytes_max: int) -> bytes:
    """The bytes of a request by hand. `request_bytes_max` is the server's limit."""
    return dice.one_of(KINDS)(Draw(dice, room.encode(), request_bytes_max))


def _operation(dice: Dice) -> int:
    return JOIN if dice.chance(70) else CREATE


def _named(dice: Dice) -> Operation:
    return Operation.JOIN if dice.chance(70) else Operation.CREATE
