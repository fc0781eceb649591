"""Notices: a server's sentences to members, written for each dialect and read back.

Our client matches whole sentences; clients of some dialects are ended by less. The server reads its own
relays in both ways, so that no member can say what another's client would take for a notice (R-REL-3).
"""

from __future__ import annotations

from tcrp.engine import json_templates
from tcrp.engine.codec import Codec, Told
from tcrp.spec.names import Notice, SessionEvent

ENDINGS = {
    Notice.ROOM_CLOSED: SessionEvent.ROOM_CLOSED,
    Notice.SHUTDOWN: SessionEvent.ROOM_CLOSED,
    Notice.IDLED: SessionEvent.IDLED,
    Notice.REMOVED: SessionEvent.REMOVED,
    Notice.SUPERSEDED: SessionEvent.SUPERSEDED,
    Notice.QUIT: SessionEvent.LEFT,
}
"""What a notice means for the session of its receiver. `joined` and `left` speak of others."""


def write_notice(codec: Codec, notice: Notice, *, name: str, room: str, host: str) -> bytes | None:
    """The notice as `codec` says it, or None where the dialect has no sentence for it."""
    sentence = codec.dialect.notices.get(notice)
    return _write(codec, sentence, name, room, host)


def write_farewell(codec: Codec, *, is_host: bool, name: str, room: str) -> bytes | None:
    """What a leaver is told, where the dialect has something to say."""
    sentence = codec.dialect.host_quit if is_host else codec.dialect.notices.get(Notice.QUIT)
    return _write(codec, sentence, name, room, name)


def _write(codec: Codec, sentence: str | None, name: str, room: str, host: str) -> bytes | None:
    if sentence is None:
        return None
    return codec.write_notice(json_templates.fill_sentence(sentence, {"name": name, "room": room, "host": host}))


class NoticeReader:
    """Reads the notices of one dialect in one room."""

    __slots__ = ("_codec", "_named", "_whole")

    def __init__(self, codec: Codec, room: str) -> None:
        self._codec = codec
        self._whole: dict[str, Notice] = {}
        self._named: list[tuple[str, str, Notice]] = []
        for sentence, notice in _meanings(codec).items():
            text = json_templates.fill_sentence(sentence, {"room": room, "host": "{name}"})
            before, name, after = text.partition("{name}")
            if name:
                self._named.append((before, after, notice))
            else:
                self._whole[text] = notice

    def is_forged_by(self, relay: bytes) -> bool:
        """Whether a client of the dialect, ours or another, would take the relay for a notice (R-REL-3)."""
        return self._codec.dialect.endings.end(relay) or self.read(relay) is not None

    def read(self, data: bytes) -> Told | None:
        """The notice that `data` is, whole, or None."""
        sentence = self._codec.read_sentence(data)
        if sentence is None:
            return None
        notice = self._whole.get(sentence)
        if notice is not None:
            return Told(notice, "")
        for before, after, notice in self._named:
            if sentence.startswith(before) and sentence.endswith(after) and len(sentence) > len(before) + len(after):
                return Told(notice, sentence[len(before) : len(sentence) - len(after)])
        return None


def _meanings(codec: Codec) -> dict[str, Notice]:
    """What each sentence means; one that serves several is a room's end, or else a leaving."""
    meanings: dict[str, Notice] = {}
    if codec.dialect.host_quit is not None and Notice.QUIT not in codec.dialect.notices:
        meanings[codec.dialect.host_quit] = Notice.ROOM_CLOSED
    first = [Notice.ROOM_CLOSED, Notice.LEFT]
    for notice in first + [notice for notice in Notice if notice not in first]:
        sentence = codec.dialect.notices.get(notice)
        if sentence is not None:
            meanings.setdefault(sentence, notice)
    return meanings
