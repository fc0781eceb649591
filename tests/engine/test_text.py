"""Names that are taken, and text that is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.engine.text import BIDI, room_name_fault, shown, user_name_fault, words_of


@pytest.mark.parametrize("name", ["a", "x" * 255, "日本語", "é", "a b", "a@b", "ab", "a'b"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert room_name_fault(name.encode()) is None
    assert user_name_fault(name.encode()) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"", "is empty"),
        (b"x" * 256, "is 256 bytes, at most 255 fit"),
        (b"\xff", "is not UTF-8"),
        ("e\u0301".encode(), "is not in Unicode normal form C"),
        (b"a\nb", "holds the control character U+000A"),
        (b"\x7f", "holds the control character U+007F"),
        ("\u0085".encode(), "holds the control character U+0085"),
        ("a\u202eb".encode(), "holds the bidi character U+202E"),
        ("a\u2028b".encode(), "holds the line separator U+2028"),
        ("a\u2029b".encode(), "holds the paragraph separator U+2029"),
        ("a\u200bb".encode(), "holds the invisible character U+200B"),  # zero-width space
        ("a\u200db".encode(), "holds the invisible character U+200D"),
        ("\ufeffab".encode(), "holds the invisible character U+FEFF"),
        ("a\u00adb".encode(), "holds the invisible character U+00AD"),  # soft hyphen
        ("a\U000e0041".encode(), "holds the invisible character U+E0041"),  # tag
        ("\u3164".encode(), "holds the invisible character U+3164"),  # filler
        ("a\u034f".encode(), "holds the invisible character U+034F"),  # grapheme joiner
        ("a\ufe0f".encode(), "holds the invisible character U+FE0F"),  # variation selector
        ("a\U000e01ef".encode(), "holds the invisible character U+E01EF"),
    ],
)
def test_other_names_are_not_and_it_is_said_why(name: bytes, fault: str) -> None:
    assert room_name_fault(name) == fault
    assert user_name_fault(name) == fault


@pytest.mark.parametrize(("name", "fault"), [("a:b", "holds ':'"), ("[a", "holds '['"), ("a]", "holds ']'")])
def test_user_names_hold_nothing_that_relays_are_made_of(name: str, fault: str) -> None:
    assert user_name_fault(name.encode()) == fault
    assert room_name_fault(name.encode()) is None


NOTHING_TO_SEE = ((0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164),
                  (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF))  # fmt: skip
"""Ranges of Default_Ignorable_Code_Point whose category is that of a letter or a mark."""


@pytest.mark.parametrize(("first", "last"), NOTHING_TO_SEE)
def test_a_character_that_shows_nothing_is_in_no_name_and_those_beside_it_may_be(first: int, last: int) -> None:
    for code in (first, last):
        assert room_name_fault(f"a{chr(code)}".encode()) == f"holds the invisible character U+{code:04X}"
    for code in (first - 1, last + 1):
        assert room_name_fault(f"a{chr(code)}".encode()) is None


def test_nobody_is_the_system() -> None:
    assert user_name_fault("システム".encode()) == "is the name of the system"


@given(st.text())
def test_what_is_shown_has_no_control_or_bidi_characters_and_stays_so(text: str) -> None:
    safe = shown(text)
    assert not any(character in BIDI or ord(character) < 32 or 127 <= ord(character) < 160 for character in safe)
    assert "\u2028" not in safe
    assert shown(safe) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred", "[31mred"),
        ("a\nb\tc\r\nd", "a b c  d"),
        ("👩\u200d🚀 é", "👩\u200d🚀 é"),
        ("\u2067x\u2069", "x"),
    ],
)
def test_shown_text(text: str, safe: str) -> None:
    assert shown(text) == safe


# --- what a server says in words of its own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Room is full", "Room is full"),
        ("404", "404"),  # JSON too, but no object and no text
        ("null", "null"),
        ('["full"]', '["full"]'),
        ('"full"', "full"),
        ('"full', '"full'),
        ('{"reason": "full", "message": "no more"}', "no more"),
        ('{"Error": "full", "code": 7, "hint": "try later"}', "full"),
        ('{"message": "", "code": 7, "hint": "try later"}', "try later"),
        ('{"code": 7}', ""),
        (" a\nb\x1b[1m ", "a b[1m"),
        ("fu\u200bl\ufffdl", "full"),
        ("\ufffd\ufffd", ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
    ],
)
def test_the_words_of_a_server_are_shown_in_at_most_200_characters(said: str, words: str) -> None:
    assert words_of(said) == words
