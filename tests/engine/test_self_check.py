"""What is wrong with a dialect only its whole messages show: each fault is found, at the key where it is."""

from __future__ import annotations

import pytest

from changed_dialects import changed
from tcrp.engine.codec import codec_of
from tcrp.engine.self_check import Fault, faults
from tcrp.spec.dialects import SHIPPED, dialect


def of(*changes: tuple[str, str]) -> list[Fault]:
    """The faults of the dialect `text` with lines that are others."""
    return list(faults(changed("text", *changes)))


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_dialect_has_a_fault(name: str) -> None:
    assert list(faults(codec_of(dialect(name)))) == []


NAME = ('payload = ["name"]', 'payload = ["name: fixed 3"]')
ANSWER = ('payload = ["status: u1"]\n\n[completion]', 'payload = ["hex 01"]\n\n[completion]')
"""The answer is the refusal for a room that exists."""
STATUS = ("[port]", "[status]\nroom_full = 0\nname_taken = 0\n\n[port]")
TOKEN = ('payload = ["token"]', 'payload = ["token: fixed 1"]')
TEXT = ('"token", "text"]', '"token", "text: fixed 3"]')
CLOSED = 'room_closed = "Room closed"'
LONG = 'room_closed = "{room}' + "x" * 3900 + '"'


@pytest.mark.parametrize(
    ("change", "key", "what"),
    [
        (NAME, "request", "a message cannot be written even for alice in room1"),
        (ANSWER, "refusal.room_exists", "it is read as an answer"),
        (STATUS, "refusal.room_full", "it is read as an answer"),
        (TOKEN, "completion", "a message cannot be written even for alice in room1"),
        (TEXT, "datagram", "a message cannot be written even for alice in room1"),
        ((CLOSED, 'room_closed = "alice: hello"'), "relay", "the text 'hello' reads as a notice"),
        ((CLOSED, LONG), "notices.room_closed", "it cannot be told where names have 255 bytes"),
    ],
)
def test_a_fault_is_named_with_its_key(change: tuple[str, str], key: str, what: str) -> None:
    found = of(change)
    assert [each for each in found if each.key == key and each.what.startswith(what)], found


@pytest.mark.parametrize(
    "change", [("'{name}: {text}'", "'{name}:{text}'"), ('left = "{name} left the room"', 'left = "Room closed"')]
)
def test_another_form_and_one_sentence_for_two_notices_are_no_faults(change: tuple[str, str]) -> None:
    assert of(change) == []


def test_all_faults_are_told_and_one_that_cannot_be_written_hides_no_other() -> None:
    found = sorted(each.key for each in of(NAME, STATUS))
    assert found == ["refusal.name_taken", "refusal.room_full", "request"]
