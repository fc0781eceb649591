"""The files of the eight dialects are complete, and an error in such a file names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import tcrp.spec.dialects as dialects
from tcrp.spec.dialects import NAMES, DialectError, dialect, parse
from tcrp.spec.names import Notice, Reason

FILES = Path(dialects.__file__).parent / "dialects"
ENDINGS = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN)


def text_dialect() -> str:
    return (FILES / "text.toml").read_text(encoding="utf-8")


def test_every_file_is_a_dialect_and_every_dialect_has_a_file() -> None:
    assert sorted(path.stem for path in FILES.glob("*.toml")) == sorted(NAMES)
    assert [dialect(name).name for name in NAMES] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_has_every_refusal_and_a_notice_for_every_ending(name: str) -> None:
    assert set(dialect(name).refusals) == set(Reason)
    assert all(dialect(name).notices[notice] for notice in ENDINGS)


def test_an_unknown_dialect_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        dialect("klingon")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('head = "{name}: "', "", "mine.toml: relay.head: missing"),
        ('room_closed = "Room closed"', "", "notices.room_closed is missing: every session must be told why it ended"),
        ("frames = 2", "frames = 3", "replies.frames: 3 is not between 1 and 2"),
        ("frames = 2", 'frames = "2"', "replies.frames: '2' is not a int"),
        ('form = "name"', 'form = "names"', "request.form: 'names' is none of name, name-port, json"),
        ('form = "name"', 'form = "json"', "request.json goes with request.form = 'json'"),
        ("[text]", "[words2]\nx = 1\n[text]", "mine.toml: words2: unknown key"),
        ('learned_from = "datagram"', 'learned_from = "request"', "the request carries no port"),
        ('leave = ["exit", "/exit"]', 'leave = [""]', "words.leave: a list of non-empty strings is expected"),
        ('head = "{name}: "', 'head = "{name}: "\nprefix = "0g"', "relay.prefix: hexadecimal digits are expected"),
        ("[request]", "[endings]\nmatch = 'regex'\nphrases = ['x']\n[request]", "endings.match: 'regex' is none of"),
        ("[request]", "[endings]\nmatch = 'prefix'\n[request]", "endings.phrases: missing"),
        ("[request]", "[endings]\nmatch = 'prefix'\nphrases = ['']\n[request]", "endings.phrases: a list of non-"),
        ("[request]", "[request", "mine.toml: Expected"),
    ],
)
def test_an_error_names_the_file_and_the_key(old: str, new: str, said: str) -> None:
    with pytest.raises(DialectError) as error:
        parse(text_dialect().replace(old, new), "mine.toml")
    assert said in str(error.value)
    assert str(error.value).startswith("mine.toml: ")


def test_a_ninth_dialect_needs_only_a_file() -> None:
    ninth = parse(text_dialect().replace('name = "text"', 'name = "shout"').replace("{name}: ", "{name}!! "), "shout")
    assert (ninth.name, ninth.relay.head) == ("shout", "{name}!! ")
