"""Datagrams that no honest client sends, put together by hand."""

from __future__ import annotations

from tcrp.engine.codec import Codec
from tcrp.sim.scenario.model import Datagram
from tcrp.spec.limits import NAME_BYTES_MAX


def forged_datagram(room: str, token: bytes, body: bytes) -> bytes:
    """`room_len(1) token_len(1) room token body`; of a room name that is too long, as much as the length can tell."""
    name = room.encode()[:NAME_BYTES_MAX]
    return bytes((len(name), len(token))) + name + token + body


def body_of(made: Datagram, codec: Codec, name: str) -> bytes:
    """What stands behind the token: the given bytes, or the text as `name` would say it in that dialect."""
    return made.data if made.data is not None else codec.write_text(name, made.text or "")
