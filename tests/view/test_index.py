"""A trace of which only what is looked at is read: everything that it finds is what reading all records finds."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest

import made_records as made
from tcrp.cli.sources import play_for_a_look
from tcrp.sim.scenario.reader import read_scenario
from tcrp.spec.names import Machine, Rule, SessionEvent, SessionState
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.lines import TraceError
from tcrp.trace.records import Kind, PacketRecord, Record, RefusalRecord, StepRecord
from tcrp.view import index as index_module
from tcrp.view.index import DROPS, FAULTS, REFUSALS, MachineAt, MachineId, TraceIndex, holding, steps_of
from trace_samples import ODD, RECORDS, numbered

STORY = Path(__file__).parents[2] / "sim" / "scenarios" / "the-story.yaml"
HEADER = Header(Mode.SIMULATED, cast={"bob": CastMember("Bobby", "text"), "cat": CastMember("cat", "text")})


def written(records: list[Record], header: Header = HEADER) -> bytes:
    return "".join(line + "\n" for line in (header.line(), *(each.line() for each in records))).encode()


@pytest.fixture(params=[1 << 20, 1000, 300], ids=["one-block", "blocks", "lines-as-long-as-blocks"])
def story(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[TraceIndex, list[Record]]:
    """The story's trace, in blocks of several sizes."""
    monkeypatch.setattr(index_module, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(index_module, "LOOK_BACK_BLOCKS", 1 << 20)
    return TraceIndex(written(RUN.records, RUN.header), "story.jsonl"), RUN.records


RUN = play_for_a_look(read_scenario(STORY), None)


def test_every_record_is_found_by_its_number(story: tuple[TraceIndex, list[Record]]) -> None:
    index, records = story
    assert len(index) == len(records)
    assert [index.record(n) for n in range(1, len(index) + 1)] == records
    assert not index.is_cut_off


def is_drop(record: Record) -> bool:
    return record.kind is Kind.DROP


def is_refusal(record: Record) -> bool:
    return isinstance(record, RefusalRecord) or (isinstance(record, StepRecord) and record.event == "refused")


def is_step_of_bob(record: Record) -> bool:
    return isinstance(record, StepRecord) and record.actor == "bob"


@pytest.mark.parametrize(
    ("pattern", "is_meant"), [(DROPS, is_drop), (REFUSALS, is_refusal), (steps_of("bob"), is_step_of_bob)]
)
def test_what_is_searched_for_is_found_in_both_directions(story, pattern, is_meant) -> None:  # type: ignore[no-untyped-def]
    index, records = story
    meant = [record.n for record in records if is_meant(record)]
    assert meant
    assert list(index.backwards(len(index), [pattern])) == meant[::-1]
    for n in {1, 2, meant[0], meant[0] + 1, meant[-1] - 1, meant[-1], len(index)}:
        assert index.after(n, [pattern]) == next((each for each in meant if each > n), None)
        assert index.before(n, [pattern]) == next((each for each in reversed(meant) if each < n), None)


def test_several_patterns_have_to_hold_at_once(story: tuple[TraceIndex, list[Record]]) -> None:
    index, records = story
    expected = [each.n for each in records if is_step_of_bob(each) and "spoke" in each.line()]
    found, n = [], 0
    while (after := index.after(n, [steps_of("bob"), holding("spoke")])) is not None:
        found.append(n := after)
    assert found == expected == list(index.backwards(len(index), [holding("spoke"), steps_of("bob")]))[::-1]
    assert index.after(0, []) == 1
    assert index.after(len(index), []) is None
    assert list(islice(index.backwards(3, []), 9)) == [3, 2, 1]


def test_a_time_leads_to_the_first_record_not_before_it(story: tuple[TraceIndex, list[Record]]) -> None:
    index, records = story
    for t_us in (0, 1, 14431, 14432, 2_000_000, records[-1].t_us, records[-1].t_us + 1):
        assert index.at_time(t_us) == next((each.n for each in records if each.t_us >= t_us), len(records))


def test_machines_are_in_the_states_into_which_their_steps_led(story: tuple[TraceIndex, list[Record]]) -> None:
    index, records = story
    states: dict[MachineId, MachineAt] = {}
    for record in records:
        if isinstance(record, StepRecord):
            id = MachineId(record.actor, record.machine, record.id)
            states[id] = MachineAt(*id, record.to, record.n)
        if record.n % 37 == 0 or record.n == len(records):
            latest = sorted(states.values(), key=lambda each: -each.n)
            assert index.machines_at(record.n, 1000) == latest
            assert index.machines_at(record.n, 3) == latest[:3]
            for id, state in states.items():
                assert index.state_of(id, record.n) == state
            assert index.state_of(MachineId("bob", Machine.ROOM, "lobby"), record.n) is None


def test_a_machine_that_comes_later_is_found_although_it_was_missed_before() -> None:
    index = TraceIndex(written(RUN.records, RUN.header), "story.jsonl")
    bob = MachineId("server", Machine.SESSION, "bob@lobby")
    assert index.state_of(bob, 10) is None
    assert index.state_of(bob, len(index)) is not None
    assert index.state_of(bob, 10) is None


def session(actor: str, to: SessionState, listener: str = "") -> StepRecord:
    return made.step(
        actor=actor,
        event=SessionEvent.ENTERED,
        from_=SessionState.TOKENED,
        id="Bobby@r",
        listener=listener,
        n=0,
        rule=Rule.TOK_2,
        t_us=5,
        to=to,
        token="0123abcd",
        why="why",
    )


def test_a_crash_leaves_the_machines_of_its_actor_in_no_state() -> None:
    trace = numbered([
        session("bob", SessionState.IN_ROOM),
        session("server", SessionState.IN_ROOM, listener="tcp=9002"),
        made.fault(n=0, t_us=6, what="crash", why="all state lost"),
        session("server", SessionState.TOKENED),
    ])  # fmt: skip
    index = TraceIndex(written(trace), "x")
    server = MachineId("server", Machine.SESSION, "Bobby@r")
    assert [each.actor for each in index.machines_at(2, 9)] == ["server", "bob"]
    assert [each.actor for each in index.machines_at(3, 9)] == ["bob"]
    assert index.state_of(server, 2) is not None
    assert index.state_of(server, 3) is None
    found = index.state_of(server, 4)
    assert found is not None
    assert found.state == SessionState.TOKENED


def test_odd_names_are_found_as_they_are_written() -> None:
    trace = numbered(RECORDS)
    index = TraceIndex(written(trace), "x")
    assert [index.record(n) for n in range(1, len(trace) + 1)] == trace
    assert index.after(0, [steps_of(ODD)]) == 1
    assert index.after(1, [holding("日本")]) == 4
    assert index.after(0, [holding('"kind":"drop"')]) is None  # text is looked for, not JSON
    assert index.after(0, [FAULTS]) == 10


def said(link: str) -> PacketRecord:
    """A text is sent over a link."""
    actor, _, _ = link.partition(">")
    return made.packet(actor=actor, bytes=1, link=link, n=0, packet="p", t_us=5, what="say")  # fmt: skip


def test_a_user_is_found_by_id_and_by_name_and_a_room_by_its_members() -> None:
    trace = numbered([
        said("bob>server"),
        said("server>bob"),
        session("server", SessionState.IN_ROOM),
        said("cat>server"),
        RECORDS[1],
        said("bobby>server"),
    ])  # fmt: skip
    index = TraceIndex(written(trace), "x")
    assert sorted(index.backwards(6, [index.about_user("bob")])) == [1, 2, 3]
    assert index.members_of("r") == ["bob"]
    assert sorted(index.backwards(6, [index.about_room("r")])) == [1, 2, 3]
    assert sorted(index.backwards(6, [index.about_room("lobby")])) == [5]
    assert index.matches(5, [index.room_itself("lobby")])


# --- traces that are no good -------------------------------------------------------------------------


def test_nothing_is_read_but_what_is_asked_for() -> None:
    lines = written(numbered(RECORDS)).split(b"\n")
    lines[5] = lines[5].replace(b'"kind":"refuse"', b'"kind":"rubbish"')
    index = TraceIndex(b"\n".join(lines), "x.jsonl")
    assert index.record(4).n == 4
    with pytest.raises(TraceError, match=r"x\.jsonl:6:\d+: kind is 'rubbish'"):
        index.record(5)


def test_a_trace_that_is_cut_off_is_read_up_to_there() -> None:
    data = written(numbered(RECORDS))
    index = TraceIndex(data[:-5], "x")
    assert index.is_cut_off
    assert len(index) == len(RECORDS) - 1
    assert index.record(len(index)).n == len(index)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no complete line"),
        (b"{}", "no complete line"),
        (b"{}\n", "has no key 'schema'"),
        (written([]).replace(b"tcrp-trace/1", b"tcrp-trace/9"), "this version reads 'tcrp-trace/1'"),
        (written([]) + b"\xff\n", "is no record"),
    ],
)
def test_what_is_no_trace_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TraceError, match=re.escape(message)):
        TraceIndex(data, "x")


def test_numbers_that_do_not_follow_each_other_are_an_error() -> None:
    trace = numbered(RECORDS)
    skipping = TraceIndex(written([trace[0], trace[4]]), "x")
    assert len(skipping) == 5
    with pytest.raises(TraceError):
        skipping.record(2)
    with pytest.raises(TraceError):
        skipping.record(4)


def test_a_trace_without_records_is_empty() -> None:
    index = TraceIndex(written([]), "x")
    assert len(index) == 0
    assert index.machines_at(0, 9) == []
    assert index.after(0, [DROPS]) is None
