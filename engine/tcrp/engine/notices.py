"""Notices: a server's sentences to members, written for each dialect and read back.

Our client matches whole sentences; clients of some dialects are ended by less. The server reads its own
relays in both ways, so that no member can say what another's client would take for a notice (R-REL-3).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tcrp.engine import json_templates
from tcrp.engine.codec import Codec
from tcrp.engine.meanings import Told
from tcrp.spec.dialects import Telling
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


def write_notice(codec: Codec, notice: Notice, *, name: str, room: str, host: str, token: bytes = b"") -> bytes | None:
    """The notice as `codec` says it to the holder of `token`, or None where the dialect has no sentence for it."""
    return _write(codec, codec.dialect.notices.get(notice), name, room, host, token)


def write_farewell(codec: Codec, *, is_host: bool, name: str, room: str, token: bytes = b"") -> bytes | None:
    """What a leaver is told, where the dialect has something to say."""
    telling = codec.dialect.host_quit if is_host else codec.dialect.notices.get(Notice.QUIT)
    return _write(codec, telling, name, room, name, token)


def _write(codec: Codec, telling: Telling | None, name: str, room: str, host: str, token: bytes) -> bytes | None:
    if telling is None:
        return None
    sentence = json_templates.fill_sentence(telling.sentences[0], {"name": name, "room": room, "host": host, "any": ""})
    return codec.write_notice(telling, sentence, name=name, room=room.encode(), token=token)


class NoticeReader:
    """Reads the notices of one dialect in one room."""

    __slots__ = ("_endings", "_forms")

    def __init__(self, codec: Codec, room: str) -> None:
        self._endings = codec.dialect.endings
        forms: dict[int, tuple[Callable[[bytes], str | None], _Sentences]] = {}
        for telling, notice, sentence in _meanings(codec):
            key = id(telling.form)
            if key not in forms:
                forms[key] = codec.sentence_reader(telling), _Sentences()
            forms[key][1].add(sentence, notice, room)
        self._forms = tuple(forms.values())

    def is_forged_by(self, relay: bytes) -> bool:
        """Whether a client of the dialect, ours or another, would take the relay for a notice (R-REL-3)."""
        return self._endings.end(relay) or self.read(relay) is not None

    def read(self, data: bytes) -> Told | None:
        """The notice that `data` is, whole, or None."""
        for read_sentence, sentences in self._forms:
            sentence = read_sentence(data)
            if sentence is not None and (told := sentences.read(sentence)) is not None:
                return told
        return None


class _Sentences:
    """What the sentences of one form mean."""

    __slots__ = ("_free", "_named", "_whole")

    def __init__(self) -> None:
        self._whole: dict[str, Notice] = {}
        self._named: list[tuple[str, str, Notice]] = []
        self._free: list[tuple[re.Pattern[str], Notice]] = []

    def add(self, sentence: str, notice: Notice, room: str) -> None:
        """One more; the first meaning of a sentence counts."""
        text = json_templates.fill_sentence(sentence, {"room": room, "host": "{name}"})
        before, name, after = text.partition("{name}")
        if "{any}" in text or "{name}" in after:
            pattern = re.escape(text).replace(r"\{name\}", "(?P<name>.+?)", 1)
            pattern = pattern.replace(r"\{name\}", "(?P=name)").replace(r"\{any\}", ".*?")
            self._free.append((re.compile(pattern, re.DOTALL), notice))
        elif name:
            self._named.append((before, after, notice))
        else:
            self._whole.setdefault(text, notice)

    def read(self, sentence: str) -> Told | None:
        """What a sentence means."""
        notice = self._whole.get(sentence)
        if notice is not None:
            return Told(notice, "")
        for before, after, notice in self._named:
            if sentence.startswith(before) and sentence.endswith(after) and len(sentence) > len(before) + len(after):
                return Told(notice, sentence[len(before) : len(sentence) - len(after)])
        for pattern, notice in self._free:
            if (match := pattern.fullmatch(sentence)) is not None:
                return Told(notice, match.groupdict().get("name") or "")
        return None


def _meanings(codec: Codec) -> list[tuple[Telling, Notice, str]]:
    """What sentences mean; the first meaning counts: of one that serves several a room's end, or else a leaving."""
    tellings = dict(codec.dialect.notices)
    meanings = []
    if codec.dialect.host_quit is not None and Notice.QUIT not in tellings:
        meanings.append((codec.dialect.host_quit, Notice.ROOM_CLOSED))
    first = [notice for notice in (Notice.ROOM_CLOSED, Notice.LEFT) if notice in tellings]
    meanings += [(tellings[notice], notice) for notice in [*first, *(each for each in tellings if each not in first)]]
    return [(telling, notice, sentence) for telling, notice in meanings for sentence in telling.sentences]
