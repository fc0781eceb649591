"""What a server's datagram says to a member: a notice, a text ready for the screen, or nothing in the member's dialect.

A function of the bytes alone. It remembers its latest answers: in a simulated room every member is
handed the same bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from tcrp.engine.codec import Codec
from tcrp.engine.meanings import Told
from tcrp.engine.notices import NoticeReader
from tcrp.engine.text import shown

READERS_MAX: Final = 64
ANSWERS_MAX: Final = 128


class Heard(NamedTuple):
    """A text of another member, as a screen may show it (R-SHOW-1). `changed`: something had to be taken out."""

    name: str
    text: str
    changed: bool


@lru_cache(READERS_MAX)
def notice_reader(codec: Codec, room: str) -> NoticeReader:
    """What a member of that dialect takes for a notice in that room."""
    return NoticeReader(codec, room)


@lru_cache(ANSWERS_MAX)
def hear(codec: Codec, room: str, data: bytes) -> Told | Heard | None:
    """What `data` says to a member of `room` who speaks that dialect. None: it is not of the dialect."""
    told = notice_reader(codec, room).read(data)
    if told is not None:
        return told
    relay = codec.read_relay(data)
    if relay is None:
        return None
    name, text = shown(relay.name), shown(relay.text)
    return Heard(name, text, changed=(name, text) != relay)
