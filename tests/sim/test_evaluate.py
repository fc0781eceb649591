"""Expectations against what a run has shown: which hold, and what is said of those that do not."""

from __future__ import annotations

import pytest

import made_records as made
from tcrp.sim.evaluate import judge, seconds
from tcrp.sim.history import DOWN, Change, History, SeenRelay, subject_of
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
    Seen,
    Sees,
    SeesCount,
    SeesExactly,
    StateExpected,
    Told,
    UserIs,
    Window,
)
from tcrp.spec.names import Machine, Notice, Reason, RoomState, Rule, SessionState

SECOND = 1_000_000
EVER = Window()
AT_2, BY_2, WITHIN = Window(at_us=2 * SECOND), Window(by_us=2 * SECOND), Window(between_us=(2 * SECOND, 3 * SECOND))
HOLDS = ("holds", 0)


class Case:
    """One claim and what is kept for it."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.history = History([self.expectation(EVER)])

    def expectation(self, window: Window) -> Expectation:
        return Expectation(self.claim, window, "", Place(1, 1))

    def judged(self, window: Window = EVER) -> tuple[str, int]:
        """What came nearest and its record, or `HOLDS`."""
        expectation = self.expectation(window)
        miss = judge(expectation, self.history)
        if miss is None:
            return HOLDS
        assert miss.expectation is expectation
        return miss.nearest, miss.n


@pytest.mark.parametrize(
    ("t_us", "read"), [(0, "0 s"), (1, "0.000001 s"), (1_500_000, "1.5 s"), (10 * SECOND, "10 s"), (100_000, "0.1 s")]
)
def test_a_moment_is_written_in_seconds_without_idle_zeros(t_us: int, read: str) -> None:
    assert seconds(t_us) == read


# --- states ----------------------------------------------------------------------------------------


def bob_is(state: SessionState, *changes: tuple[int, str]) -> Case:
    claim = UserIs("bob", state)
    case = Case(StateExpected(claim))
    case.history.changes[subject_of(claim)] += [Change(t_us, n, to) for n, (t_us, to) in enumerate(changes, 1)]
    return case


PATH = ((1 * SECOND, "tokened"), (2 * SECOND, "in-room"), (4 * SECOND, "expired"))


@pytest.mark.parametrize(
    ("state", "window", "judged"),
    [
        (SessionState.EXPIRED, EVER, HOLDS),
        (SessionState.IN_ROOM, EVER, ("it was expired since 4 s; it had been in-room at 2 s", 3)),
        (SessionState.IN_ROOM, AT_2, HOLDS),
        (SessionState.TOKENED, AT_2, ("it was in-room since 2 s; it had been tokened at 1 s", 2)),
        (SessionState.IN_ROOM, Window(at_us=2 * SECOND - 1), ("it was tokened since 1 s", 1)),
        (SessionState.ANONYMOUS, Window(at_us=SECOND - 1), HOLDS),
        (SessionState.IN_ROOM, Window(at_us=0), ("it was anonymous all the time", 0)),
        (SessionState.IN_ROOM, BY_2, HOLDS),
        (SessionState.IN_ROOM, Window(by_us=2 * SECOND - 1), ("it was in-room at 2 s", 2)),
        (SessionState.ANONYMOUS, Window(by_us=0), HOLDS),
        (SessionState.IN_ROOM, WITHIN, HOLDS),
        (SessionState.ANONYMOUS, EVER, ("it was expired since 4 s; it had been anonymous at 0 s", 3)),
        (
            SessionState.ANONYMOUS,
            Window(between_us=(0, 2 * SECOND)),
            ("it was never anonymous; it ended as expired", 3),
        ),
        (SessionState.EXPIRED, WITHIN, ("it was expired at 4 s", 3)),
        (SessionState.TOKENED, WITHIN, ("it was tokened at 1 s", 1)),
        (SessionState.ANONYMOUS, WITHIN, ("it was never anonymous; it ended as expired", 3)),
    ],
)
def test_a_state_holds_at_a_moment_by_a_moment_or_within_a_while(
    state: SessionState, window: Window, judged: tuple[str, int]
) -> None:
    assert bob_is(state, *PATH).judged(window) == judged


def test_a_state_that_never_came_is_told_with_what_was_there_instead() -> None:
    assert bob_is(SessionState.EXPIRED).judged(BY_2) == ("it was never expired; it ended as anonymous", 0)
    claim = MachineIs(Machine.ROOM, "lobby", RoomState.CLOSED)
    assert Case(StateExpected(claim)).judged() == ("it was vacant all the time", 0)


def test_of_a_state_that_came_several_times_too_early_or_too_late_the_first_is_told() -> None:
    came_back = bob_is(SessionState.TOKENED, *PATH, (5 * SECOND, "tokened"))
    assert came_back.judged(WITHIN) == ("it was tokened at 1 s", 1)


def test_where_a_server_ended_down_it_is_not_said_that_a_machine_did() -> None:
    claim = MachineIs(Machine.ROOM, "lobby", RoomState.OPEN)
    case = Case(StateExpected(claim))
    case.history.changes[subject_of(claim)] += [Change(1 * SECOND, 1, DOWN)]
    assert case.judged(BY_2) == ("it was never open; the server ended down", 1)


@pytest.mark.parametrize(("path", "was_met"), [(PATH, True), (PATH[:1], False)])
def test_a_state_that_was_left_again_is_told_apart_from_one_that_never_came(
    path: tuple[tuple[int, str], ...], was_met: bool
) -> None:
    case = bob_is(SessionState.IN_ROOM, *path)
    miss = judge(case.expectation(EVER), case.history)
    assert miss is not None
    assert miss.was_met is was_met


# --- screens ---------------------------------------------------------------------------------------

SHOWN = ((1, "alice", "one"), (2, "carol", "two"), (3, "alice", "three"))


def screen(claim: Claim, shown: tuple[tuple[int, str, str], ...] = SHOWN) -> Case:
    case = Case(claim)
    case.history.screens["bob"] += [SeenRelay(at * SECOND, 10 + at, name, text) for at, name, text in shown]
    return case


def test_what_is_seen_stands_in_this_order_with_others_between() -> None:
    assert screen(Sees("bob", (Seen("one"), Seen("three", "alice")))).judged() == HOLDS
    assert screen(Sees("bob", (Seen("one"),))).judged() == HOLDS
    assert screen(Sees("bob", (Seen("three"), Seen("one")))).judged() == (
        "bob saw 1 of 2 in this order; the next would be 'one', but saw 3: alice: 'one', carol: 'two', alice: 'three'",
        13,
    )
    assert screen(Sees("bob", (Seen("two", "alice"),))).judged() == (
        "bob saw 0 of 1 in this order; the next would be 'two' from alice, "
        "but saw 3: alice: 'one', carol: 'two', alice: 'three'",
        13,
    )
    assert screen(Sees("bob", (Seen("one"),)), ()).judged() == (
        "bob saw 0 of 1 in this order; the next would be 'one', but saw nothing",
        0,
    )
    assert screen(Sees("bob", (Seen("one"), Seen("one")))).judged() != HOLDS


def test_a_window_leaves_out_what_was_seen_outside_it() -> None:
    assert screen(Sees("bob", (Seen("two"),))).judged(BY_2) == HOLDS
    assert screen(Sees("bob", (Seen("three"),))).judged(BY_2) != HOLDS
    assert screen(SeesExactly("bob", (Seen("two"), Seen("three")))).judged(WITHIN) == HOLDS
    assert screen(SeesExactly("bob", (Seen("one"), Seen("two")))).judged(AT_2) == HOLDS


def test_exactly_means_nothing_else() -> None:
    assert screen(SeesExactly("bob", (Seen("one"), Seen("two"), Seen("three")))).judged() == HOLDS
    assert screen(SeesExactly("bob", (Seen("one"), Seen("two")))).judged() == (
        "bob saw 3: alice: 'one', carol: 'two', alice: 'three'",
        13,
    )
    assert screen(SeesExactly("bob", (Seen("one"), Seen("three"), Seen("two")))).judged() != HOLDS
    assert screen(SeesExactly("bob", ()), ()).judged() == HOLDS
    assert screen(SeesExactly("bob", (Seen("one"),)), ()).judged() == ("bob saw nothing", 0)


def test_of_many_the_last_five_are_told_and_of_long_ones_the_beginning() -> None:
    many = tuple((at, "alice", f"text {at}") for at in range(1, 7))
    assert screen(SeesExactly("bob", ()), many).judged() == (
        "bob saw 6: … alice: 'text 2', alice: 'text 3', alice: 'text 4', alice: 'text 5', alice: 'text 6'",
        16,
    )
    assert screen(SeesExactly("bob", ()), many[:5]).judged()[0].startswith("bob saw 5: alice: 'text 1'")
    said, _ = screen(Sees("bob", (Seen("x" * 61),)), ((1, "alice", "y" * 50),)).judged()
    assert f"'{'x' * 57}…'" in said
    assert said.endswith(f"alice: '{'y' * 40}'")
    assert f"'{'x' * 60}'" in screen(Sees("bob", (Seen("x" * 60),))).judged()[0]


def test_what_is_never_seen_is_told_with_its_first_time() -> None:
    assert screen(NeverSees("bob", (Seen("four"), Seen("two", "alice")))).judged() == HOLDS
    assert screen(NeverSees("bob", (Seen("three"), Seen("two")))).judged() == ("carol's 'two' was seen at 2 s", 12)


@pytest.mark.parametrize(
    ("amount", "holds"), [((3, 3), True), ((3, None), True), ((4, None), False), ((0, 2), False), ((1, 3), True)]
)
def test_relays_are_counted(amount: tuple[int, int | None], holds: bool) -> None:
    assert screen(SeesCount("bob", Amount(*amount))).judged() == (HOLDS if holds else ("bob saw 3 relays", 13))


def test_no_relays_are_counted_too() -> None:
    assert screen(SeesCount("bob", Amount(1, None)), ()).judged() == ("bob saw 0 relays", 0)


# --- notices and refusals --------------------------------------------------------------------------


def told(*notices: Notice) -> Case:
    case = Case(Told("bob", notices))
    case.history.told["bob"] += [(1 * SECOND, 11, "left"), (3 * SECOND, 13, "room_closed")]
    return case


def test_notices_are_told_in_this_order() -> None:
    assert told(Notice.LEFT, Notice.ROOM_CLOSED).judged() == HOLDS
    assert told(Notice.ROOM_CLOSED).judged() == HOLDS
    assert told(Notice.ROOM_CLOSED, Notice.LEFT).judged() == ("bob was told left at 1 s, room_closed at 3 s", 13)
    assert told(Notice.LEFT, Notice.LEFT).judged() != HOLDS
    assert told(Notice.ROOM_CLOSED).judged(BY_2) == ("bob was told left at 1 s, room_closed at 3 s", 11)
    assert Case(Told("bob", (Notice.LEFT,))).judged() == ("bob was told nothing", 0)


def asked(reason: Reason, *answers: tuple[int, str]) -> Case:
    case = Case(Refused("bob", reason))
    case.history.refusals["bob"] += [(at * SECOND, 10 + at, why) for at, why in answers]
    return case


def test_the_last_answer_counts() -> None:
    assert asked(Reason.ROOM_FULL, (1, ""), (2, "room_full")).judged() == HOLDS
    assert asked(Reason.ROOM_FULL, (2, "room_full"), (3, "")).judged() == ("at 3 s it was accepted", 13)
    assert asked(Reason.ROOM_FULL, (2, "room_full"), (3, "")).judged(BY_2) == HOLDS
    assert asked(Reason.ROOM_FULL, (2, "name_taken")).judged() == ("at 2 s it was refused: name_taken", 12)
    assert asked(Reason.ROOM_FULL).judged() == ("no request of bob was answered", 0)


# --- counters --------------------------------------------------------------------------------------


def counted(least: int, most: int | None = None) -> Case:
    case = Case(Counters((("rooms", Amount(least, most)),)))
    case.history.counters += [(0, {"rooms": 0}), (1 * SECOND, {"rooms": 1}), (4 * SECOND, {"rooms": 5})]
    return case


@pytest.mark.parametrize(
    ("least", "most", "window", "holds"),
    [
        (5, 5, EVER, True),
        (1, 1, EVER, False),
        (1, 1, AT_2, True),
        (0, 0, AT_2, False),
        (5, 5, Window(at_us=4 * SECOND), True),
        (0, 0, BY_2, True),
        (1, 1, BY_2, True),
        (5, 5, BY_2, False),
        (1, 1, WITHIN, True),  # as it was when the while began
        (0, 0, WITHIN, False),
        (5, 5, WITHIN, False),
        (5, 5, Window(between_us=(2 * SECOND, 4 * SECOND)), True),
        (1, 1, Window(between_us=(4 * SECOND, 5 * SECOND)), True),
        (2, 4, EVER, False),
        (5, None, EVER, True),
    ],
)
def test_counters_hold_at_some_moment_of_their_window(
    least: int, most: int | None, window: Window, holds: bool
) -> None:
    assert (counted(least, most).judged(window) == HOLDS) is holds


def test_counters_that_do_not_hold_are_told_as_they_were_last() -> None:
    assert counted(9).judged() == ("the server counts rooms 5", 0)
    assert counted(9).judged(AT_2) == ("the server counts rooms 1", 0)
    both = Case(Counters((("rooms", Amount(1, 1)), ("sessions", Amount(0, 0)))))
    assert both.judged() == ("the server counts rooms 0, sessions 0", 0)
    both.history.counters.append((0, {"rooms": 1}))
    assert both.judged() == HOLDS  # what is not counted is 0


def test_by_a_moment_the_counters_at_that_moment_count_and_the_last_of_all_are_told() -> None:
    assert counted(1).judged(Window(by_us=1 * SECOND)) == HOLDS
    assert counted(9).judged(BY_2) == ("the server counts rooms 1", 0)
    went_down = counted(9)
    went_down.history.counters.insert(2, (2 * SECOND, {}))
    assert went_down.judged(BY_2)[0].startswith("the server was down: ")


def test_every_counter_of_a_claim_has_to_hold() -> None:
    case = Case(Counters((("rooms", Amount(1, 1)), ("sessions", Amount(3, 3)))))
    case.history.counters.append((0, {"rooms": 1, "sessions": 2}))
    assert case.judged() == ("the server counts rooms 1, sessions 2", 0)


def test_a_server_that_is_down_has_nothing_and_what_it_has_counted_is_lost() -> None:
    for counter, holds in (("rooms", True), ("sessions", True), ("connections", True), ("datagrams", False)):
        case = Case(Counters(((counter, Amount(0, 0)),)))
        case.history.counters += [(0, {"rooms": 1, counter: 1}), (1 * SECOND, {})]
        assert (case.judged() == HOLDS) is holds, counter


def test_within_a_window_what_was_counted_last_before_it_still_holds_and_a_server_that_is_down_counts_nothing() -> None:
    within = Window(between_us=(2 * SECOND, 3 * SECOND))
    case = Case(Counters((("rooms", Amount(1, 1)),)))
    case.history.counters.append((1 * SECOND, {"rooms": 1}))
    assert case.judged(within) == HOLDS
    case.history.counters.append((2 * SECOND - 1, {}))
    assert case.judged(within) == (
        "the server was down: it had no sessions, rooms and connections, and counted nothing",
        0,
    )


# --- records and packets ---------------------------------------------------------------------------


def test_records_are_counted_and_the_nearest_is_shown_where_there_is_none() -> None:
    claim = Records("step", (("event", "spoke"),), Amount(2, 2))
    case = Case(claim)
    assert case.judged() == ("there are 0 such records", 0)
    near = made.step(event="left", from_="in-room", id="bob", n=7, rule=Rule.EXIT_1, to="expired")
    case.history.nearest[claim] = 1, near
    assert case.judged() == (
        "there are none; the nearest is at 0 s server: session bob in-room -> expired (left, R-EXIT-1)",
        7,
    )
    case.history.matches[claim] += [(1 * SECOND, 11), (3 * SECOND, 13)]
    assert case.judged() == HOLDS
    assert case.judged(BY_2) == ("there is 1 such record", 11)
    case.history.matches[claim] += [(4 * SECOND, 14)]
    assert case.judged() == ("there are 3 such records", 14)


@pytest.mark.parametrize(
    ("count", "size", "holds"),
    [
        (Amount(2, 2), None, True),
        (Amount(3, 3), None, False),
        (None, Amount(30, 30), True),
        (None, Amount(31, None), False),
        (Amount(2, 2), Amount(30, 30), True),
        (Amount(2, 2), Amount(1, 2), False),
        (Amount(1, 1), Amount(30, 30), False),
        (None, None, True),
    ],
)
def test_packets_are_counted_and_so_are_their_bytes(count: Amount | None, size: Amount | None, holds: bool) -> None:
    claim = Packets("relay", None, None, count, size)
    case = Case(claim)
    case.history.packets[claim] += [(1 * SECOND, 11, 10), (3 * SECOND, 13, 20)]
    assert case.judged() == (HOLDS if holds else ("there were 2 such packets of 30 bytes together", 13))


def test_packets_outside_the_window_do_not_count() -> None:
    claim = Packets("relay", None, None, Amount(2, 2), None)
    case = Case(claim)
    case.history.packets[claim] += [(1 * SECOND, 11, 10), (3 * SECOND, 13, 20)]
    assert case.judged(BY_2) == ("there was 1 such packet of 10 bytes", 11)


def test_packets_without_an_amount_are_some_and_with_one_may_be_none() -> None:
    assert Case(Packets("relay", None, None, None, None)).judged() == (
        "there were 0 such packets of 0 bytes",
        0,
    )
    assert Case(Packets("relay", None, None, Amount(0, 0), None)).judged() == HOLDS
    assert Case(Packets("relay", None, None, None, Amount(0, 0))).judged() == HOLDS
