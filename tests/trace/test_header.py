"""A header is one line of JSON with sorted keys, and is read back as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.spec.limits import SETTINGS, Limits
from tcrp.trace.header import CastMember, Header, Mode, read_header, written_limits
from tcrp.trace.lines import Line, TraceError

FULL = Header(
    Mode.SIMULATED,
    scenario="日本.yaml",
    seed=3,
    versions={"tcrp": "1", "python": "3.11"},
    cast={"bob": CastMember("bob", "json", "10.0.0.9"), "alice": CastMember("アリス", "text")},
    limits={"idle_timeout": "300s", "rooms_max": "5"},
    dialects=("json", "text"),
)


def read(line: str) -> Header:
    return read_header(Line("t.jsonl", 1, line))


@pytest.mark.parametrize("header", [FULL, Header(Mode.LIVE), Header(Mode.SOCKETS, seed=0)])
def test_a_header_is_read_back_as_it_was(header: Header) -> None:
    assert read(header.line()) == header


def test_keys_are_sorted_and_what_is_not_known_is_left_out() -> None:
    assert Header(Mode.SOCKETS).line() == '{"mode":"sockets","schema":"tcrp-trace/1"}'
    assert FULL.line() == (
        '{"cast":{"alice":{"dialect":"text","name":"アリス"},"bob":{"address":"10.0.0.9","dialect":"json","name":"bob"}},'
        '"dialects":["json","text"],"limits":{"idle_timeout":"300s","rooms_max":"5"},"mode":"simulated",'
        '"scenario":"日本.yaml","schema":"tcrp-trace/1","seed":3,"versions":{"python":"3.11","tcrp":"1"}}'
    )


def test_limits_are_written_as_settings_are() -> None:
    written = written_limits(Limits(idle_timeout=1_500_000))
    assert list(written) == list(SETTINGS)
    assert (written["idle_timeout"], written["takeover"], written["rooms_max"]) == ("1500ms", "token", "10000")


TEXTS = st.text(max_size=20)


@given(
    st.builds(
        Header,
        mode=st.sampled_from(Mode),
        scenario=st.none() | TEXTS,
        seed=st.none() | st.integers(),
        versions=st.dictionaries(TEXTS, TEXTS, max_size=3),
        cast=st.dictionaries(TEXTS, st.builds(CastMember, TEXTS, TEXTS, st.none() | TEXTS), max_size=3),
        limits=st.dictionaries(TEXTS, TEXTS, max_size=3),
        dialects=st.lists(TEXTS, max_size=3).map(tuple),
        listeners=st.dictionaries(TEXTS, TEXTS, max_size=3),
    )
)
def test_any_header_is_one_line_and_is_read_back(header: Header) -> None:
    line = header.line()
    assert "\n" not in line
    assert read(line) == header


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("{}", 1, "not a trace: the first line has no key 'schema'; 'tcrp-trace/1' is expected there"),
        (
            '{"later": 1, "schema": "tcrp-trace/2"}',
            24,
            "schema is 'tcrp-trace/2'; this version reads 'tcrp-trace/1'",
        ),
        ('{"schema": 1}', 12, "schema is 1; a text is expected"),
        ('{"schema":"tcrp-trace/1"}', 1, "the key 'mode' is missing"),
        (
            '{"mode":"replayed","schema":"tcrp-trace/1"}',
            9,
            "mode is 'replayed'; allowed are simulated, sockets, live",
        ),
        (
            '{"mode":"live","schema":"tcrp-trace/1","weather":""}',
            40,
            "a header has no key 'weather'; allowed are schema, mode, scenario, seed, versions, cast, limits, "
            "dialects, listeners, servers",
        ),
        ('{"mode":"live","schema":"tcrp-trace/1","seed":true}', 47, "seed is true; a whole number is expected"),
        ('{"mode":"live","schema":"tcrp-trace/1","seed":null}', 47, "seed is null; a whole number is expected"),
        ('{"cast":[],"mode":"live","schema":"tcrp-trace/1"}', 9, "cast is []; an object is expected"),
        ('{"cast":{"a":3},"mode":"live","schema":"tcrp-trace/1"}', 14, "cast.a is 3; an object is expected"),
        (
            '{"cast":{"a":{"name":"a"}},"mode":"live","schema":"tcrp-trace/1"}',
            1,
            "the key 'cast.a.dialect' is missing",
        ),
        (
            '{"cast":{"a":{"name":"a","dialect":"text","age":3}},"mode":"live","schema":"tcrp-trace/1"}',
            43,
            "a member of the cast has no key 'age'; allowed are name, dialect, address",
        ),
        ('{"limits":{"linger":5},"mode":"live","schema":"tcrp-trace/1"}', 21, "limits.linger is 5; a text is expected"),
        (
            '{"dialects":["text",1],"mode":"live","schema":"tcrp-trace/1"}',
            13,
            'dialects is ["text", 1]; a list of texts is expected',
        ),
        ('{"cast":{"a":{},"a":{}},"schema":"tcrp-trace/1"}', 17, "the key 'a' is repeated"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, what: str) -> None:
    json.loads(text)
    with pytest.raises(TraceError) as raised:
        read(text)
    assert str(raised.value) == f"t.jsonl:1:{column}: {what}"
