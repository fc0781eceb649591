"""The model of a trace that all viewers draw: tcrp.view.picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import made_records as made
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Machine, PacketKind, Rule, SessionEvent, SessionState
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.reader import read_trace
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, StepRecord
from tcrp.view.picture import FINAL, Fate, Fault, Picture, Role, picture_of

CUT = """
claim: a text sent while bob is cut off is lost
users: {bob: {dialect: text}}
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: hello}}
  - {at: 4s, alice: leave}
"""


def played(scenario: str, *, first: int = 1, last: int | None = None) -> Picture:
    records: list[Record] = []
    read = read_scenario_text(scenario)
    Run(read, listeners=[records.append]).go()
    cast = {user.id: CastMember(user.name, user.dialect) for user in read.users}
    return picture_of(Header(Mode.SIMULATED, cast=cast), records, first=first, last=last)


def living(picture: Picture, n: int) -> dict[tuple[int, str, str], str]:
    """The states of the machines that have not ended."""
    found = {}
    for track in picture.tracks:
        state = track.state_at(n)
        if state is not None and state not in FINAL[track.machine]:
            found[track.lifeline, str(track.machine), track.id] = state
    return found


def only(faults: list[Fault], what: str) -> Fault:
    [fault] = [each for each in faults if each.what == what]
    return fault


def name(picture: Picture, lifeline: int) -> str:
    return picture.lifelines[lifeline].id


def test_the_server_stands_between_the_users() -> None:
    picture = played(CUT)
    assert [picture.lifelines[each].id for each in picture.order] == ["alice", "server", "bob"]
    assert picture.lifelines[picture.order[2]].dialect == "text"


def test_a_machines_states_follow_each_other_without_a_gap() -> None:
    picture = played(CUT)
    [session] = [t for t in picture.tracks if name(picture, t.lifeline) == "server" and t.id == "bob@lobby"]
    assert [band.state for band in session.bands] == ["tokened", "in-room", "expired"]
    for band, following in pairwise(session.bands):
        assert (band.to_n, band.to_us) == (following.from_n, following.from_us)
    assert session.bands[-1].to_n == 0
    entered = session.bands[1].from_n
    assert session.state_at(entered - 1) == "tokened"
    assert session.state_at(entered) == "in-room"
    assert session.state_at(1) is None


def test_machines_that_live_at_the_same_time_have_columns_of_their_own() -> None:
    picture = played(CUT)
    servers = [t for t in picture.tracks if name(picture, t.lifeline) == "server"]
    assert [t.column for t in servers if t.machine is Machine.SESSION] == [0, 1]
    assert [t.column for t in servers if t.machine is Machine.HANDSHAKE] == [0, 0], (
        "bob asks when alice has been answered"
    )


def test_a_packet_is_known_by_its_sending_and_its_arrival() -> None:
    picture = played(CUT)
    [say] = [packet for packet in picture.packets if packet.what == PacketKind.SAY]
    assert (name(picture, say.source), name(picture, say.target)) == ("alice", "server")
    assert (say.fate, say.end_us - say.sent_us) == (Fate.ARRIVED, 10_000)
    assert picture.packet_of[say.sent_n] == picture.packet_of[say.end_n] == say.index


def test_a_lost_packet_ends_where_the_network_drops_it() -> None:
    picture = played(CUT)
    [lost] = [packet for packet in picture.packets if packet.fate is Fate.LOST]
    assert (lost.what, lost.why, name(picture, lost.target)) == ("relay", "cut", "bob")
    drop = picture.record(lost.end_n)
    assert isinstance(drop, PacketRecord)
    assert drop.kind is Kind.DROP


def test_a_duplicate_is_a_second_packet_of_one_sending() -> None:
    picture = played(CUT.replace("delay: 10ms", "delay: 10ms, duplicate: 100%"))
    says = [packet for packet in picture.packets if packet.what == PacketKind.SAY]
    assert len(says) == 2
    assert len({packet.sent_n for packet in says}) == 1
    assert [packet.why for packet in says] == ["", "duplicate"]
    assert [picture.packet_of[packet.end_n] for packet in says] == [packet.index for packet in says]


def test_what_a_server_drops_has_arrived() -> None:
    picture = played(CUT + "  - {at: 5s, bob: {say: late}, allow_invalid: true}\n")
    rejected = [packet for packet in picture.packets if packet.fate is Fate.REJECTED]
    assert rejected, "bob's text comes after the end of the room"
    for packet in rejected:
        assert packet.sent_n < packet.end_n < packet.rejected_n
        assert packet.why
        assert picture.packet_of[packet.rejected_n] == packet.index


def test_a_cut_lasts_until_it_is_healed_and_belongs_to_its_user() -> None:
    picture = played(CUT)
    cut = only(picture.faults, "cut")
    assert (name(picture, cut.lifeline), cut.links, cut.from_us, cut.to_us) == (
        "bob",
        ("server>bob",),
        2_000_000,
        3_000_000,
    )
    healed = picture.record(cut.to_n)
    assert isinstance(healed, FaultRecord)
    assert healed.what == "heal"


@pytest.mark.parametrize(
    ("step", "what", "where", "lasts_us"),
    [
        ("server: crash", "crash", "server", 2_000_000),
        ("alice: {pause: 2s}", "pause", "alice", 2_000_000),
        ("alice: crash", "crash", "alice", None),
        ("network: {hold: {from: alice, to: server}}", "hold", "alice", None),
    ],
)
def test_each_fault_ends_with_the_record_that_ends_it(step: str, what: str, where: str, lasts_us: int | None) -> None:
    picture = played(
        CUT.replace(
            "{at: 4s, alice: leave}",
            f"{{at: 4s, {step}}}\n  - {{at: 6s, server: start}}\n  - {{at: 8s, bob: {{say: x}}}}",
        )
    )
    fault = only(picture.faults, what)
    assert name(picture, fault.lifeline) == where
    assert fault.to_us - fault.from_us == lasts_us if lasts_us is not None else fault.to_n == 0


def test_healing_some_links_leaves_the_others_cut() -> None:
    def fault(n: int, what: str, why: str, cause: int = 0) -> FaultRecord:
        return made.fault(actor="network", cause=cause, n=n, t_us=n, what=what, why=why)

    header = Header(Mode.SIMULATED, cast={id: CastMember(id, "text") for id in ("alice", "bob")})
    records = [fault(1, "cut", "all>server, server>all"), fault(2, "heal", "bob>server, server>bob")]
    picture = picture_of(header, records)
    # "all" stands for both users, whose links the cut names as it was written
    assert [(name(picture, each.lifeline), each.to_n) for each in picture.faults] == [("alice", 0), ("bob", 2)]


def test_causes_and_effects_lead_both_ways() -> None:
    picture = played(CUT)
    [lost] = [packet for packet in picture.packets if packet.fate is Fate.LOST]
    chain = picture.causes(lost.end_n)
    assert chain[-1] == lost.end_n
    for cause, n in pairwise(chain):
        assert n in picture.effects(cause)
    first = picture.record(chain[0])
    assert first is not None
    assert first.cause == 0


def test_a_range_begins_with_the_states_that_were_reached() -> None:
    whole = played(CUT)
    first = next(packet.sent_n for packet in whole.packets if packet.what == PacketKind.SAY) + 1
    part = played(CUT, first=first, last=first + 5)
    assert [record.n for record in part.records] == list(range(first, first + 6))
    assert living(part, first) == living(whole, first)
    assert only(part.faults, "cut").from_us == 2_000_000
    assert part.record(first - 1) is None
    [say] = [packet for packet in part.packets if packet.what == PacketKind.SAY]
    assert say.sent_n == 0, "it was sent before the range"
    assert name(part, say.source) == "alice"


def test_a_servers_own_trace_gives_each_member_a_lifeline() -> None:
    def step(n: int, id: str, event: SessionEvent, from_: SessionState, to: SessionState) -> StepRecord:
        return made.step(event=event, from_=from_, id=id, n=n, rule=Rule.TOK_1, t_us=n, to=to)

    picture = Picture(Header(Mode.SOCKETS))
    picture.add(step(1, "ann@lobby", SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED))
    picture.add(step(2, "ann@attic", SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED))
    picture.add(step(3, "ann@lobby", SessionEvent.LEFT, SessionState.TOKENED, SessionState.EXPIRED))
    refused = made.refusal(
        event=SessionEvent.SPOKE, from_=SessionState.EXPIRED, id="ann@lobby", n=4, rule=Rule.TOK_4, t_us=4, why="ended"
    )
    picture.add(refused)
    assert [(line.name, line.role) for line in picture.lifelines] == [
        ("server", Role.SERVER), ("ann", Role.MEMBER), ("ann", Role.MEMBER),
    ]  # fmt: skip
    assert picture.track_of[4] == picture.track_of[1]
    assert picture.order == [0, 1, 2]


def test_scenarios_give_pictures_without_gaps(tmp_path: Path) -> None:
    """Each packet record belongs to one packet, and each step to a machine in the state that it says."""
    ROOT = Path(__file__).parents[2]
    from tcrp.cli.sim import main

    for file in ("the-story", "a-duplicated-datagram-is-relayed-twice", "a-slow-link-delays-first-and-then-drops"):
        trace = tmp_path / f"{file}.jsonl"
        main(["run", str(ROOT / "sim" / "scenarios" / f"{file}.yaml"), "--format", "quiet", "--trace", str(trace)])
        picture = picture_of(*read_trace(trace))
        for record in picture.records:
            if isinstance(record, PacketRecord):
                packet = picture.packets[picture.packet_of[record.n]]
                assert record.n in (packet.sent_n, packet.end_n, packet.rejected_n)
            elif isinstance(record, StepRecord):
                assert picture.tracks[picture.track_of[record.n]].state_at(record.n) == record.to
        assert not any(packet.fate is Fate.IN_FLIGHT and packet.proto == "udp" for packet in picture.packets[:-20])


def test_what_has_ended_before_the_range_takes_no_memory() -> None:
    """However long the trace is: the machines and members that live at a time are few."""
    picture = Picture(Header(Mode.SOCKETS), first=9_001)
    n = 0
    for user in range(3_000):
        for event, from_, to in (
            (SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED),
            (SessionEvent.ENTERED, SessionState.TOKENED, SessionState.IN_ROOM),
            (SessionEvent.LEFT, SessionState.IN_ROOM, SessionState.EXPIRED),
        ):
            n += 1
            id = f"user{user}@lobby"
            picture.add(made.step(event=event, from_=from_, id=id, n=n, rule=Rule.TOK_1, t_us=n, to=to))
    assert len(picture.tracks) == 1
    assert len(picture.lifelines) == 2
    assert picture.order == [0], "nobody is left"
    id = "late@lobby"
    begun = made.step(
        event=SessionEvent.GRANTED,
        from_=SessionState.ANONYMOUS,
        id=id,
        n=n + 1,
        rule=Rule.TOK_1,
        t_us=n,
        to=SessionState.TOKENED,
    )
    picture.add(begun)
    assert [picture.lifelines[each].name for each in picture.order] == ["server", "late"]
    assert picture.tracks[picture.track_of[n + 1]].id == id
    assert len(picture._living) == len(picture._latest) == len(picture._members) == 1


def test_a_crash_loses_every_machine_of_who_crashes() -> None:
    picture = played(
        CUT.replace("{at: 4s, alice: leave}", "{at: 4s, alice: crash}\n  - {at: 9s, alice: {create: attic}}")
    )
    crash = only(picture.faults, "crash")
    lost = [
        t for t in picture.tracks if name(picture, t.lifeline) == "alice" and t.state_at(crash.from_n - 1) == "in-room"
    ]
    assert [track.state_at(crash.from_n) for track in lost] == [None]
    assert lost[0].bands[-2].to_n == crash.from_n
    servers = [t for t in picture.tracks if name(picture, t.lifeline) == "server" and t.id == "alice@lobby"]
    assert servers[0].state_at(crash.from_n) == "in-room", "the server does not know it"
    back = picture.record(crash.to_n)
    assert isinstance(back, StepRecord)
    assert back.actor == "alice"
