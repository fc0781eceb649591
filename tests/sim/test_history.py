"""What is kept of a run: what some expectation asks for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import made_records as made
from tcrp.sim.history import Change, History, SeenRelay, first_state, subject_of
from tcrp.sim.scenario.model import (
    Amount,
    Claim,
    Counters,
    Expectation,
    MachineIs,
    NeverSees,
    Packets,
    Place,
    Records,
    Refused,
    Sees,
    SeesCount,
    SeesExactly,
    StateClaim,
    StateExpected,
    Told,
    UserIs,
    Window,
)
from tcrp.spec.names import HandshakeState, Machine, Notice, Reason, RoomState, Rule, SessionState
from tcrp.trace.records import Kind, PacketRecord, Record, ShowRecord, StepRecord

SERVER = "server"
ANY = Amount(1, None)


def history(*claims: Claim, hears: Iterable[Record] = ()) -> History:
    """What is kept for these claims of these records."""
    kept = History([Expectation(claim, Window(), "", Place(1, 1)) for claim in claims])
    for record in hears:
        kept.hear(record)
    return kept


def step(
    n: int, actor: str, machine: Machine, id: str, event: str, from_: str, to: str, *, why: str = ""
) -> StepRecord:
    return made.step(
        actor=actor,
        event=event,
        from_=from_,
        id=id,
        machine=machine,
        n=n,
        rule=Rule.TOK_2,
        t_us=n * 1000,
        to=to,
        why=why,
    )


def session(n: int, actor: str, event: str, from_: str, to: str, id: str = "bob@lobby") -> StepRecord:
    return step(n, actor, Machine.SESSION, id, event, from_, to)


def packet(n: int, kind: Kind, what: str, link: str, *, why: str = "", size: int = 10) -> PacketRecord:
    actor = "network" if kind is Kind.DROP else link.partition(">")[0]
    return made.packet(actor=actor, bytes=size, kind=kind, link=link, n=n, t_us=n * 1000, what=what, why=why)


GRANTED = session(1, "bob", "granted", "anonymous", "tokened")
ENTERED = session(2, "bob", "entered", "tokened", "in-room")
SPOKE = session(3, "bob", "spoke", "in-room", "in-room")


# --- states ----------------------------------------------------------------------------------------


def test_a_users_changes_of_state_are_kept_and_steps_that_stay_are_not() -> None:
    claim = UserIs("bob", SessionState.IN_ROOM)
    kept = history(StateExpected(claim), hears=[GRANTED, ENTERED, SPOKE])
    assert kept.changes[subject_of(claim)] == [Change(1000, 1, "tokened"), Change(2000, 2, "in-room")]


def test_a_users_machine_is_his_own_and_no_other() -> None:
    claim = UserIs("bob", SessionState.IN_ROOM)
    others = [
        session(1, SERVER, "entered", "tokened", "in-room"),
        session(2, "carol", "entered", "tokened", "in-room"),
        step(3, "bob", Machine.HANDSHAKE, "bob", "requested", "idle", "requested"),
    ]
    assert history(StateExpected(claim), hears=others).changes[subject_of(claim)] == []


def test_a_machine_is_the_servers_by_its_kind_and_id() -> None:
    claim = MachineIs(Machine.ROOM, "lobby", RoomState.OPEN)
    records = [
        step(1, SERVER, Machine.ROOM, "lobby", "created", "vacant", "open"),
        step(2, SERVER, Machine.ROOM, "attic", "created", "vacant", "open"),
        step(3, SERVER, Machine.SESSION, "lobby", "granted", "anonymous", "tokened"),
        step(4, "bob", Machine.ROOM, "lobby", "created", "vacant", "open"),
    ]
    assert history(StateExpected(claim), hears=records).changes[subject_of(claim)] == [Change(1000, 1, "open")]


@pytest.mark.parametrize(
    ("claim", "first"),
    [
        (UserIs("bob", SessionState.EXPIRED), "anonymous"),
        (MachineIs(Machine.SESSION, "bob@lobby", SessionState.EXPIRED), "anonymous"),
        (MachineIs(Machine.ROOM, "lobby", RoomState.CLOSED), "vacant"),
        (MachineIs(Machine.HANDSHAKE, "bob", HandshakeState.REFUSED), "idle"),
    ],
)
def test_claims_about_one_machine_share_what_is_kept_from_its_first_state(claim: StateClaim, first: str) -> None:
    assert first_state(claim) == first
    assert subject_of(subject_of(claim)) == subject_of(claim)
    assert subject_of(claim).state == first


# --- screens ---------------------------------------------------------------------------------------


def show(n: int, actor: str, what: str, name: str = "", text: str = "") -> ShowRecord:
    return made.show(actor=actor, n=n, name=name, t_us=n * 1000, text=text, what=what)


@pytest.mark.parametrize(
    "claim", [Sees("bob", ()), SeesExactly("bob", ()), NeverSees("bob", ()), SeesCount("bob", ANY)]
)
def test_relays_are_kept_for_whose_screen_is_asked_about(claim: Claim) -> None:
    shown = [show(1, "bob", "relay", "alice", "hi"), show(2, "carol", "relay", "alice", "hi"), show(3, "bob", "idled")]
    kept = history(claim, hears=shown)
    assert kept.screens == {"bob": [SeenRelay(1000, 1, "alice", "hi")]}
    assert kept.told == {}


def test_notices_are_kept_for_who_is_asked_about() -> None:
    shown = [show(1, "bob", "room_closed"), show(2, "carol", "room_closed"), show(3, "bob", "relay", "alice", "hi")]
    kept = history(Told("bob", (Notice.ROOM_CLOSED,)), hears=shown)
    assert kept.told == {"bob": [(1000, 1, "room_closed")]}
    assert kept.screens == {}


# --- requests --------------------------------------------------------------------------------------


def handshake(n: int, event: str, *, actor: str = SERVER, id: str = "bob", why: str = "") -> StepRecord:
    return step(n, actor, Machine.HANDSHAKE, id, event, "requested", "refused", why=why)


def test_an_answer_to_a_request_is_kept_with_its_reason_and_an_acceptance_with_none() -> None:
    claim = Refused("bob", Reason.ROOM_FULL)
    records = [
        handshake(1, "refused", why="room_full: 1000 members"),
        handshake(2, "accepted", why="anything"),
        handshake(3, "requested"),
        handshake(4, "refused", id="carol"),
        handshake(5, "refused", actor="bob"),
        step(6, SERVER, Machine.SESSION, "bob", "refused", "a", "b"),
    ]
    assert history(claim, hears=records).refusals == {"bob": [(1000, 1, "room_full"), (2000, 2, "")]}


# --- counters --------------------------------------------------------------------------------------


def test_counters_are_asked_for_by_one_claim_alone() -> None:
    assert history(Counters((("rooms", ANY),))).asks_for_counters is True
    assert history(Refused("bob", Reason.ROOM_FULL)).asks_for_counters is False


def test_counters_are_kept_when_they_change_and_as_they_were() -> None:
    kept = history(Counters((("rooms", ANY),)))
    counts = {"rooms": 0}
    for now_us, rooms in ((0, 0), (10, 0), (20, 1), (30, 1), (40, 0)):
        counts["rooms"] = rooms
        kept.sample(now_us, counts)
    assert kept.counters == [(0, {"rooms": 0}), (20, {"rooms": 1}), (40, {"rooms": 0})]


# --- records ---------------------------------------------------------------------------------------


def records(kind: str, *fields: tuple[str, str]) -> Records:
    return Records(kind, fields, ANY)  # type: ignore[arg-type]


def test_records_match_by_all_their_fields_and_the_nearest_is_kept() -> None:
    claim = records("step", ("event", "spoke"), ("from", "in-room"), ("actor", "bob"))
    kept = history(claim, hears=[GRANTED, ENTERED, SPOKE])
    assert kept.matches[claim] == [(3000, 3)]
    assert kept.nearest[claim] == (2, ENTERED)  # of two that are as near, the later
    better = history(records("step", ("event", "spoke"), ("actor", "bob"), ("to", "in-room")), hears=[GRANTED, ENTERED])
    assert [wrong for wrong, _ in better.nearest.values()] == [1]


def test_a_step_is_the_servers_unless_another_actor_is_named_and_a_drop_is_anyones() -> None:
    servers = session(4, SERVER, "spoke", "in-room", "in-room")
    assert history(records("step", ("event", "spoke")), hears=[SPOKE, servers]).matches == {
        records("step", ("event", "spoke")): [(4000, 4)]
    }
    drop = packet(5, Kind.DROP, "relay", "server>bob", why="loss")
    assert history(records("drop", ("why", "loss")), hears=[drop]).matches[records("drop", ("why", "loss"))] == [
        (5000, 5)
    ]


def test_a_record_is_matched_only_by_claims_of_its_kind() -> None:
    refusal = made.refusal(
        actor=SERVER, event="spoke", from_="expired", id="bob@lobby", n=6, t_us=6000, why="it has ended"
    )
    drop = packet(5, Kind.DROP, "relay", "server>bob", why="loss")
    claims = [records("step", ("what", "")), records("refuse", ("rule", "")), records("drop", ("what", "relay"))]
    kept = history(*claims, hears=[refusal, drop, packet(7, Kind.SEND, "relay", "server>bob")])
    assert [kept.matches[claim] for claim in claims] == [[], [(6000, 6)], [(5000, 5)]]
    assert claims[0] not in kept.nearest


# --- packets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "source", "target", "count"),
    [
        (None, None, None, 3),
        ("relay", None, None, 2),
        (None, "server", None, 2),
        (None, None, "carol", 1),
        ("relay", "server", "bob", 1),
        ("say", "server", None, 0),
    ],
)
def test_sent_packets_are_kept_by_what_they_are_and_where_they_go(
    what: str | None, source: str | None, target: str | None, count: int
) -> None:
    claim = Packets(what, source, target, None, None)
    sent = [
        packet(1, Kind.SEND, "say", "bob>server", size=7),
        packet(2, Kind.SEND, "relay", "server>bob", size=8),
        packet(3, Kind.SEND, "relay", "server>carol", size=9),
        packet(4, Kind.ARRIVE, "relay", "server>carol"),
        packet(5, Kind.DROP, "relay", "server>carol"),
    ]
    kept = history(claim, hears=sent).packets[claim]
    assert len(kept) == count
    assert set(kept) <= {(1000, 1, 7), (2000, 2, 8), (3000, 3, 9)}


def test_a_fault_is_not_kept() -> None:
    kept = history(records("step"), hears=[made.fault(actor="network", what="cut")])
    assert kept.matches == {records("step"): []}
    assert kept.nearest == {}
