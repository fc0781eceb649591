"""Lines of fields: each form is read as it is meant, and what is no form, or says two things, is named."""

from __future__ import annotations

import re

import pytest

from tcrp.spec.fields import (
    WIDTH_MAX,
    Constant,
    Encoding,
    FieldError,
    Filler,
    Group,
    Item,
    Json,
    Message,
    Number,
    Order,
    Role,
    Text,
    is_open,
    json_roles,
    message,
    near,
    read_item,
    roles_of,
    size_of,
    word_for,
)

NAME, ROOM = Text(Role.NAME), Text(Role.ROOM)


def read(*lines: object) -> list[Item]:
    return [item for line in lines for item in read_item(line, {})]


def laid(*lines: object, is_stream: bool = True, **values: int) -> Message:
    return message(read(*lines), {label: (value,) for label, value in values.items()}, is_stream=is_stream)


# --- one line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (" name ", NAME),
        ("name:", NAME),
        ("name : utf8", NAME),
        ("token: raw", Text(Role.TOKEN, Encoding.RAW)),
        ("token: hex fixed 64", Text(Role.TOKEN, Encoding.HEX, width=64)),
        ("name: fixed 10 pad ' '", Text(Role.NAME, width=10, pad=b" ")),
        ("name: fixed 10 pad hex ff", Text(Role.NAME, width=10, pad=b"\xff")),
        (f"name: fixed {WIDTH_MAX}", Text(Role.NAME, width=WIDTH_MAX)),
        ('name: until "; "', Text(Role.NAME, until=b"; ")),
        ("rooms: separated ','", Text(Role.ROOMS, separator=b",")),
        ("port: digits until hex 0a", Text(Role.PORT, Encoding.DIGITS, until=b"\n")),
        ("port: fixed 5", Text(Role.PORT, Encoding.DIGITS, width=5)),
        ("port: json", Text(Role.PORT, Encoding.JSON)),
        ("name: json", Text(Role.NAME, Encoding.JSON)),
        ("ip: ipv4", Text(Role.IP, Encoding.IPV4, width=4)),
        ("port: u2", Number("port", 2)),
        ("port: u2be", Number("port", 2)),
        ("port: u2le", Number("port", 2, Order.LITTLE)),
        ("port: digits 5", Number("port", 5, Order.DIGITS)),
        ("port: digits 5 pad ' '", Number("port", 5, Order.DIGITS, pad=b" ")),
        ("state: u1 = 0", Number("state", 1, values=(0,))),
        ("state: u1 = 255", Number("state", 1, values=(255,))),
        ("state: u2 = 0x100", Number("state", 2, values=(256,))),
        ("state: u1 = 1 or 2", Number("state", 1, values=(1, 2))),
        ("state: u1 = 1 or any", Number("state", 1, values=(1,), takes_any=True)),
        ("state: digits 3 = 999", Number("state", 3, Order.DIGITS, values=(999,))),
        ("len(room): u1", Number("", 1, measures="room")),
        ("len(room): u1 + 4", Number("", 1, measures="room", plus=4)),
        ("len(room): u1 - 4", Number("", 1, measures="room", plus=-4)),
        ("unused: rest", Filler("unused", 0)),
        ("unused: fixed 3", Filler("unused", 3)),
        ("unused: fixed 3 pad ' '", Filler("unused", 3, b" ")),
        ("hex 00c8", Constant(b"\x00\xc8")),
        ("'hello'", Constant(b"hello")),
        ("'{ x'", Constant(b"{ x")),
        ('"hello"', Constant(b"hello")),
        ('name: until "\n"', Text(Role.NAME, until=b"\n")),
        ("token:  hex   fixed  64", Text(Role.TOKEN, Encoding.HEX, width=64)),
        ({"user": "{name}"}, Json({"user": "{name}"})),
        ("head: '{name}: '", Group("head", (NAME, Constant(b": ")))),
    ],
)
def test_a_form_is_read_as_it_is_meant(line: object, item: Item) -> None:
    assert read(line) == [item]


