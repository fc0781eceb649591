"""What the codec asks of a dialect's messages, answered from their fields."""

from __future__ import annotations

from typing import Any

import pytest

from tcrp.engine.messages import (
    compiled_refusal,
    distinct,
    has_status_bytes,
    is_json,
    is_tight,
    json_object,
    payload_alone,
    request_keys,
    rooms_field,
    timeout,
    unwrapped,
    with_a_name,
    with_any_value,
)
from tcrp.engine.templates import Mismatch, Read, compile_message
from tcrp.spec.dialects import dialect
from tcrp.spec.fields import FieldError, Item, Json, Message, Role, message, read_item, roles_of
from tcrp.spec.limits import SECOND_US, SETTINGS
from tcrp.spec.names import Operation


def fields(*lines: object, payload: tuple[object, ...] = (), stream: bool = False, **values: list[int]) -> Message:
    """The message of these lines; a line `payload` stands for all of `payload`."""
    splice = {"payload": [item for line in payload for item in read_item(line, {})]}
    items: list[Item] = [item for line in lines for item in read_item(line, splice)]
    return message(items, values, is_stream=stream)


FRAMED = fields("operation: u1", "len(payload): u2", "payload", payload=("name",), stream=True)


def test_a_frame_without_its_payload_keeps_the_length() -> None:
    assert roles_of(unwrapped(FRAMED)).keys() == {Role.OPERATION}
    plain = fields("name")
    assert unwrapped(plain) is plain


@pytest.mark.parametrize(
    ("lines", "gets_one"),
    [
        (["text"], True),
        (["hex 00", "text"], True),
        (["len(text): u1", "text"], False),
        (['name: until ": "', "text"], False),
    ],
)
def test_a_relay_that_names_nobody_gets_the_name_in_its_text(lines: list[str], gets_one: bool) -> None:
    form = fields(*lines)
    named = with_a_name(form)
    assert (named is not form) is gets_one
    assert not gets_one or (named.items[:-2], Role.NAME in roles_of(named)) == (form.items[:-1], True)


def test_the_keys_of_a_request_are_those_that_it_needs_and_those_that_it_may_have() -> None:
    form = fields({"n": "{name}", "p": "{password?}", "fixed": 1})
    assert request_keys(form) == ({"n", "fixed"}, {"n", "p", "fixed"})
    assert request_keys(fields("name: json")) is None
    assert request_keys(fields("name")) is None


@pytest.mark.parametrize(
    ("form", "whole", "is_object"),
    [
        (fields({"n": "{name}"}), True, True),
        (fields("name: json"), True, False),
        (fields("len(payload): u2", "payload", payload=({"n": "{name}"},)), True, True),
        (Message((Json(["{name}"]),), is_stream=False), False, False),
        (fields("hex 00", {"n": "{name}"}), False, False),
        (fields("name"), False, False),
    ],
)
def test_a_payload_is_json_if_it_is_nothing_else(form: Message, whole: bool, is_object: bool) -> None:
    assert (is_json(form), json_object(form) is not None) == (whole, is_object)


@pytest.mark.parametrize(
    ("lines", "tight"),
    [
        (["len(name): u1", "name"], False),
        (["len(name): u1 + 1", "name"], True),
        (["len(name): digits 3", "name"], True),
        (["name: fixed 20"], True),
        (["token: fixed 32"], False),
        (['name: until ":"', "text"], True),
        (["text"], False),
        (["len(head): u1", "head: '<{name}>'", "text"], True),
        (["len(head): u1", "head: '{name}>'", "text"], True),
        (["len(head): u1", "head: '{name}'", "text"], False),
        (["hex 00"], False),
        ([{"n": "{name}"}], False),
    ],
)
def test_a_field_is_tight_if_a_name_of_255_bytes_may_not_fit(lines: list[str], tight: bool) -> None:
    assert any(map(is_tight, fields(*lines).items)) is tight


def test_a_status_is_a_number_of_that_name_in_whatever_place() -> None:
    assert has_status_bytes(fields("status: u1"))
    assert has_status_bytes(fields("len(payload): u2", "payload", payload=("status: u1",)))
    assert not has_status_bytes(fields("port: u2"))
    assert not has_status_bytes(fields({"status": "{status}"}))


def test_a_list_of_values_may_become_any() -> None:
    [number] = fields("state: u1 = 1 or 2").items
    assert getattr(with_any_value(number), "takes_any", False)
    [port] = fields("port: u2").items
    assert with_any_value(port) is port


