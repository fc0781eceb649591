"""Fields in words: what the protocol's page and `chat-sim dialect` say of them."""

from __future__ import annotations

import pytest

from tcrp.spec.field_words import (
    in_words,
    json_in_words,
    lines_in_code,
    number_says,
    payload_in_words,
    payload_of,
    room_in_words,
)
from tcrp.spec.fields import Group, Message, Number, message, read_item


def made(*lines: object) -> Message:
    """A message over UDP of these fields."""
    return message([item for line in lines for item in read_item(line, {})], {}, is_stream=False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hex 00 c8", "`00 c8`"),
        ("hex ff", "`ff`"),
        ("port: u2", "port(2)"),
        ("members: u2le", "members(2, little-endian)"),
        ("members: u1le", "members(1)"),
        ("len(text): digits 4 pad ' '", "len(text)(digits 4)"),
        ("len(text): u2 + 1", "len(text)(2) + 1"),
        ("len(text): u2 - 3", "len(text)(2) - 3"),
        ("state: u1 = 0 or 9", "state(1) = 0 or 9"),
        ("state: u1 = 0 or any", "state(1) = 0 or any"),
        ("name", "name"),
        ("token: hex", "token as hex"),
        ("token: raw", "token"),
        ("token: fixed 255", "token(255, padded with 00)"),
        ("room: until ':'", "room until `:`"),
        ("room: until hex 00", "room until `00`"),
        ("rooms: separated ','", "rooms separated by `,`"),
        ("spare: fixed 25", "spare(25)"),
        ("tail: rest", "tail(rest)"),
        ({"who": "{name}", "key": "{password?}"}, '`{"who": name, "key": password?}`'),
        ({"état": ["é", 1, None]}, '`{"état": ["é", 1, null]}`'),
    ],
)
def test_a_field_in_words(line: object, words: str) -> None:
    [item] = read_item(line, {})
    assert in_words(item) == words


def test_constants_and_what_stands_between_them_are_one_text() -> None:
    assert payload_in_words(made("'<{name}> {text}'")) == "`<{name}> {text}`"
    assert payload_in_words(made("len(name): u1", "name", "text")) == "len(name)(1), name, text"
    assert payload_in_words(made("hex 00", "text")) == "`00`, `{text}`"
    assert payload_in_words(made("'<'", "name: until '> '", "port: u2")) == "`<{name}> `, port(2)"
    assert payload_in_words(made("'a'", "port: u2", "'b'", "status: u1")) == "`a`, port(2), `b`, status(1)"
    assert payload_in_words(made("text", "port: u2")) == "text, port(2)"
    assert payload_in_words(made("name: fixed 3")) == "name(3, padded with 00)"
    assert payload_in_words(made("hex ff", "port: u2")) == "`ff`, port(2)"
    assert payload_in_words(made()) == "nothing"


def test_a_group_is_in_words_what_it_holds() -> None:
    assert in_words(Group("payload", tuple(read_item("name", {})))) == "name"
    assert in_words(Group("payload", ())) == "nothing"


def test_the_payload_is_what_the_frame_leaves() -> None:
    name = read_item("name", {})
    framed = made("len(name): u1", "name")
    assert payload_of(framed) == framed.items, "a message without a payload of a given length is all payload"
    payload = Group("payload", tuple(name))
    whole = message([*read_item("len(payload): u1", {}), payload], {}, is_stream=True)
    assert [in_words(item) for item in payload_of(whole)] == ["name"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("len(room): u1", "room", "text"), "echoed"),
        (("len(room): u1", "text"), "length only"),
        (("text",), "absent"),
    ],
)
def test_how_a_message_treats_the_rooms_name(lines: tuple[str, ...], said: str) -> None:
    assert room_in_words(made(*lines)) == said


def test_json_has_its_fields_bare_and_its_constants_as_they_are() -> None:
    template = {"token": "{token}", "rooms": ["{room}", 1], "ok": True, "said": "to {room}"}
    assert json_in_words(template) == '{"token": token, "rooms": [room, 1], "ok": true, "said": "to {room}"}'


def test_a_number_says_its_values_once() -> None:
    assert number_says(Number("state", 1)) == ""


def test_a_line_of_a_text_is_a_line_of_code() -> None:
    assert lines_in_code(["one\ntwo", "three"]) == "`one`<br>`two`<br>`three`"
