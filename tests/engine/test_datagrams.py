"""The functions by which datagrams are read fast read what the templates of the same dialects do, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcrp.engine.codec import codec
from tcrp.engine.datagrams import Datagram, json_relay, relay_head, relay_reader, string
from tcrp.engine.messages import with_a_name
from tcrp.engine.templates import CannotWrite, Read, compile_message
from tcrp.spec.dialects import SHIPPED, dialect
from tcrp.spec.fields import Item, Message, Role, message, read_item

ROOM, TOKEN = b"lobby", b"t" * 32
TEXTS = ["hello", "", "a: b", "日本語", "x" * 300, '"quoted"', "{}"]
few = settings(max_examples=60, deadline=None)


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
    "a length byte": (["len(name): u1", "name", "text"], "a", b"\1ahi", [b"", b"\0hi", b"\5ahi", b"\1\xffhi"]),
    "two length bytes": (["len(name): u2", "name", "text"], "a", b"\0\1ahi", [b"\1ahi", b"\0"]),
    "in quotes": (
        ["len(head): u1", "head: '<{name}>'", "text"], "a", b"\3<a>hi", [b"\2<>hi", b"\3[a>hi", b"\3<a]hi", b"\1<hi"]
    ),
    "JSON": (
        [{"n": "{name}", "t": "{text}"}], "a", b'{"n": "a", "t": "hi"}', [b'{"n": "", "t": "hi"}', b'{"n": "a"}', b"{"]
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
    assert write_json is None or write_json("bob", "hi") == whole


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


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (b"a", "a"), (b"\xff", None), (7, None), (None, None), (["a"], None)]
)
def test_a_value_is_text_or_none(value: object, text: str | None) -> None:
    assert string(value) == text