def test_a_text_in_quotes_is_fields_and_what_stands_between_them() -> None:
    assert read("'{name}: {port};'") == [NAME, Constant(b": "), Text(Role.PORT, Encoding.DIGITS), Constant(b";")]


def test_a_bare_label_stands_for_the_fields_that_it_names() -> None:
    assert read_item("payload", {"payload": [NAME]}) == [Group("payload", (NAME,))]
    assert read_item("room: utf8", {"room": [NAME]}) == [ROOM]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (7, "7 is no field: a string or a table is expected"),
        ("na me", "'na me' is no field; write one as 'room', 'port: u2', 'len(room): u1' or 'hex 00c8'"),
        ("é: u1", "'é: u1' is no field; write one as"),
        ("naïve: u1", "'naïve: u1' is no field; write one as"),
        ("nmae", "'nmae' is no field; did you mean name?"),
        ("port", "port needs a form, as 'port: u2' or 'port: digits'"),
        ("len(name)", "len(name): '' is no number; write u1, u2, u2le, u4 or digits 5"),
        ("len(name): utf8", "len(name): 'utf8' is no number; write u1, u2, u2le, u4 or digits 5"),
        ("len(name): digits 3 pad 'ab'", "len: one byte is expected behind 'pad', not 2"),
        ("name = 3", "'name = 3' is no field; write one as"),
        ("name: utf8 = 3", "name: only a number is given a value by '='; write text in quotes, bytes as hex"),
        ("state: u1 =", "state: '' is no number"),
        ("state: u1 = 3x", "state: '3x' is no number"),
        ("state: u1 = any", "state: a value that is written is missing"),
        ("state: u1 = 256", "state: 256 does not fit in 1 bytes"),
        ("state: u1 = -1", "state: -1 does not fit in 1 bytes"),
        ("state: digits 3 = 1000", "state: 1000 does not fit in 3 bytes"),
        ("state: u0", f"state: a width of 0 bytes; 1 to {WIDTH_MAX} are possible"),
        (f"state: u{WIDTH_MAX + 1}", f"state: a width of {WIDTH_MAX + 1} bytes; 1 to {WIDTH_MAX} are possible"),
        ("len(name): u0", f"len: a width of 0 bytes; 1 to {WIDTH_MAX} are possible"),
        ("name: fixed", "name: a width is expected behind 'fixed', not ''"),
        ("name: fixed 3x", "name: a width is expected behind 'fixed', not '3x'"),
        ("name: fixed 0", f"name: a width of 0 bytes; 1 to {WIDTH_MAX} are possible"),
        ("unused: fixed", "unused: 'fixed' is no form; write it as 'fixed 3' or \"fixed 3 pad ' '\""),
        ("unused: fixed 0", f"unused: a width of 0 bytes; 1 to {WIDTH_MAX} are possible"),
        ("unused: fixed 3 pad 'ab'", "unused: one byte is expected behind 'pad', not 2"),
        ("pasword: utf8", "'pasword' is no field; did you mean password?"),
        ("name: fixd 3", "name: 'fixd' is no form; did you mean fixed?"),
        ("name: digits", "name: digits does not suit it"),
        ("port: utf8", "port: utf8 does not suit it"),
        ("port: ipv4", "port: ipv4 does not suit it"),
        ("name: fixed 3 until hex 00", "name: a fixed width and a delimiter exclude each other"),
        ("ip: ipv4 until ','", "ip: a fixed width and a delimiter exclude each other"),
        ("rooms", "rooms: 'rooms' and 'separated' belong together"),
        ("'{rooms}'", "rooms: 'rooms' and 'separated' belong together"),
        ("rooms: utf8", "rooms: 'rooms' and 'separated' belong together"),
        ("name: separated ','", "name: 'rooms' and 'separated' belong together"),
        ("name: until x", "name: 'x' is neither quoted text nor hex digits"),
        ("name: until ''", "name: at least one byte is expected"),
        ("name: until hex 0g", "'0g' is not made of pairs of hexadecimal digits"),
        ("hex", "hexadecimal digits are expected behind 'hex'"),
        ("hex 0", "'0' is not made of pairs of hexadecimal digits"),
        ("'a' 'b'", "'a' 'b' is not one text in quotes"),
        ("'it's'", "'it's' is not one text in quotes"),
        ("''", "a text in quotes is empty"),
        ("'{name: {text}'", "{name has no '}'"),
        ("'{nmae}'", "{nmae} is no field; did you mean name?"),
        ({"user": ["{name}", {"x": "I am {nmae?}"}]}, "{nmae} is no field; did you mean name?"),
    ],
)
def test_what_is_no_form_is_said(line: object, said: str) -> None:
    with pytest.raises(FieldError) as error:
        read(line)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "line", ["name: fixed {}", "unused: fixed {}", "state: u{}", "port: digits {}", "len(name): u1 + {}"]
)
def test_a_number_may_have_any_number_of_digits(line: str) -> None:
    """Python itself refuses to read a number of more than 4300 digits."""
    with pytest.raises(FieldError, match="a number of 5000 digits; at most 9 are possible"):
        read(line.format("9" * 5000))
    with pytest.raises(FieldError, match="a number of 10 digits; at most 9 are possible"):
        read(line.format("0" * 9 + "1"))
    assert read(line.format("000000001")) == read(line.format("1"))