@pytest.mark.parametrize(
    ("form", "data", "is_read"),
    [
        (fields("status: u1", {"m": "{sentence}"}), b'\x07{"m": "other words"}', True),
        (fields("status: u1", {"s": 1, "m": "no"}), b'\x07{"s": 2}', True),
        (fields("hex 07", {"m": "no"}), b'\x07{"m": "other words"}', True),
        (fields("hex 07", {"s": 1, "m": "no"}), b'\x07{"s": 2, "m": "no"}', False),
    ],
)
def test_a_refusal_without_word_or_status_is_known_by_its_numbers(form: Message, data: bytes, is_read: bool) -> None:
    assert isinstance(compiled_refusal(form).read(data), Read) is is_read


FRAME = ("operation: u1", "len(room): u1", "len(payload): u2", "room", "payload")


@pytest.mark.parametrize(
    ("lines", "payload", "is_alone"),
    [
        (FRAME, ("name",), True),
        (FRAME, ("hex 07", "port: u2", 'name: until ":"', "password"), True),
        (FRAME, ({"n": "{name}"},), True),
        (FRAME, ("len(name): u1", "name", "password"), False),
        (FRAME, ("len(head): u1", "head: '<{name}>'", "password"), False),
        (("len(payload): u2", "payload"), ("operation: u1", "room"), False),
        (("len(payload): u2", "payload"), ('room: until ":"', "name"), False),
        ((*FRAME, "hex 07"), ("name",), False),
        (("operation: u1", "name"), (), False),
    ],
)
def test_a_payload_is_read_alone_where_neither_lengths_nor_the_frames_own_fields_stand_in_it(
    lines: tuple[str, ...], payload: tuple[object, ...], is_alone: bool
) -> None:
    form = fields(*lines, payload=payload, stream=True)
    assert (payload_alone({Operation.CREATE: form, Operation.JOIN: form}, frozenset()) is not None) is is_alone
    other = fields(*FRAME, payload=("name",), stream=True)
    assert payload_alone({Operation.CREATE: form, Operation.JOIN: other}, frozenset()) is None


def test_a_payload_that_is_read_alone_says_what_it_says_in_its_frame() -> None:
    form = fields(*FRAME, payload=("port: u2", "name"), stream=True)
    alone = payload_alone({Operation.CREATE: form, Operation.JOIN: form}, frozenset())
    whole = compile_message(form)
    assert alone is not None
    in_frame, by_itself = whole.read(b"\1\5\0\5lobby\x13\x88bob"), alone.read(b"\x13\x88bob")
    assert isinstance(in_frame, Read)
    assert isinstance(by_itself, Read)
    assert by_itself.values == {role: in_frame.values[role] for role in (Role.PORT, Role.NAME)}
    short_in_frame, short = whole.read(b"\1\5\0\1lobby\x13"), alone.read(b"\x13")
    assert isinstance(short, Mismatch)
    assert isinstance(short_in_frame, Mismatch)
    assert short.label == short_in_frame.label


def test_a_payload_that_is_read_alone_is_too_long_where_bytes_are_left() -> None:
    form = fields(*FRAME, payload=('name: until ":"', "port: u2"), stream=True)
    alone = payload_alone({Operation.CREATE: form, Operation.JOIN: form}, frozenset())
    assert alone is not None
    assert isinstance(alone.read(b"bob:\x13\x88"), Read)
    assert isinstance(alone.read(b"bob:\x13\x88!"), Mismatch)


def test_the_field_of_rooms_is_found_in_a_payload_and_beside_one() -> None:
    listing = dialect("name-port-list").list_reply
    assert listing is not None
    assert rooms_field(listing).separator == b","
    with pytest.raises(StopIteration):
        rooms_field(fields("name"))


def test_messages_are_told_apart_by_their_fields() -> None:
    one, same, other = fields("name"), fields("name"), fields("text")
    assert distinct([one, same, other, one]) == [one, other]


LEAST, MOST = SETTINGS["idle_timeout"].least, SETTINGS["idle_timeout"].most


@pytest.mark.parametrize(
    ("seconds", "us"),
    [
        (60, 60 * SECOND_US),
        (2.5, 2_500_000),
        (LEAST / SECOND_US, LEAST),
        (LEAST / SECOND_US - 0.000001, None),
        (MOST // SECOND_US, MOST // SECOND_US * SECOND_US),
        (MOST // SECOND_US + 1, None),
        (True, None),
        ("60", None),
        (None, None),
        (-1, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_a_timeout_that_makes_no_sense_is_none(seconds: Any, us: int | None) -> None:
    assert timeout(seconds) == us


def test_the_lines_of_these_tests_are_read_strictly() -> None:
    with pytest.raises(FieldError):
        fields("nmae")
