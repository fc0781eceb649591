"""Names and texts: which names the protocol takes (R-NAME-1), and how text is shown (R-SHOW-1)."""

from __future__ import annotations

import contextlib
import json
import unicodedata
from functools import lru_cache

from tcrp.spec.limits import NAME_BYTES_MAX

SYSTEM_NAME = "システム"
"""Some dialects sign notices with this name, so no user may have it."""

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
EXCLUDED = {
    "Cc": "control character",
    "Cf": "invisible character",  # zero-width ones make names that look alike
    "Zl": "line separator",
    "Zp": "paragraph separator",
}
"""Categories of characters that no name holds."""
WORDS_CHARACTERS_MAX = 200
"""So much is shown of what a server says in words of its own."""
_WORD_KEYS = ("message", "error", "reason", "detail", "msg", "text")
INVISIBLE = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0,
              *range(0xE0100, 0xE01F0)))
)  # fmt: skip
"""Fillers, joiners and variation selectors: letters and marks to Unicode, but nothing to see (its
Default_Ignorable_Code_Point, as far as the categories do not have it)."""
LINE_ENDS_AND_TABS = frozenset("\t\n\v\f\r\x85\u2028\u2029")


@lru_cache(256)
def room_name_fault(name: bytes) -> str | None:
    """Why `name` is no room name, as a phrase ("is empty"), or None if it is one (R-NAME-1)."""
    if not name:
        return "is empty"
    if len(name) > NAME_BYTES_MAX:
        return f"is {len(name)} bytes, at most {NAME_BYTES_MAX} fit"
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    if text.isascii() and text.isprintable():  # has nothing more to hide
        return None
    if not unicodedata.is_normalized("NFC", text):
        return "is not in Unicode normal form C"
    for character in text:
        if character in BIDI:
            return f"holds the bidi character U+{ord(character):04X}"
        if kind := "invisible character" if character in INVISIBLE else EXCLUDED.get(unicodedata.category(character)):
            return f"holds the {kind} U+{ord(character):04X}"
    return None


@lru_cache(256)  # recognising a request asks first, and then judging it
def user_name_fault(name: bytes) -> str | None:
    """Why `name` is no user name, as a phrase, or None if it is one (R-NAME-1)."""
    if fault := room_name_fault(name):
        return fault
    for character in b":[]":
        if character in name:
            return f"holds {chr(character)!r}"
    if name.decode() == SYSTEM_NAME:
        return "is the name of the system"
    return None


def shown(text: str) -> str:
    """`text` as a screen may show it: no control, escape or bidi characters, one line (R-SHOW-1)."""
    if text.isprintable():
        return text
    return "".join(
        " " if character in LINE_ENDS_AND_TABS else character
        for character in text
        if character in LINE_ENDS_AND_TABS or (unicodedata.category(character) != "Cc" and character not in BIDI)
    )


def words_of(said: str) -> str:
    """What a server says in words of its own, as a screen may show it; empty where there are none (R-SHOW-1).

    Of a JSON object the words under `message` and the like, else all of its texts.
    """
    if said[:1] in ("{", '"'):
        with contextlib.suppress(ValueError, RecursionError):
            said = _words_in_json(json.loads(said))
    words = "".join(character for character in shown(said) if character.isprintable() and character != "\ufffd").strip()
    return words if len(words) <= WORDS_CHARACTERS_MAX else words[: WORDS_CHARACTERS_MAX - 1] + "…"


def _words_in_json(value: dict[str, object] | str) -> str:
    if isinstance(value, str):
        return value
    texts = {key.lower(): text for key, text in value.items() if isinstance(text, str) and text}
    return next((texts[key] for key in _WORD_KEYS if key in texts), ", ".join(texts.values()))