def test_a_hint_is_the_nearest_word_or_all() -> None:
    assert near("nmae", ["name", "room", "names"]) == "; did you mean name?"
    assert near("zzz", ["room", "name", "room"]) == "; known are name, room"


# --- several lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["len(name): u1", "len(name): u1", "name"], "name is measured twice"),
        (["len(nmae): u1", "name"], "len(nmae): there is no 'nmae'; did you mean name?"),
        (["name", "len(name): u1"], "len(name) stands behind name; it must come first"),
        ([{"user": "{name}"}, "len(json): u1"], "len(json) stands behind json; it must come first"),
        (["head: 'x'", "len(head): u1"], "len(head) stands behind head; it must come first"),
        (["len(name): u1", "name: fixed 3"], "name is measured, and has a width or a delimiter as well"),
        (["len(name): u1", "name: until ','"], "name is measured, and has a width or a delimiter as well"),
        (["name: until ','", "name: until ';'"], "name stands there twice"),
        (["name", "room"], "two fields of open length side by side: name and room"),
        (["name", {"x": "{room}"}], "two fields of open length side by side: name and json"),
        ([{"x": "{room}"}, "unused: rest"], "two fields of open length side by side: json and unused"),
        (["name", "room: until ','"], "name is open, and room behind it has no fixed size"),
        (["state: u1"], "state has no value; write 'state: u1 = 0' or state = 0"),
        (["room: u1"], "room has no value; write 'room: u1 = 0' or room = 0"),
    ],
)
def test_what_says_nothing_or_two_things_is_named(lines: list[object], said: str) -> None:
    with pytest.raises(FieldError) as error:
        laid(*lines)
    assert str(error.value) == said


def test_a_value_of_the_table_is_given_to_the_number_that_has_none() -> None:
    made = laid("state: u1", "head: '{name}'", "kind: u1 = 7", state=3)
    assert made.items == (Number("state", 1, values=(3,)), NAME, Number("kind", 1, values=(7,)))
    with pytest.raises(FieldError, match="state: 300 does not fit in 1 bytes"):
        laid("state: u1", state=300)


def test_fields_with_a_role_need_no_value_and_are_never_missing() -> None:
    made = laid("port: u2", "status: u1", "name: fixed 3")
    assert roles_of(made) == {Role.PORT: False, Role.STATUS: False, Role.NAME: False}


def test_what_follows_an_open_text_in_a_stream_ends_it_and_in_a_datagram_is_found_from_its_end() -> None:
    ended = (Text(Role.NAME, until=b": "), Text(Role.TEXT))
    assert laid("'{name}: {text}'", is_stream=False).items == ended
    assert laid("'{name}: '").items == (Text(Role.NAME, until=b": "),)
    assert laid("'{name}: '", is_stream=False).items == (NAME, Constant(b": "))
    assert laid("hex 00", "'{name}: '", is_stream=False).items == (Constant(b"\0"), NAME, Constant(b": "))


