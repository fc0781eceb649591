"""JSON templates: filled with values, and values found by them. Strict where two readers could disagree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.engine.json_templates import (
    Compare,
    NotJson,
    Unfinished,
    compile_find,
    fill,
    fill_sentence,
    find,
    read,
    read_first,
    write,
)


def lines(value: Any) -> Any:
    """`value` through the bytes and back."""
    return read(json.dumps(value).encode())


# --- reading ---------------------------------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_what_python_writes_is_read_back(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert lines(value) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": 1, "a": 1}',
        b'[{"a": 1, "a": 2}]',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"\xff",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'{"a": ["\\ud800"]}',
        b'[[{"a": "\\udc00"}]]',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_bytes_on_which_readers_disagree_are_no_json(data: bytes) -> None:
    with pytest.raises(NotJson):
        read(data)


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert read(b'{"\\ud83d\\ude80": ["\\u00e9", 1, null]}') == {"🚀": ["é", 1, None]}


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(NotJson, match=r"^duplicate key$"):
        read(b'{"a": 1, "a": 1}')
    with pytest.raises(NotJson, match=r"^NaN is no JSON$"):
        read(b"NaN")


@pytest.mark.parametrize(
    ("data", "value", "end"),
    [
        (b'{"a": 1}', {"a": 1}, 8),
        (b'{"a": 1}\0\1', {"a": 1}, 8),
        (b'["\xe6\x97\xa5"]{', ["日"], 7),
        (b'"a"\xe6\x97', "a", 3),  # a character that is cut may still become one
    ],
)
@pytest.mark.parametrize("before", [b"", b"12"])
def test_the_first_json_of_a_stream_ends_where_it_says(data: bytes, value: Any, end: int, before: bytes) -> None:
    at = len(before)
    assert read_first(before + data, at) == (value, at + end)


@pytest.mark.parametrize("before", [b"", b"12"])
@pytest.mark.parametrize("data", [b"", b"{", b'{"a": 1', b'"a', b'{"a": "\xe6\x97'])
def test_json_that_may_go_on_is_unfinished(data: bytes, before: bytes) -> None:
    with pytest.raises(Unfinished):
        read_first(before + data, len(before))


@pytest.mark.parametrize("before", [b"", b"12"])
@pytest.mark.parametrize(
    "data", [b"1", b"12 ", b"null", b" {}", b'{"a": "\xff"}', b'"\\ud800"', b"[NaN]", b'{"a": 1, "a": 1}']
)
def test_what_no_further_bytes_can_mend_is_no_json_at_once(data: bytes, before: bytes) -> None:
    with pytest.raises(NotJson) as raised:
        read_first(before + data, len(before))
    assert not isinstance(raised.value, Unfinished)


# --- filling ---------------------------------------------------------------------------------------


def test_a_string_that_is_just_a_role_becomes_its_value_with_its_type() -> None:
    template = {"status": "{status}", "list": ["{name}", "{port}"], "fixed": 202, "inner": {"say": "to {name}: {port}"}}
    assert fill(template, {"status": 7, "name": "bob", "port": 5000}) == {
        "status": 7,
        "list": ["bob", 5000],
        "fixed": 202,
        "inner": {"say": "to bob: 5000"},
    }


def test_json_is_written_in_the_templates_order_and_in_ascii() -> None:
    assert (
        write(fill({"b": "{name}", "a": None, "c": True}, {"name": "日"})) == b'{"b": "\\u65e5", "a": null, "c": true}'
    )


@pytest.mark.parametrize(
    ("sentence", "filled"),
    [
        ("{name} left {room}", "bob left lobby"),
        ("{name}{name}", "bobbob"),
        ("{nobody} left", "{nobody} left"),
        ("{name", "{name"),
        ("name}", "name}"),
        ("{}{name}", "{}bob"),
        ("{{name}}", "{bob}"),
        ("", ""),
    ],
)
def test_a_sentence_is_filled_where_a_role_is_known(sentence: str, filled: str) -> None:
    assert fill_sentence(sentence, {"name": "bob", "room": "lobby"}) == filled
    assert fill(sentence, {"name": "bob", "room": "lobby"}) == filled


def test_a_role_without_a_value_stays_as_it_is_written() -> None:
    assert fill({"at": "{port}"}, {"name": "bob"}) == {"at": "{port}"}


def test_a_values_own_braces_stay_as_they_are() -> None:
    assert fill_sentence("{name} in {room}", {"name": "{room}", "room": "lobby"}) == "{room} in lobby"


def test_a_string_that_begins_and_ends_as_a_role_does_but_is_none_is_a_sentence() -> None:
    assert fill("{name}", {"name": 7}) == 7
    assert fill("xnamex", {"name": 7}) == "xnamex"
    assert fill("{name} {name}", {"name": 7}) == "7 7"


# --- finding ---------------------------------------------------------------------------------------

TEMPLATE = {"user": "{name}", "at": ["{ip}", "{port}"], "version": 1, "greeting": "hello {name}"}
WHOLE = {"user": "bob", "at": ["10.0.0.2", 5000], "version": 1, "greeting": "hello bob"}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in WHOLE.items() if name != key}


def test_the_values_of_all_roles_are_found() -> None:
    assert find(TEMPLATE, WHOLE) == {"name": "bob", "ip": "10.0.0.2", "port": 5000}
    assert find("{name}", ["any", "value"]) == {"name": ["any", "value"]}


def test_constants_are_not_compared_because_peers_word_their_messages_as_they_like() -> None:
    assert find(TEMPLATE, WHOLE | {"version": 2, "greeting": "hi"}) == find(TEMPLATE, WHOLE)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "bob",
        WHOLE | {"extra": 1},
        without("user"),
        without("version"),
        without("at"),
        WHOLE | {"at": ["10.0.0.2"]},
        WHOLE | {"at": ["10.0.0.2", 5000, 1]},
        WHOLE | {"at": "ab"},
        WHOLE | {"at": {"0": 1, "1": 2}},
    ],
)
def test_a_value_of_another_shape_holds_nothing(value: Any) -> None:
    assert find(TEMPLATE, value) is None


def test_a_role_may_be_missing_only_where_it_is_optional() -> None:
    optional = TEMPLATE | {"user": "{name?}"}
    assert find(optional, without("user")) == {"ip": "10.0.0.2", "port": 5000}
    assert find(optional, WHOLE | {"user": None}) == {"ip": "10.0.0.2", "port": 5000}
    assert find(optional, without("version")) is None
    assert find(TEMPLATE, without("user")) is None
    assert find(TEMPLATE | {"greeting": "hello {name?}"}, without("greeting")) is None


def test_a_role_that_is_needed_may_be_null_and_is_found_so() -> None:
    assert find(TEMPLATE, WHOLE | {"user": None}) == {"name": None, "ip": "10.0.0.2", "port": 5000}


CONSTANTS = {"code": 7, "word": "no", "blank": "", "none": None}


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("compare", "told_apart_by"),
    [(Compare.NONE, ""), (Compare.NUMBERS, "code blank"), (Compare.ALL, "code word blank none")],
)
def test_constants_are_compared_as_far_as_is_asked(compare: Compare, told_apart_by: str, loose: bool) -> None:
    matches = compile_find(CONSTANTS, loose=loose, compare=compare)
    assert matches(dict(CONSTANTS), {})
    assert [key for key in CONSTANTS if not matches(CONSTANTS | {key: "another"}, {})] == told_apart_by.split()


@pytest.mark.parametrize(
    ("compare", "needed"),
    [(Compare.NONE, ""), (Compare.NUMBERS, "code blank"), (Compare.ALL, "code word blank none")],
)
def test_a_loose_look_needs_just_the_constants_that_it_compares(compare: Compare, needed: str) -> None:
    matches = compile_find(CONSTANTS | {"list": ["{name}"]}, loose=True, compare=compare)
    assert [
        key for key in CONSTANTS if not matches({name: CONSTANTS[name] for name in CONSTANTS if name != key}, {})
    ] == needed.split()


def test_a_loose_look_takes_more_keys_and_fewer_constants_but_needs_its_roles() -> None:
    assert find(TEMPLATE, WHOLE | {"extra": 1}, loose=True) is not None
    assert find(TEMPLATE, without("version"), loose=True) is not None
    assert find(TEMPLATE, without("greeting"), loose=True) is not None
    assert find(TEMPLATE, without("at"), loose=True) is not None  # a list is no role itself
    assert find(TEMPLATE, without("user"), loose=True) is None
    assert find(TEMPLATE, [], loose=True) is None


def test_a_loose_look_goes_down_into_objects_and_lists() -> None:
    template = {"outer": {"name": "{name}", "fixed": 1}, "list": [{"port": "{port}"}]}
    value = {"outer": {"name": "bob", "more": 2}, "list": [{"port": 5, "more": 2}]}
    assert find(template, value, loose=True) == {"name": "bob", "port": 5}
    assert find(template, value) is None
    assert find(template, {"outer": {}, "list": [{}]}, loose=True) is None
    assert find(template | {"list": [{"port": "{port?}"}]}, value | {"list": [{}]}, loose=True) == {"name": "bob"}
