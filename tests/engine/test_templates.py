"""Templates: over random valid fields, what is written is read back, and no bytes and no file ever raise."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tcrp.engine.codec import codec, codec_of
from tcrp.engine.notices import NoticeReader
from tcrp.engine.self_check import Fault, faults
from tcrp.engine.templates import CannotWrite, Mismatch, Partial, Read, Strictness, Template, compile_message
from tcrp.spec.dialects import SHIPPED, DialectError, dialect, parse, path_of
from tcrp.spec.fields import NUMBERS, ROLES, FieldError, Item, message, read_item
from tcrp.spec.names import Operation

ordinary = settings(max_examples=200, deadline=None)
few = settings(max_examples=100, deadline=None)

TEXTS = ("room", "name", "token", "password", "text", "sentence")
PORTS = ("port", "members")
DELIMITERS = (":", "\n", ", ", "|")
Value = bytes | int


def template(*lines: object, stream: bool = False, **values: list[int]) -> Template:
    """The template of these lines."""
    items: list[Item] = []
    for line in lines:
        items += read_item(line, {})
    return compile_message(message(items, values, is_stream=stream))


@st.composite
def texts(draw: st.DrawFn, role: str, *, is_last: bool) -> tuple[list[object], Value]:
    """The lines of one text field, and a value that fits."""
    value = draw(st.text(max_size=20)).encode()
    form = draw(st.sampled_from(["measured", "fixed", "until", "hex", "json", *(["open"] if is_last else [])]))
    width = draw(st.sampled_from(["u1", "u2", "u2le", "u4", "u29", "digits 5", "digits 4 pad ' '"]))
    plus = draw(st.sampled_from(["", " + 1", " + 200"])) if not width.startswith("u1") else ""
    match form:
        case "measured":
            return [f"len({role}): {width}{plus}", role], value
        case "hex":
            return [f"len({role}): {width}", f"{role}: hex"], value
        case "json":
            return [f"len({role}): u2", f"{role}: json"], value
        case "fixed":
            assume(not value.endswith(b"\0"))
            return [f"{role}: fixed {max(len(value), 1) + draw(st.integers(0, 9))}"], value
        case "until":
            delimiter = draw(st.sampled_from(DELIMITERS))
            assume(delimiter.encode() not in value and not (delimiter == ", " and value.endswith(b",")))
            return [f'{role}: until "{delimiter}"'], value
    return [role], value


@st.composite
def numbers(draw: st.DrawFn, role: str) -> tuple[list[object], Value]:
    """The lines of one number with a role, and a value that fits."""
    width = draw(st.sampled_from([2, 3, 4]))
    form = draw(st.sampled_from([f"u{width}", f"u{width}le", "digits 7", "digits until ';'"]))
    return [f"{role}: {form}"], draw(st.integers(0, 65535))


@st.composite
def described(draw: st.DrawFn, *, may_be_open: bool) -> tuple[list[object], dict[str, Value]]:
    """Random valid fields, and values for them."""
    roles = draw(st.permutations([*TEXTS, *PORTS]))[: draw(st.integers(1, 6))]
    lines: list[object] = []
    values: dict[str, Value] = {}
    for index, role in enumerate(roles):
        lines += draw(st.sampled_from([[], ["hex 00ff"], ["'OK: '"], ["spare: fixed 3"], ["state: u1 = 7 or 9"]]))
        is_last = may_be_open and index == len(roles) - 1
        fields, value = draw(numbers(role) if role in PORTS else texts(role, is_last=is_last))
        lines, values[role] = lines + fields, value
    return lines, values


@ordinary
@given(described(may_be_open=True))
def test_a_datagram_is_read_as_it_was_written(case: tuple[list[object], dict[str, Value]]) -> None:
    lines, values = case
    made = template(*lines)
    try:
        data = made.write(values)
    except CannotWrite:
        assume(False)
    assert made.read(data) == Read(len(data), values)


@ordinary
@given(described(may_be_open=False), st.binary(max_size=5))
def test_a_message_in_a_stream_ends_where_it_ended(case: tuple[list[object], dict[str, Value]], more: bytes) -> None:
    lines, values = case
    made = template(*lines, stream=True)
    try:
        data = made.write(values)
    except CannotWrite:
        assume(False)
    assert made.read(data + more, is_over=False) == Read(len(data), values)
    for size in {0, len(data) // 2, len(data) - 1}:
        assert isinstance(made.read(data[:size], is_over=False), Partial)
        assert isinstance(made.read(data[:size], is_over=True), Mismatch)


@ordinary
@given(described(may_be_open=True), st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_bytes_are_read_or_partial_or_another_message(
    case: tuple[list[object], dict[str, Value]], data: bytes, stream: bool, is_over: bool
) -> None:
    read = template(*case[0], stream=stream).read(data, is_over=is_over, limit=1000)
    assert isinstance(read, Read | Partial | Mismatch)
    if isinstance(read, Read):
        assert read.size <= len(data)


@few
@given(st.recursive(
    st.sampled_from(["{name}", "{port}", "{token?}", "by {name}", "", "x", 7, True, None]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3), max_leaves=6,
), st.sampled_from(list(Strictness)), st.binary(max_size=30))  # fmt: skip
def test_json_by_any_template_is_read_as_it_was_written(each: Any, strictness: Strictness, data: bytes) -> None:
    assume(isinstance(each, dict) and str(each).count("{name}'") + str(each).count("{port}") <= 1)
    try:
        made = compile_message(message(read_item(each, {}), {}, is_stream=False), strictness)
    except FieldError:
        return
    values = {"name": "日本", "port": 5, "token": "t"}
    read = made.read(made.write(values))
    assert isinstance(read, Read)
    assert read.values == {role: values[role] for role in read.values}
    assert isinstance(made.read(data), Read | Mismatch)


def test_long_bytes_take_time_in_proportion() -> None:
    """A reader that tried again and again would take minutes here."""
    made = template("room: until ':'", "name: until ':'", {"a": ["{text}"]}, stream=True)
    began = time.process_time()
    for data in (b":" * 200_000, b"x" * 200_000, b"a:b:" + b"[" * 200_000, b'a:b:{"a": ["' + b"x" * 200_000):
        assert not isinstance(made.read(data, is_over=False), Read)
    assert time.process_time() - began < 2


# --- files --------------------------------------------------------------------------------------------


@ordinary
@given(st.text(max_size=40) | st.sampled_from(["len(", "u1", "room:", "room: fixed", "port: u0", "hex", "''"]))
def test_any_line_is_fields_or_an_error_that_says_so(line: str) -> None:
    with contextlib.suppress(FieldError):
        message(read_item(line, {}), {}, is_stream=False)


@few
@given(st.sampled_from(SHIPPED), st.data())
def test_a_file_with_any_line_changed_is_a_dialect_or_an_error(name: str, data: st.DataObject) -> None:
    lines = path_of(name).read_text(encoding="utf-8").splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.sampled_from(lines) | st.text(max_size=30))
    way = data.draw(st.sampled_from(["replace", "drop", "double"]))
    lines[at : at + 1] = {"replace": [other], "drop": [], "double": [lines[at], other]}[way]
    with contextlib.suppress(DialectError):
        speaks = codec_of(parse("\n".join(lines), "mine.toml"))
        assert all(isinstance(fault, Fault) for fault in faults(speaks))


@few
@given(st.sampled_from(SHIPPED), st.binary(max_size=80), st.integers(0, 40), st.booleans())
def test_no_bytes_raise_in_any_dialect(name: str, data: bytes, kept: int, is_over: bool) -> None:
    """Random bytes, also behind the beginning of good ones."""
    speaks = codec(name)
    request = speaks.write_request(Operation.JOIN, b"room1", "ann", "pw", "10.0.0.1", 40000)
    completion = speaks.write_completion(Operation.JOIN, b"room1", "ann", b"0" * 32)
    for good in (b"", request, completion, speaks.datagram.write(b"room1", b"0" * 32, "ann", "hi")):
        made = good[:kept] + data
        speaks.read_request(made, limit=4096, is_over=is_over)
        speaks.read_reply(made, Operation.JOIN, is_over=is_over)
        speaks.read_relay(made)
        NoticeReader(speaks, "room1").read(made)
        if (head := speaks.head(made)) is not None:
            speaks.read_text(made, head[2])


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_dialect_reads_what_it_writes(name: str) -> None:
    assert list(faults(codec(name))) == []


# --- single forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "values", "data"),
    [
        (["len(room): u2le", "room", "port: u2le"], {"room": b"den", "port": 258}, b"\x03\x00den\x02\x01"),
        (["len(text): u1 + 1", "text"], {"text": b"hi"}, b"\x03hi"),
        (["size: digits 4 = 12", "text"], {"text": b"x"}, b"12\0\0x"),
        (["token: hex", "hex 0a"], {"token": b"\xab"}, b"ab\n"),
        (["name", "port: u2"], {"name": b"ann", "port": 7}, b"ann\x00\x07"),
        (["'<{name}> {text}'"], {"name": b"a", "text": b"b> c"}, b"<a> b> c"),
        (["'{name} {port}'"], {"name": b"a", "port": 5000}, b"a 5000"),
        (["token: fixed 5 pad '.'"], {"token": b"abc"}, b"abc.."),
        (["len(room): u1", "text"], {"room": b"den", "text": b"x"}, b"\x03x"),
        (["any: until ' '", "text"], {"text": b"x"}, b" x"),
        (["len(json): u1", {"a": "{name}"}, "text"], {"name": b"n", "text": b"x"}, b'\x0a{"a": "n"}x'),
    ],
)
def test_a_form_is_these_bytes(lines: list[object], values: dict[str, Value], data: bytes) -> None:
    made = template(*lines)
    assert made.write(values) == data
    read = made.read(data)
    assert isinstance(read, Read)
    assert {role: value.encode() if isinstance(value, str) else value for role, value in read.values.items()} == {
        role: value for role, value in values.items() if role != "room" or "room" in lines
    }


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (["len(room): u1", "room"], {"room": b"x" * 256}),
        (["room: until ':'", "text"], {"room": b"a:b", "text": b""}),
        (["room: until '::'", "text"], {"room": b"a:", "text": b""}),
        (["token: fixed 3"], {"token": b"four"}),
        (["token: fixed 5"], {"token": b"ends\0"}),
        (["port: u1"], {"port": 256}),
        (["ip: ipv4"], {"ip": "::1"}),
        (["name"], {}),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(lines: list[object], values: dict[str, Any]) -> None:
    with pytest.raises(CannotWrite):
        template(*lines).write(values)


def test_every_role_has_a_form() -> None:
    for role in ROLES.values():
        line = f"{role}: u2" if role in NUMBERS else f"{role}: separated ','" if role == "rooms" else str(role)
        assert read_item(line, {})
    assert dialect("text").name == "text"
