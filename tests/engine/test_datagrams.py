"""The functions by which datagrams are read fast read what the templates of the same dialects do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from example_counts import examples
from tcrp.engine.codec import codec
from tcrp.engine.datagrams import Datagram, json_relay, relay_head, relay_reader, string
from tcrp.engine.messages import with_a_name
from tcrp.engine.templates import CannotWrite, Read, compile_message
from tcrp.spec.dialects import SHIPPED, dialect
from tcrp.spec.fields import Constant, Group, Item, Json, Message, Number, Role, Text, message, read_item

ROOM, TOKEN = b"lobby", b"t" * 32
TEXTS = ["hello", "", "a: b", "日本語", "x" * 300, '"quoted"', "{}"]
few = settings(max_examples=examples(60), deadline=None)


def fields(*lines: object) -> Message:
    items: list[Item] = []
    for line in lines:
        items += read_item(line, {})
    return message(items, {}, is_stream=False)


def damaged(data: bytes, at: int, with_what: bytes) -> bytes:
    at = at % (len(data) + 1)
    return data[:at] + with_what + data[at + len(with_what) :]


def by_template(form: Message, data: bytes) -> tuple[str | None, str] | None:
    """Name and text as the template alone reads them. An empty name names nobody: that is no relay."""
    read = compile_message(form).read(data)
    if not isinstance(read, Read):
        return None
    names = any(getattr(item, "role", None) is Role.NAME for item in form.items) or "name" in read.values
    name, text = string(read.values.get("name", "")), string(read.values.get("text"))
    return None if text is None or name is None or (names and not name) else (name, text)


# --- relays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
@few
@given(data=st.data())
def test_a_relay_is_read_as_its_template_reads_it_whatever_is_damaged(name: str, data: st.DataObject) -> None:
    form = with_a_name(dialect(name).relay)
    text, user = data.draw(st.sampled_from(TEXTS)), data.draw(st.sampled_from(["bob", "a", '"', "名"]))
    whole = compile_message(form).write({"name": user, "text": text, "room": ROOM, "token": TOKEN})
    at, what = data.draw(st.integers(0, 60)), data.draw(st.binary(max_size=3))
    for each in (whole, whole[: len(whole) - at % 9], damaged(whole, at, what), what):
        assert relay_reader(compile_message(form))(each) == by_template(form, each), each


FORMS: dict[str, tuple[list[object], str, bytes, list[bytes]]] = {
    "name until ': '": (['name: until ": "', "text"], "a", b"a: hi", [b": hi", b"a:hi", b"\xff: hi", b""]),
    "a constant before it": (
        ["hex ff00", 'name: until "|"', "text"], "a", b"\xff\x00a|hi", [b"\xff|a|hi", b"\xff\x00|hi"]
    ),
    "a length byte": (["len(name): u1", "name", "text"], "a", b"\1ahi", [b"", b"\0hi", b"\2a", b"\1\xffhi"]),
    "two length bytes": (["len(name): u2", "name", "text"], "a", b"\0\1ahi", [b"\1ahi", b"\0", b"\0\0hi"]),
    "in quotes": (
        ["len(head): u1", "head: '<{name}>'", "text"], "a", b"\3<a>hi", [b"\2<>hi", b"\3[a>hi", b"\3<a]hi", b"\1<hi"]
    ),
    "JSON": (
        [{"n": "{name}", "t": "{text}"}], "a", b'{"n": "a", "t": "hi"}', [
            b'{"n": "", "t": "hi"}', b'{"n": "a"}', b"{", b'{"n": "a", "t": "hi", "x": 1}',
        ],
    ),
    "JSON with a constant": (
        [{"n": "{name}", "t": "{text}", "s": 1}], "a", b'{"n": "a", "t": "hi", "s": 1}',
        [b'{"n": "a", "t": "hi", "s": 2}'],
    ),
    "bytes and JSON": (
        ["hex 0000", {"n": "{name}", "t": "{text}"}], "a", b'\0\0{"n": "a", "t": "hi"}', [b'\0\1{"n": "a", "t": "hi"}']
    ),
    "nobody": ([{"t": "{text}"}], "", b'{"t": "hi"}', [b'{"t": 7}', b"[]", b'{"t": "hi"}}']),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "user", "whole", "others"), FORMS.values(), ids=FORMS)
def test_each_form_of_relay_is_these_bytes_and_no_others(
    lines: list[object], user: str, whole: bytes, others: list[bytes]
) -> None:
    read = relay_reader(compile_message(fields(*lines)))
    assert read(whole) == (user, "hi")
    assert [read(each) for each in others] == [None] * len(others)


NAME, TEXT = Text(Role.NAME, until=b":"), Text(Role.TEXT)
NO_TEXT = b"\xff"


def made_by(read: Callable[[bytes], object]) -> str:
    """A name that says which function made it: in compiled code a function within one is an object of a class."""
    return str(getattr(read, "__qualname__", type(read).__name__))


@pytest.mark.parametrize(
    ("items", "reader"),
    [
        ((NAME, TEXT), "_named_reader"),
        ((Constant(b"!"), NAME, TEXT), "_named_reader"),
        ((replace(NAME, until=NO_TEXT), TEXT), "_relay_reader"),
        ((Constant(b"!"), replace(NAME, until=NO_TEXT), TEXT), "_relay_reader"),
        ((replace(NAME, until=b"", width=4), TEXT), "_relay_reader"),
        ((Constant(b"!"), replace(NAME, until=b"", width=4), TEXT), "_relay_reader"),
        (fields("len(name): u1", "name", "text").items, "_measured_reader"),
        (fields("len(head): u1", "head: '<{name}>'", "text").items, "_measured_reader"),
        (fields("len(head): u1", "head: '<{name}>'", "text").items[:1], "_relay_reader"),
        (fields({"n": "{name}", "t": "{text}"}).items, "_json_reader"),
        (fields("hex 00", {"n": "{name}", "t": "{text}"}).items, "_json_reader"),
    ],
)
def test_the_forms_that_most_dialects_use_have_readers_of_their_own(items: tuple[Item, ...], reader: str) -> None:
    form = Message(items, is_stream=False)
    assert reader in made_by(relay_reader(compile_message(form)))


@pytest.mark.parametrize(("before", "after"), [(b"<", NO_TEXT), (NO_TEXT, b">"), (NO_TEXT, NO_TEXT)])
def test_a_name_between_bytes_that_are_no_text_is_read_too(before: bytes, after: bytes) -> None:
    name = (Constant(before), replace(NAME, until=after))
    form = Message((Number("", 1, measures="head"), Group("head", name), TEXT), is_stream=False)
    assert relay_reader(compile_message(form))(b"\x03" + before + b"a" + after + b"hi") == ("a", "hi")
    quoted = fields("len(head): u1", "head: '<{name}>'", "text")
    number, group, text = quoted.items
    assert isinstance(group, Group)
    items = (Constant(before), group.items[1], Constant(after))
    form = Message((number, replace(group, items=items), text), is_stream=False)
    assert "_relay_reader" in made_by(relay_reader(compile_message(form)))


def test_an_empty_head_of_a_length_byte_in_quotes_of_one_sign_names_nobody() -> None:
    """Each of the quotes has to have a sign of its own."""
    read = relay_reader(compile_message(fields("len(head): u1", "head: '<{name}<'", "text")))
    assert read(b"\x01<hi") is None
    assert read(b"\x03<a<hi") == ("a", "hi")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_head_of_a_relay_is_what_stands_before_its_text(name: str) -> None:
    form = with_a_name(dialect(name).relay)
    values = {"name": "bob", "text": "hi", "room": ROOM, "token": TOKEN}
    whole = compile_message(form).write(values)
    head, write_json = relay_head(form), json_relay(form)
    assert head is None or head.write(values) + b"hi" == whole
    assert (head is None) is isinstance(form.items[-1], Json)
    assert (write_json is None) is not isinstance(form.items[-1], Json)
    assert write_json is None or write_json("bob", "hi") == whole


def test_a_relay_of_json_that_says_more_than_name_and_text_is_not_written_by_these_alone() -> None:
    assert json_relay(fields({"n": "{name}", "t": "{text}", "r": "{room}"})) is None
    write_json = json_relay(fields({"t": "{text}"}))
    assert write_json is not None
    assert write_json("bob", "hi") == b'{"t": "hi"}'


def test_a_relay_whose_text_is_measured_has_no_head() -> None:
    assert relay_head(fields("len(text): u2", 'name: until ":"', "text")) is None
    assert relay_head(fields('name: until ":"', "len(text): u2", "text")) is None
    assert relay_head(fields('name: until ":"', "text: hex")) is None


# --- what clients send ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
@few
@given(data=st.data())
def test_a_datagram_is_read_in_two_steps_as_its_template_reads_it_whole(name: str, data: st.DataObject) -> None:
    form, speaks = dialect(name).datagram, Datagram(dialect(name).datagram)
    text = data.draw(st.sampled_from(TEXTS))
    whole = speaks.write(ROOM, TOKEN, "bob", text)
    values = {"room": ROOM, "token": TOKEN, "name": "bob", "text": text}
    assert whole == compile_message(form).write(values)
    at, what = data.draw(st.integers(0, 60)), data.draw(st.binary(max_size=3))
    for each in (whole, whole[: len(whole) - at % 50], damaged(whole, at, what), what):
        found, read = speaks.head(each), compile_message(form).read(each)
        if found is None:
            assert not isinstance(read, Read), each
            continue
        room, token, rest = found
        said = speaks.read_text(each, rest)
        if isinstance(read, Read):
            plain = {key: value.encode() if isinstance(value, str) else value for key, value in read.values.items()}
            assert (plain.get("room"), plain["token"]) == (room, token), each
            assert said == string(read.values["text"]) or (said == "" and rest == len(each)), each
        else:
            assert said in (None, ""), each


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", None),
        (b"\x00", None),
        (b"\x00\x00", (b"", b"", 2)),
        (b"\x01\x01rt", (b"r", b"t", 4)),
        (b"\x01\x01r", None),
        (b"\x01\x01rtmore", (b"r", b"t", 4)),
        (b"\xff\xff" + b"r" * 255 + b"t" * 255, (b"r" * 255, b"t" * 255, 512)),
        (b"\xff\xff" + b"r" * 255 + b"t" * 254, None),
    ],
)
def test_the_common_head_is_read_to_the_byte(data: bytes, found: object) -> None:
    assert codec("text").head(data) == found


@pytest.mark.parametrize(("size", "fits"), [(255, True), (256, False)])
def test_room_and_token_have_at_most_255_bytes(size: int, fits: bool) -> None:
    speaks = Datagram(dialect("text").datagram)
    for room, token in ((b"r" * size, TOKEN), (ROOM, b"t" * size)):
        if fits:
            assert speaks.head(speaks.write(room, token, "bob", "hi")) == (room, token, 2 + len(room) + len(token))
        else:
            with pytest.raises(CannotWrite):
                speaks.write(room, token, "bob", "hi")


def test_a_text_alone_is_what_stands_behind_the_token() -> None:
    for name in SHIPPED:
        speaks = Datagram(dialect(name).datagram)
        whole = speaks.write(ROOM, TOKEN, "bob", "hi")
        found = speaks.head(whole)
        assert found is not None
        if found[2]:
            assert speaks.write_text("bob", "hi") == whole[found[2] :], name


def test_forms_whose_rest_needs_the_room_are_read_as_a_whole() -> None:
    measured_behind = fields("len(room): u1", "len(token): u1", "len(text): u1", "room", "token", "text")
    for form in (measured_behind, fields({"r": "{room}", "k": "{token}", "t": "{text}"})):
        speaks = Datagram(form)
        whole = speaks.write(ROOM, TOKEN, "", "hi")
        assert speaks.head(whole) == (ROOM, TOKEN, 0)
        assert speaks.read_text(whole) == "hi"


def test_the_commonest_form_is_read_by_functions_of_its_own() -> None:
    speaks = Datagram(dialect("text").datagram)
    assert (getattr(speaks.head, "__name__", ""), getattr(speaks.read_text, "__name__", "")) == (
        "_common_head", "_read_plain",
    )  # fmt: skip
    assert speaks.read_text(b"hi") == "hi"


LENGTHS = ("len(room): u1", "len(token): u1")
SPLIT: dict[str, tuple[list[object], int]] = {
    "room behind the token": ([*LENGTHS, "token", "room", "text"], 39),
    "no room": (["len(token): u1", "token", "text"], 33),
    "of fixed width": (["room: fixed 8", "token: fixed 32", "text"], 40),
    "until a byte": (["room: until ':'", "token: until ':'", "text"], 39),
    "a group behind it": ([*LENGTHS, "room", "token", "len(tail): u1", "tail: '<{name}>'", "text"], 39),
    "a group before it": (["len(tail): u1", "tail: '<{name}>'", "len(token): u1", "token", "text"], 0),
    "nothing ends the token": (["text: until ':'", "room: until ':'", "token"], 0),
    "the text's length behind it": (["token: fixed 32", "len(text): u1", "text"], 32),
    "the text's length before it": (["len(text): u1", "room: until ':'", "token: fixed 32", "text"], 0),
    "JSON": ([{"r": "{room}", "k": "{token}", "t": "{text}"}], 0),
    "JSON without a room": ([{"k": "{token}", "t": "{text}"}], 0),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "size"), SPLIT.values(), ids=SPLIT)
def test_what_says_room_and_token_is_read_alone_if_the_rest_needs_nothing_of_it(lines: list[object], size: int) -> None:
    form = fields(*lines)
    speaks = Datagram(form)
    whole = speaks.write(ROOM, TOKEN, "bob", "hi")
    assert speaks.head(whole) == (ROOM if "room" in str(lines) else None, TOKEN, size)
    assert speaks.read_text(whole, size) == "hi"


@pytest.mark.parametrize(
    ("data", "found", "text"),
    [
        (b'{"r": "lobby", "k": "t", "t": "hi"}', (b"lobby", b"t", 0), "hi"),
        (b'{"r": 7, "k": "t", "t": "hi"}', None, "hi"),
        (b'{"r": "lobby", "k": 7, "t": "hi"}', None, "hi"),
        (b'{"r": "lobby", "k": "t", "t": "hi", "x": 1}', None, None),
        (b'{"r": "lobby", "k": "t", "t": 7}', (b"lobby", b"t", 0), None),
        (b"{", None, None),
        (b"", None, ""),
    ],
)
def test_a_datagram_of_json_names_a_session_by_two_texts(data: bytes, found: object, text: str | None) -> None:
    speaks = Datagram(fields({"r": "{room}", "k": "{token}", "t": "{text}"}))
    assert (speaks.head(data), speaks.read_text(data)) == (found, text)


def test_json_with_another_constant_is_no_text() -> None:
    speaks = Datagram(fields("len(token): u1", "token", {"t": "{text}", "s": 1}))
    whole = speaks.write(b"", TOKEN, "", "hi")
    assert speaks.read_text(whole, 33) == "hi"
    assert speaks.read_text(whole.replace(b"1}", b"2}"), 33) is None


def test_nothing_stands_behind_a_text_that_is_measured() -> None:
    speaks = Datagram(fields(*LENGTHS, "room", "token", "len(text): u1", "text"))
    whole = speaks.write(ROOM, TOKEN, "", "hi")
    assert (speaks.read_text(whole, 39), speaks.read_text(whole + b"!", 39)) == ("hi", None)


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (b"a", "a"), (b"\xff", None), (7, None), (None, None), (["a"], None)]
)
def test_a_value_is_text_or_none(value: object, text: str | None) -> None:
    assert string(value) == text
