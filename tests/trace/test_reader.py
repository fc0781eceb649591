"""A trace is read back as it was written; a mistake is named with its line and column."""

from __future__ import annotations

import gc
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario
from tcrp.spec.names import (
    Deadline,
    HandshakeState,
    Machine,
    Notice,
    PacketKind,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.trace.header import Header, Mode
from tcrp.trace.lines import LINE_BYTES_MAX
from tcrp.trace.reader import TraceError, keys_of, read_trace
from tcrp.trace.records import (
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
)
from trace_samples import RECORDS, numbered, step

STORY = Path(__file__).parents[2] / "sim" / "scenarios" / "the-story.yaml"
HEADER = Header(Mode.SIMULATED, seed=1)


def written(records: list[Record]) -> str:
    return "".join(f"{line}\n" for line in (HEADER.line(), *(record.line() for record in records)))


def read(text: str) -> list[Record]:
    header, records = read_trace(io.StringIO(text, newline="\n"), name="t.jsonl")
    assert header == HEADER
    return list(records)


def test_every_kind_is_read_back_as_an_equal_record_of_its_class() -> None:
    assert {record.kind for record in RECORDS} == set(Kind)
    records = numbered(RECORDS)
    again = read(written(records))
    assert again == records
    assert [type(record) for record in again] == [type(record) for record in records]


def test_words_are_enums_again() -> None:
    record = read(written(numbered(RECORDS)))[0]
    assert isinstance(record, StepRecord)
    assert record.kind is Kind.STEP
    assert record.machine is Machine.SESSION
    assert record.event is SessionEvent.GRANTED
    assert (record.from_, record.to) == (SessionState.ANONYMOUS, SessionState.TOKENED)
    assert type(record.to) is SessionState
    assert record.rule is Rule.TOK_1


def test_a_run_is_read_back_from_its_file(tmp_path: Path) -> None:
    records: list[Record] = []
    Run(read_scenario(STORY), listeners=[records.append]).go()
    path = tmp_path / "t.jsonl"
    path.write_text(written(records), encoding="utf-8", newline="\n")
    header, again = read_trace(path)
    assert header == HEADER
    assert [record.line() for record in again] == [record.line() for record in records]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_the_keys_of_a_kind_are_told_as_its_records_have_them(record: Record) -> None:
    data = json.loads(record.line())
    told = {key.name: key for key in keys_of(record.kind)}
    assert data.keys() <= told.keys()
    assert {name for name, key in told.items() if not key.may_be_missing} <= data.keys()
    assert {key.attribute for key in told.values()} == set(record.__struct_fields__)
    for name, value in data.items():
        key = told[name]
        assert getattr(record, key.attribute) == value
        assert type(value) is key.type
        assert not key.words or value in key.words


def test_the_words_of_a_key_are_told_for_all_machines_together_and_each_once() -> None:
    told = {key.name: key.words for key in keys_of(Kind.STEP)}
    assert {SessionState.IN_ROOM, RoomState.OPEN, HandshakeState.COMPLETED} <= set(told["from"])
    assert len(set(told["rule"])) == len(told["rule"])
    assert told["why"] == ()
    assert {key.name for key in keys_of(Kind.STEP) if key.may_be_missing} == {"why", "token", "listener"}


# --- any record ----------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
NUMBERS = st.integers(0, 2**63)
RULES = st.none() | st.sampled_from(Rule)


def sampled_steps() -> st.SearchStrategy[StepRecord]:
    return st.builds(
        step, st.just(Machine.SESSION), TEXTS, st.sampled_from(SessionEvent), st.sampled_from(SessionState),
        st.sampled_from(SessionState), st.sampled_from(Rule), actor=TEXTS, why=TEXTS,
        token=st.sampled_from(["", "0123abcd"]),
    )  # fmt: skip


def sampled_records() -> st.SearchStrategy[Record]:
    # Each field is given: Hypothesis would invent none for one with a default.
    head = {"actor": TEXTS, "cause": st.just(0), "n": st.just(1), "t_us": st.just(5)}
    packets = st.sampled_from([Kind.SEND, Kind.ARRIVE, Kind.DROP])
    shown = st.sampled_from([PacketKind.RELAY, *Notice])
    return st.one_of(
        sampled_steps(),
        st.builds(
            RefusalRecord, **head, event=st.sampled_from(SessionEvent), from_=st.sampled_from(SessionState), id=TEXTS,
            machine=st.just(Machine.SESSION), rule=RULES, why=TEXTS,
        ),
        st.builds(
            PacketRecord, **head, bytes=NUMBERS, kind=packets, link=TEXTS, listener=TEXTS, packet=TEXTS,
            proto=st.sampled_from(["udp", "tcp"]), rule=RULES, what=st.sampled_from(PacketKind), why=TEXTS,
        ),
        st.builds(TimerRecord, **head, rule=st.sampled_from(Rule), what=st.sampled_from(Deadline)),
        st.builds(FaultRecord, **head, what=TEXTS, why=TEXTS),
        st.builds(ShowRecord, **head, name=TEXTS, rule=RULES, text=TEXTS, what=shown),
    )  # fmt: skip


@given(st.lists(sampled_records(), max_size=5))
def test_any_records_are_read_back(records: list[Record]) -> None:
    records = numbered(records)
    assert read(written(records)) == records


# --- mistakes ------------------------------------------------------------------------------------

FIRST, SECOND = (
    '{"actor":"server","cause":0,"kind":"fault","n":1,"t_us":5,"what":"crash","why":""}',
    '{"actor":"server","cause":1,"kind":"timer","n":2,"rule":"R-IDLE-1","t_us":5,"what":"idle"}',
)
STEP = replace(
    step(Machine.SESSION, "b@r", SessionEvent.LEFT, SessionState.IN_ROOM, SessionState.EXPIRED, Rule.EXIT_1),
    n=2,
    cause=1,
).line()


def column_of(part: str, line: str) -> int:
    assert line.count(part) == 1, "the column is meant to be unambiguous"
    return line.index(part) + 1


@pytest.mark.parametrize(
    ("good", "part", "bad", "marked", "what"),
    [
        (SECOND, '"what":"idle"', '"what":"idle","where":1', '"where"', "a record of kind 'timer' has no key 'where'"),
        (STEP, '"machine"', '"key":"x","machine"', '"key"', "a record of kind 'step' has no key 'key'"),
        (SECOND, '"rule":"R-IDLE-1",', "", "{", "a record of kind 'timer' needs the key 'rule', which is missing"),
        (STEP, '"to":"expired"', '"why":""', "{", "a record of kind 'step' needs the key 'to', which is missing"),
        (SECOND, '"kind":"timer",', "", "{", "the key 'kind' is missing"),
        (STEP, '"machine":"session",', "", "{", "the key 'machine' is missing"),
        (SECOND, '"t_us":5', '"t_us":"5"', '"5"', 't_us is "5"; a whole number is expected'),
        (SECOND, '"t_us":5', '"t_us":5.0', "5.0", "t_us is 5.0; a whole number is expected"),
        (SECOND, '"t_us":5', '"t_us":NaN', "NaN", "t_us is NaN; a whole number is expected"),
        (SECOND, '"t_us":5', '"t_us":true', "true", "t_us is true; a whole number is expected"),
        (SECOND, '"actor":"server"', '"actor":7', "7", "actor is 7; a text is expected"),
        (SECOND, '"actor":"server"', '"actor":null', "null", "actor is null; a text is expected"),
        (SECOND, '"actor":"server"', '"actor":{"a":[1]}', '{"a":', 'actor is {"a": [1]}; a text is expected'),
        (SECOND, '"kind":"timer"', '"kind":[]', "[", "kind is []; a text is expected"),
        (
            SECOND, '"timer"', '"tick"', '"tick"',
            "kind is 'tick'; allowed are step, refuse, send, arrive, drop, timer, fault, show",
        ),
        (
            STEP, '"session"', '"user"', '"user"',
            "machine is 'user'; allowed are session, room, handshake, lease, ownership",
        ),
        (
            STEP, '"in-room"', '"open"', '"open"',
            "from is 'open'; allowed are anonymous, tokened, in-room, expired",
        ),
        (SECOND, '"R-IDLE-1"', '"R-IDLE-9"', '"R-IDLE-9"', "rule is 'R-IDLE-9'; this version does not know it"),
        (SECOND, '"n":2', '"n":3', "3", "n is 3; 2 is expected (records are numbered 1, 2, 3 and so on)"),
        (SECOND, '"cause":1', '"cause":2', '2,"kind', "cause is 2; it must be less than n, which is 2"),
        (SECOND, '"cause":1', '"cause":-1', "-1,", "cause is -1; it cannot be negative"),
        (SECOND, '"t_us":5', '"t_us":4', "4", "t_us is 4, less than 5 in the previous record: time goes back"),
        (SECOND, '"n":2', '"n":2,"n":2', None, "the key 'n' is repeated"),
        (SECOND, '"server"', '"\\ud800"', '"\\ud800"', "actor holds half of a surrogate pair"),
        (SECOND, '"rule":', '"rule"', '"R-IDLE-1"', "not JSON: Expecting ':' delimiter"),
        (SECOND, SECOND, "[1]", "[", "a JSON object is expected"),
        (SECOND, SECOND, "", None, "not JSON: Expecting value"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_column(
    good: str, part: str, bad: str, marked: str | None, what: str
) -> None:
    assert len(read(f"{HEADER.line()}\n{FIRST}\n{good}\n")) == 2
    assert good.count(part) == 1
    line = good.replace(part, bad)
    column = line.rindex('"n"') + 1 if '"n":2,"n"' in bad else 1 if marked is None else column_of(marked, line)
    with pytest.raises(TraceError) as raised:
        read(f"{HEADER.line()}\n{FIRST}\n{line}\n")
    assert str(raised.value) == f"t.jsonl:3:{column}: {what}"


def test_what_is_nested_too_deeply_or_too_long_is_a_mistake_too() -> None:
    for line in ("[" * 100_000, f'{{"n":{"1" * 10_000}}}'):
        with pytest.raises(TraceError, match="not JSON"):
            read(f"{HEADER.line()}\n{line}\n")
    with pytest.raises(TraceError, match=r"^t\.jsonl:2:1: longer than 16777216 characters$"):
        read(f"{HEADER.line()}\n{' ' * LINE_BYTES_MAX}\n")


def test_a_line_of_just_the_longest_length_is_read(tmp_path: Path) -> None:
    longest = f"{FIRST:>{LINE_BYTES_MAX - 1}}\n"
    assert len(read(f"{HEADER.line()}\n{longest}")) == 1
    path = tmp_path / "t.jsonl"
    path.write_text(f"{HEADER.line()}\n{longest}", encoding="utf-8", newline="\n")
    assert len(list(read_trace(path)[1])) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1:1: no complete line; a trace begins with a header line"),
        (b'{"schema":"tcrp-tr', "1:19: the last line is cut off: it does not end with a newline"),
        (b'{"schema":"tcrp-trace/2"}\n', "1:11: schema is 'tcrp-trace/2'; this version reads 'tcrp-trace/1'"),
        (b"claim: it holds\n", "1:1: not JSON: Expecting value"),
        (f"{HEADER.line()}\n{FIRST}\n{SECOND}".encode(), f"3:{len(SECOND) + 1}: the last line is cut off: "),
        (f"{HEADER.line()}\n{FIRST}\n{SECOND[:9]}日".encode()[:-1], "3:10: the last line is cut off: "),
        (f"{HEADER.line()}\n{FIRST}\n".encode() + b'{"actor":"\xe6\x97\xa5\xff"}\n', "3:12: not UTF-8"),
        (b" " * (LINE_BYTES_MAX + 1), f"1:1: longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_is_no_trace_is_said_with_its_name_and_place(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    with pytest.raises(TraceError) as raised:
        list(read_trace(path)[1])
    assert str(raised.value).startswith(f"{path}:{said}")
    assert "\n" not in str(raised.value)


def test_a_text_stream_that_is_not_utf_8_is_a_mistake_too() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8")
    with pytest.raises(TraceError, match=r"^t\.jsonl:1:1: not UTF-8 in this line or one of the next$"):
        read_trace(stream, name="t.jsonl")


# --- traces that are still written, and long ones ------------------------------------------------


@pytest.mark.parametrize("cut", [1, len(SECOND), len(SECOND) + 1])
def test_of_a_trace_that_is_still_written_whole_lines_are_read(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f"{HEADER.line()}\n{FIRST}\n{SECOND}\n"[:-cut], encoding="utf-8", newline="\n")
    _, records = read_trace(path, still_written=True)
    assert [record.n for record in records] == [1]


def test_a_trace_without_a_whole_header_cannot_be_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(HEADER.line(), encoding="utf-8")
    with pytest.raises(TraceError, match="no complete line"):
        read_trace(path, still_written=True)


def test_a_trace_is_read_no_further_than_asked() -> None:
    _, records = read_trace(iter([f"{HEADER.line()}\n", f"{FIRST}\n", "rubbish\n"]))
    assert next(records).n == 1
    with pytest.raises(TraceError, match=r"^trace:3:1: not JSON"):
        next(records)


@pytest.mark.parametrize("stop", [lambda _: None, next], ids=["before the first record", "after the first record"])
def test_a_file_is_closed_when_nobody_reads_on(
    tmp_path: Path, stop: Callable[[Iterator[Record]], object]
) -> None:  # an unclosed file is a warning, and a warning is an error here
    path = tmp_path / "t.jsonl"
    path.write_text(f"{HEADER.line()}\n{FIRST}\n{SECOND}\n", encoding="utf-8", newline="\n")
    _, records = read_trace(path)
    stop(records)
    del records
    gc.collect()


def test_a_file_without_a_header_is_closed_while_its_mistake_is_still_told(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f"{FIRST}\n{SECOND}\n", encoding="utf-8", newline="\n")
    with pytest.raises(TraceError) as raised:
        read_trace(path)
    assert raised.value.line == 1  # and it still knows where it was raised
    files = [each for each in gc.get_objects() if isinstance(each, io.BufferedReader)]
    assert not [each for each in files if each.name == str(path) and not each.closed]


def test_memory_does_not_grow_with_the_trace() -> None:
    lines = 12_000

    def generated() -> Iterator[str]:
        yield f"{HEADER.line()}\n"
        for n in range(1, lines + 1):
            yield f'{{"actor":"server","cause":{n - 1},"kind":"fault","n":{n},"t_us":{n},"what":"crash","why":""}}\n'

    _, records = read_trace(generated())
    tracemalloc.start()
    try:
        assert sum(1 for _ in records) == lines
        assert tracemalloc.get_traced_memory()[1] < 200_000  # bytes; the lines together are a million
    finally:
        tracemalloc.stop()
