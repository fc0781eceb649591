"""Templates: over random valid fields, what is written is read back, and no bytes and no file ever raise."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from example_counts import examples
from tcrp.engine.codec import codec, codec_of
from tcrp.engine.notices import NoticeReader
from tcrp.engine.self_check import Fault, faults
from tcrp.engine.templates import CannotWrite, Mismatch, Partial, Read, Strictness, Template, compile_message
from tcrp.spec.dialects import SHIPPED, DialectError, dialect, parse, path_of
from tcrp.spec.fields import NUMBERS, ROLES, FieldError, Item, message, read_item
from tcrp.spec.names import Operation

ordinary = settings(max_examples=examples(200), deadline=None)
few = settings(max_examples=examples(100), deadline=None)

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
        (["port: digits 3"], {"port": 999}, b"999"),
        (["port: digits 3"], {"port": 0}, b"0\0\0"),
        (["port: digits"], {"port": 1234567890}, b"1234567890"),
        (["token: fixed 3"], {"token": b"abc"}, b"abc"),
        (["text"], {"text": b"a\0"}, b"a\0"),
        (["state: u1 = 0 or 9"], {}, b"\0"),
        (["len(head): u1", "head: '<{name}>'"], {"name": b"a"}, b"\3<a>"),
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
        (["ip: ipv4"], {"ip": "1.2.3"}),
        (["ip: ipv4"], {"ip": "1.2.3.4.5"}),
        (["ip: ipv4"], {"ip": "1.2.3.256"}),
        (["ip: ipv4"], {"ip": "1.x.3.4"}),
        (["ip: ipv4"], {"ip": "1.2.3.²"}),
        (["port: digits 3"], {"port": -1}),
        (["port: digits 3"], {"port": 1000}),
        (["port: u1"], {}),
        (["port: u1"], {"port": "7"}),
        (["name"], {}),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(lines: list[object], values: dict[str, Any]) -> None:
    with pytest.raises(CannotWrite):
        template(*lines).write(values)


def test_a_value_that_is_none_is_written_as_nothing() -> None:
    assert template("len(name): u1", "name").write({"name": None}) == b"\0"


HEAD = ("port: u2", "len(text): u1", "text")
OPEN_JSON: tuple[object, ...] = ({"t": "{text}"}, "port: u2")
READINGS: list[tuple[tuple[object, ...], bytes, bool, object]] = [
    # A fixed head first, all of it.
    (HEAD, b"", False, (Partial, False, False)),
    (HEAD, b"\0", False, (Partial, False, False)),
    (HEAD, b"\0", True, (Mismatch, "", "too short", False, 0)),
    (HEAD, b"\0\7\2h", False, (Partial, True, False)),
    (HEAD, b"\0\7\2h", True, (Mismatch, "text", "too short", False, 0)),
    (HEAD, b"\0\7\2hi", False, {"port": 7, "text": b"hi"}),
    (("len(text): u1", "text"), b"\2h", False, (Partial, True, False)),
    (("len(text): u1 + 2", "text"), b"\1", False, (Mismatch, "len(text)", 1, False, 0)),
    # What ends with the stream may be whole before that.
    (("text",), b"", False, (Partial, False, False)),
    (("text",), b"hi", False, (Partial, False, True)),
    (("text",), b"hi", True, {"text": b"hi"}),
    (("text", "port: u2"), b"\0\7", False, (Partial, False, False)),
    (("text", "port: u2"), b"h\0\7", False, (Partial, False, True)),
    (("text", "port: u2"), b"\7", True, (Mismatch, "text", "too short", False, 0)),
    (("nothing: rest",), b"", False, (Partial, False, False)),
    (("nothing: rest",), b"", True, {}),
    (("nothing: rest",), b"hi", False, (Partial, False, True)),
    (("nothing: rest", "port: u2"), b"hi\0\7", True, {"port": 7}),
    (("nothing: rest", "port: u2"), b"\0\7", True, {"port": 7}),
    (("nothing: rest", "port: u2"), b"\7", True, (Mismatch, "nothing", "too short", False, 0)),
    (('name: until ":"', "text"), b"ann", False, (Partial, False, False)),
    # Other values than those of the form; what was asked for is told, as far as it was read.
    (("hex 0102",), b"\1\3", False, (Mismatch, "", b"\1\3", False, 0)),
    (("operation: u1", "state: u1 = 0"), b"\7\1", False, (Mismatch, "state", 1, False, 7)),
    (("state: u1 = 0",), b"\1", False, (Mismatch, "state", 1, False, 0)),
    (
        ("len(json): u1", {"o": "{operation}"}, "state: u1 = 0"), b'\x0a{"o": "x"}\1', False,
        (Mismatch, "state", 1, False, 0),
    ),
    (("port: digits 3",), b"a\0\0", False, (Mismatch, "port", b"a", False, 0)),
    (("port: digits", "hex 0a"), b"12345678901\n", False, (Mismatch, "port", b"12345678901", False, 0)),
    (("port: digits", "hex 0a"), b"12a\n", False, (Mismatch, "port", b"12a", False, 0)),
    (("token: hex", "hex 0a"), b"zz\n", False, (Mismatch, "token", b"zz", False, 0)),
    (("token: json", "hex 0a"), b"zz\n", False, (Mismatch, "token", b"zz", False, 0)),
    (("token: json", "hex 0a"), b"7\n", False, (Mismatch, "token", b"7", False, 0)),
    (("token: json", "hex 0a"), b'"t"\n', False, {"token": b"t"}),
    (("port: json", "hex 0a"), b"7\n", False, {"port": 7}),
    (("port: json", "hex 0a"), b"7.0\n", False, (Mismatch, "port", b"7.0", False, 0)),
    # JSON ends where it ends, unless a length or the end of the stream says where.
    (({"t": "{text}"},), b'{"t": "x"}more', False, {"text": "x"}),
    (({"t": "{text}"},), b'{"t": "x"}more', True, (Mismatch, "json", b'{"t": "x"}more', False, 0)),
    (({"t": "{text}"},), b'{"t"', False, (Partial, False, False)),
    (("len(json): u1", {"t": "{text}"}), b'\x0b{"t": "x"}m', False, (Mismatch, "json", b'{"t": "x"}m', False, 0)),
    (("len(json): u1", {"t": "{text}"}), b'\x0a{"t"', False, (Partial, True, False)),
    (OPEN_JSON, b'{"t": "x"}\0\7', True, {"text": "x", "port": 7}),
    (OPEN_JSON, b"\0\7", True, (Mismatch, "json", b"", False, 0)),
    (OPEN_JSON, b"\7", True, (Mismatch, "json", "too short", False, 0)),
    # Within a length nothing is waited for.
    (("len(head): u1", "head: '<{name}>'"), b"\3<a>", False, {"name": b"a"}),
    (("len(head): u1", "head: '<{name}>'"), b"\1<", False, (Mismatch, "name", "too short", False, 0)),
    (("len(head): u1", "head: '<{name}>'"), b"\4<a>b", False, (Mismatch, "", b"b", False, 0)),
    (("len(head): u1", "head: '<{name}>'"), b"\3<a", False, (Partial, True, False)),
    (("len(head): u1", "head: '<{name}>'"), b"\3<a", True, (Mismatch, "head", "too short", False, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "data", "is_over", "outcome"), READINGS)
def test_bytes_of_a_stream_are_read_or_the_beginning_or_another_message(
    lines: tuple[object, ...], data: bytes, is_over: bool, outcome: object
) -> None:
    read = template(*lines, stream=True).read(data, is_over=is_over)
    assert (read.values if isinstance(read, Read) else (type(read), *read)) == outcome


def test_nothing_comes_behind_a_datagram_nor_is_more_of_it_waited_for() -> None:
    form = template("len(text): u1", "text")
    assert form.read(b"\1ab") == Mismatch("", "too long")
    assert form.read(b"\2a", is_over=False) == Mismatch("text", "too short")
    assert template("text", stream=True).read(b"hi") == Read(2, {"text": b"hi"})  # as a datagram unless said otherwise


@pytest.mark.parametrize(("limit", "fits"), [(5, True), (4, False)])
def test_lengths_may_claim_no_more_than_the_limit_with_the_head(limit: int, fits: bool) -> None:
    read = template(*HEAD, stream=True).read(b"\0\7\2hi", limit=limit)
    assert read == (Read(5, {"port": 7, "text": b"hi"}) if fits else Mismatch("len(text)", 2, is_too_long=True))


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        (("text",), b"x"),
        (({"t": "{text}"},), b'{"t": "x"}'),
        (("len(head): u1", "head: '<{text}>'"), b"\3<x>"),
    ],
)
def test_a_length_of_what_is_absent_claims_nothing(lines: tuple[object, ...], data: bytes) -> None:
    read = template("len(room): u1", *lines).read(b"\xff" + data, limit=20)
    assert isinstance(read, Read)
    assert read.values.keys() == {"text"}


PORT_ALONE = read_item("port: u2", {})


def test_a_group_of_fixed_size_has_it() -> None:
    items = [item for line in ("len(payload): u1", "payload") for item in read_item(line, {"payload": PORT_ALONE})]
    form = compile_message(message(items, {}, is_stream=True))
    assert form.read(b"\2\0\7", is_over=False) == Read(3, {"port": 7, "payload": b"\0\7"})
    assert form.read(b"\3\0\7\0", is_over=False) == Mismatch("payload", "3 bytes")
    assert form.read(b"\1\0", is_over=False) == Mismatch("payload", "1 bytes")


def test_a_group_holds_nothing_behind_its_last_field() -> None:
    form = template("len(head): u1", "len(name): u1", "head: '{name}'", stream=True)
    assert form.read(b"\1\1a") == Read(3, {"name": b"a"})
    assert form.read(b"\2\1ab") == Mismatch("head", "too long")


def test_an_address_is_four_bytes() -> None:
    form = template("ip: ipv4")
    assert form.write({"ip": "255.0.3.0"}) == b"\xff\0\3\0"
    assert form.read(b"\xff\0\3\0") == Read(4, {"ip": b"255.0.3.0"})


def test_only_known_operations_are_read_where_they_are_given() -> None:
    form = compile_message(message(read_item("operation: u1", {}), {}, is_stream=True), operations=frozenset((1, 2)))
    assert form.read(b"\2") == Read(1, {"operation": 2})
    assert form.read(b"\3") == Mismatch("operation", 3, operation=3)


def test_members_that_are_allowed_besides_are_told_apart() -> None:
    form = compile_message(message(read_item({"t": "{text}"}, {}), {}, is_stream=True), extras=frozenset(("x", "y")))
    assert form.read(b'{"t": "a", "x": 1}') == Read(18, {"text": "a", "extra": {"x": 1}})
    assert isinstance(form.read(b'{"t": "a", "z": 1}'), Mismatch)


SAID = {"s": 1, "w": "ok", "t": "a"}
ALTERED = {
    "as it is": SAID,
    "another number": {**SAID, "s": 2},
    "another word": {**SAID, "w": "no"},
    "one more": {**SAID, "x": 1},
    "only its roles": {"t": "a"},
}


@pytest.mark.parametrize(
    ("strictness", "takes"),
    [
        ("SHAPE", ["as it is", "another number", "another word"]),
        ("EXACT", ["as it is"]),
        ("NUMBERS", ["as it is", "another word", "one more"]),
        ("WORDS", ["as it is", "one more"]),
        ("LOOSE", ["as it is", "another number", "another word", "one more", "only its roles"]),
    ],
)
def test_json_is_compared_as_strictly_as_is_said(strictness: str, takes: list[str]) -> None:
    fields = message(read_item({"s": 1, "w": "ok", "t": "{text}"}, {}), {}, is_stream=False)
    form = compile_message(fields, Strictness[strictness])
    assert [name for name, each in ALTERED.items() if isinstance(form.read(json.dumps(each).encode()), Read)] == takes


@pytest.mark.parametrize(
    ("mismatch", "why"),
    [
        (Mismatch("state", 7), "state 7"),
        (Mismatch("", "too short"), "too short"),
        (Mismatch("len(room)", 9, is_too_long=True), "too long"),
    ],
)
def test_why_bytes_are_another_message_is_a_phrase(mismatch: Mismatch, why: str) -> None:
    assert (mismatch.why, mismatch.operation) == (why, 0)


def test_every_role_has_a_form() -> None:
    for role in ROLES.values():
        line = f"{role}: u2" if role in NUMBERS else f"{role}: separated ','" if role == "rooms" else str(role)
        assert read_item(line, {})
    assert dialect("text").name == "text"