def test_what_follows_an_open_text_of_a_measured_group_is_found_from_its_end() -> None:
    assert laid("len(head): u1", "head: '{name}: '").items[1] == Group("head", (NAME, Constant(b": ")))


def test_groups_that_nothing_measures_are_no_groups_however_deep() -> None:
    inner = Group("inner", (Number("x", 1, values=(1,)), NAME))
    assert message([Group("outer", (inner,))], {}, is_stream=True).items == inner.items
    measured = message([Number("", 1, measures="outer"), Group("outer", (inner,))], {}, is_stream=True)
    assert measured.items == (Number("", 1, measures="outer"), Group("outer", inner.items))
    inside = message([Number("", 1, measures="inner"), Group("outer", (inner,))], {}, is_stream=True)
    assert inside.items == (Number("", 1, measures="inner"), inner)


def test_a_measured_text_or_json_is_not_open() -> None:
    assert laid("len(name): u1", "name").items[1] == Text(Role.NAME, is_measured=True)
    assert laid("len(json): u1", {"x": "{name}"}).items[1] == Json({"x": "{name}"}, is_measured=True)


@pytest.mark.parametrize(
    ("lines", "head_bytes", "is_stream_open"),
    [
        (["state: u1 = 0", "port: u2", "hex 0102", "name: fixed 3", "unused: fixed 2", "room"], 10, True),
        (["len(name): u1", "state: u1 = 0", "name", "port: u2"], 2, False),
        (["len(head): u1", "head: 'x'", "state: u1 = 1"], 1, False),
        (["port: u2", "name"], 2, True),
        (["unused: rest"], 0, True),
        ([{"x": "{name}"}], 0, True),
        (["name: until ','"], 0, False),
    ],
)
def test_a_message_knows_its_head_and_whether_only_silence_ends_it(
    lines: list[object], head_bytes: int, is_stream_open: bool
) -> None:
    assert laid(*lines).head_bytes == head_bytes
    assert laid(*lines).is_open is is_stream_open
    assert laid(*lines, is_stream=False).is_open is False


@pytest.mark.parametrize(
    ("item", "size", "opened", "word"),
    [
        (Constant(b"ab"), 2, False, "hex 6162"),
        (Number("state", 3), 3, False, "state"),
        (Number("", 3, measures="room"), 3, False, "len(room)"),
        (NAME, None, True, "name"),
        (Text(Role.NAME, width=4), 4, False, "name"),
        (Text(Role.NAME, until=b","), None, False, "name"),
        (Text(Role.NAME, is_measured=True), None, False, "name"),
        (Filler("unused", 0), None, True, "unused"),
        (Filler("unused", 2), 2, False, "unused"),
        (Json({}), None, True, "json"),
        (Json({}, is_measured=True), None, False, "json"),
        (Group("head", (Constant(b"a"), Number("x", 2))), 3, False, "head"),
        (Group("head", (Constant(b"a"), NAME)), None, False, "head"),
    ],
)
def test_a_field_has_a_size_or_none_may_be_open_and_has_a_word(
    item: Item, size: int | None, opened: bool, word: str
) -> None:
    assert (size_of(item), is_open(item), word_for(item)) == (size, opened, word)


def test_roles_of_a_template_are_those_that_stand_alone() -> None:
    template = {
        "a": "{name}",
        "b": ["{token}", {"c": "{password?}"}],
        "d": "I am {room}",
        "e": 3,
        "f": "{}",
        "g": "xname}",
        "h": "{namex",
    }
    assert list(json_roles(template)) == [(Role.NAME, False), (Role.TOKEN, False), (Role.PASSWORD, True)]
    assert roles_of(laid({"a": "{name}", "b": "{password?}"})) == {Role.NAME: False, Role.PASSWORD: True}


def test_what_may_be_anything_may_stand_there_twice() -> None:
    made = laid("any: fixed 2", "any: fixed 3")
    assert [size_of(item) for item in made.items] == [2, 3]
    with pytest.raises(FieldError, match=re.escape("room stands there twice")):
        laid("room: fixed 2", "room: fixed 3")
