"""The files of the eight dialects are complete, and an error in such a file names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import tcrp.spec.dialects as dialects
from tcrp.spec.dialects import SHIPPED, DialectError, dialect, parse
from tcrp.spec.fields import Role, Text
from tcrp.spec.names import Notice, Reason

FILES = Path(dialects.__file__).parent / "dialects"
ENDINGS = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN)


def text_dialect() -> str:
    return (FILES / "text.toml").read_text(encoding="utf-8")


def test_every_file_is_a_dialect_and_every_dialect_has_a_file() -> None:
    assert sorted(path.stem for path in FILES.glob("*.toml")) == sorted(SHIPPED)
    assert [dialect(name).name for name in SHIPPED] == list(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_dialect_has_every_refusal_and_a_notice_for_every_ending(name: str) -> None:
    assert set(dialect(name).refusals) == set(Reason)
    assert all(dialect(name).notices[notice].sentences for notice in ENDINGS)


def test_an_unknown_dialect_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        dialect("klingon")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("""fields = ["'{name}: {text}'"]""", "", 29, "relay.fields: missing"),
        ('room_closed = "Room closed"', "", 36, "notices.room_closed: missing: every session must be told why"),
        ('learned_from = "datagram"', 'learned_from = "x"', 24, "port.learned_from: 'x' is none of request, trailer"),
        ('learned_from = "datagram"', 'learned_from = "request"', 24, "the request carries no port"),
        ('"tcrp-dialect/2"', '"tcrp-dialect/1"', 2, "format: 'tcrp-dialect/1' is not 'tcrp-dialect/2'"),
        ("state = 0", "status = 0", 7, "request: state has no value; write 'state: u1 = 0'"),
        ("state = 0", "state = 256", 7, "request: state: 256 does not fit in 1 bytes"),
        ("state = 0", "state = 0\ncolour = 1", 9, "request.colour: unknown key, and no number of this name"),
        ("state = 0", "state = 0\ncolour = true", 9, "request.colour: unknown key"),
        ('payload = ["name"]', 'payload = ["nme"]', 9, "request.payload: 'nme' is no field; did you mean name?"),
        ('payload = ["name"]', 'payload = ["port: u2"]', 7, "request: no name: a request without it cannot be served"),
        ('payload = ["name"]', 'payload = ["name", "text"]', 7, "two fields of open length side by side: name and"),
        ('payload = ["name"]', 'payload = ["name", "@tail"]', 9, "there is no part 'tail'"),
        ('payload = ["name"]', 'payload = ["name: fixed 0"]', 9, "name: a width of 0 bytes; 1 to 4096 are possible"),
        ('payload = ["name"]', 'payload = ["name: fixed 9 pad hex 0000"]', 9, "one byte is expected behind 'pad'"),
        ('payload = ["name"]', 'payload = ["name: until hex 0g"]', 9, "'0g' is not made of pairs of hexadecimal"),
        ('payload = ["name"]', 'payload = ["name", "port"]', 9, "port needs a form, as 'port: u2'"),
        ('payload = ["name"]', "payload = []", 7, "no name"),
        ('payload = ["name"]', "payload = [1]", 9, "1 is no field: a string or a table is expected"),
        ('payload = ["name"]', 'payload = { user = "{nam}" }', 9, "{nam} is no field; did you mean name?"),
        ('payload = ["token"]', 'payload = ["len(tokn): u1", "token"]', 15, "len(tokn): there is no 'tokn'; did you"),
        ('payload = ["token"]', 'payload = ["token", "len(token): u1"]', 15, "len(token) stands behind token"),
        ('payload = ["token"]', 'payload = ["text"]', 15, "text has no meaning in a completion"),
        ("[port]", "[ports]\nx = 1\n[port]", 23, "ports: unknown key; did you mean"),
        ('words = ["exit", "/exit"]', 'words = [""]', 33, "leave.words: a list of non-empty strings is expected"),
        ("[port]", "[endings]\nmatch = 'regex'\nphrases = ['x']\n[port]", 24, "endings.match: 'regex' is none of"),
        ("[port]", "[endings]\nmatch = 'prefix'\n[port]", 23, "endings.phrases: missing"),
        ("[notices]", "[notices]\nrepeat = 9", 37, "notices.repeat: 9 is not between 1 and 4"),
        ('left = "{name} left the room"', 'left = "{nam} left"', 37, "{nam} is no part of a notice; did you mean"),
        ("[answer]", "[answer]\npause = '1m'", 12, "answer.pause: 1m is longer than 2s"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_key(old: str, new: str, line: int, said: str) -> None:
    toml = text_dialect()
    assert old in toml
    with pytest.raises(DialectError) as error:
        parse(toml.replace(old, new, 1), "mine.toml")
    assert said in str(error.value)
    assert str(error.value).startswith(f"mine.toml:{line}: ")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[request", "mine.toml: Expected"),
        ("", "mine.toml: format: missing; write format = 'tcrp-dialect/2'"),
        ("a = " + "[" * 100_000 + "]" * 100_000, "mine.toml: its tables are nested too deep"),
        ("#" * 10_000_000, "mine.toml: 10000000 characters; a dialect's file has at most 262144"),
    ],
)
def test_what_is_no_dialects_file_is_said_so(toml: str, said: str) -> None:
    with pytest.raises(DialectError) as error:
        parse(toml, "mine.toml")
    assert str(error.value).startswith(said)


def test_parts_that_contain_each_other_are_an_error() -> None:
    parts = '\n[parts]\na = ["@b"]\nb = ["@a"]\n'
    with pytest.raises(DialectError, match=r"parts\.b: parts that contain each other|parts\.a: parts that contain"):
        parse(text_dialect() + parts, "mine.toml")


def test_a_part_stands_for_its_fields() -> None:
    toml = text_dialect().replace('"len(payload): u29", "room", "payload"]', '"@rest"]')
    made = parse(toml + '\n[parts]\nrest = ["len(payload): u29", "room", "payload"]\n', "mine.toml")
    assert made.request == dialect("text").request


def test_a_ninth_dialect_needs_only_a_file() -> None:
    ninth = parse(text_dialect().replace('name = "text"', 'name = "shout"').replace("{name}: ", "{name}!! "), "shout")
    assert ninth.name == "shout"
    assert ninth.relay.items[0] == Text(Role.NAME, until=b"!! ")
