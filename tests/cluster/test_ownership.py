"""Whose a room is, step by step: what one process asks of the bucket, and what it makes of each answer."""

from __future__ import annotations

import itertools
import json

import pytest

from tcrp.cluster import snapshots
from tcrp.cluster.lease import Lease
from tcrp.cluster.outputs import Answer, ClusterStepped, Delete, Entry, Get, Happened, Put, What
from tcrp.cluster.ownership import Ownership, RoomAt, successor
from tcrp.spec.cluster_names import SAVE_EVERY_US, OwnershipState

LEASE_US = 3_000_000
BOUND_US = LEASE_US // 3
LOBBY = b"lobby"
OWNER, STATE = "owner.6c6f626279", "state.6c6f626279"
S = OwnershipState


def snapshot(fence: int) -> bytes:
    """What a process with that fencing number has saved of a room."""
    return snapshots.version().encode() + b" %d\nstate" % fence


class Process:
    """A process named a, which holds its lease, and what it asks of the bucket. It has the rooms' contents too."""

    def __init__(self, *others: str) -> None:
        asks = itertools.count(1)
        self.lease = Lease("a", "life1", "kin", LEASE_US, lambda: next(asks))
        self.ownership = Ownership(self.lease, self, lambda: next(asks))
        self.now_us = 0
        self.asked: list[Put | Get] = []
        self.deleted: list[Delete] = []
        self.steps: list[str] = []
        self.told: list[What] = []
        self.done: list[str] = []
        self.cannot_load = ""
        self.lease.tick(0)
        [put] = [each for each in self.lease.pending if isinstance(each, Put)]
        self.lease.answered(put.ask, Answer(1), 0)
        self.lease.pending.clear()
        for other in others:
            self.shows(other)
        self.told.clear()

    # --- as the holder of rooms --------------------------------------------------------------------

    def save(self, room: bytes, fence: int) -> bytes:
        return snapshot(fence)

    def load(self, room: bytes, saved: bytes, now_us: int) -> str:
        self.done.append(f"load {saved!r}")
        return self.cannot_load

    def drop(self, room: bytes, now_us: int) -> None:
        self.done.append("drop")

    def settled(self, room: RoomAt, now_us: int) -> None:
        self.done.append(f"settled {room.state}")

    def vacated(self, room: bytes) -> None:
        self.done.append("vacated")

    # --- as its test sees it -------------------------------------------------------------------------

    def take(self) -> Process:
        for each in self.lease.pending:
            match each:
                case Put() | Get():
                    self.asked.append(each)
                case Delete():
                    self.deleted.append(each)
                case ClusterStepped():
                    self.steps.append(each.event)
                case Happened(what):
                    self.told.append(what)
        self.lease.pending.clear()
        return self

    def shows(self, other: str, *, renewed: bool = True) -> Process:
        """The bucket shows the lease of another process, claimed or renewed."""
        value = json.dumps(["kin", f"{other}.x.1", renewed]).encode()
        self.lease.saw(Entry(f"node.{other}", value, 2 + renewed), self.now_us)
        return self.take()

    def wants(self) -> Process:
        self.ownership.want(self.ownership.at(LOBBY), self.now_us)
        return self.take()

    def answers(self, revision: int | None, value: bytes = b"") -> Process:
        """The bucket answers the latest ask."""
        self.ownership.answered(self.asked[-1].ask, Answer(revision, value), self.now_us)
        return self.take()

    def saw(self, owner: str | None, revision: int, fence: int = 0, *, is_given: bool = False) -> Process:
        value = None if owner is None else json.dumps(["kin", owner, fence, True, is_given]).encode()
        self.ownership.saw(Entry(OWNER, value, revision), self.now_us)
        return self.take()

    def at(self, now_us: int) -> Process:
        self.now_us = now_us
        self.ownership.tick(now_us)
        return self.take()

    @property
    def state(self) -> OwnershipState:
        at = self.ownership.rooms.get(LOBBY)
        return at.state if at is not None else S.UNOWNED

    @property
    def room(self) -> RoomAt:
        return self.ownership.rooms[LOBBY]

    @property
    def last(self) -> Put | Get:
        return self.asked[-1]


def owning() -> Process:
    """It has made the room, with fencing number 10."""
    process = Process("b").wants().answers(10)
    assert process.ownership.owns(LOBBY)
    return process


def put_of(key: str, value: object, revision: int, ask: int) -> Put:
    return Put(ask, key, value if isinstance(value, bytes) else json.dumps(value).encode(), revision)


# --- a room that is made ---------------------------------------------------------------------------------


def test_a_room_is_made_by_the_first_who_writes_its_key() -> None:
    process = Process().wants()
    assert process.last == put_of(OWNER, ["kin", "a.life1.1", 0, False, False], 0, process.last.ask)
    assert not process.ownership.owns(LOBBY)
    process.answers(10)
    assert (process.state, process.room.fence, process.room.revision) == (S.OWNED, 10, 10)
    assert process.done == ["settled owned"]


def test_who_comes_second_sees_whose_it_is() -> None:
    process = Process("b").wants().answers(None)
    assert process.state is S.ACQUIRING
    process.saw("b.x.1", 9)
    assert (process.state, process.room.owner, process.room.fence) == (S.ELSEWHERE, "b.x.1", 9)
    assert process.done == ["drop", "settled elsewhere"]


def test_what_is_not_answered_is_asked_again_after_a_third_of_the_lease_and_not_before() -> None:
    process = Process().wants()
    assert process.ownership.next_us() == 0  # a new room is looked after at once
    process.at(BOUND_US - 1)
    assert len(process.asked) == 1
    process.at(BOUND_US)
    assert [each._replace(ask=0) for each in process.asked] == [process.last._replace(ask=0)] * 2
    process.ownership.answered(process.asked[0].ask, Answer(10), process.now_us)
    assert process.state is S.ACQUIRING  # an answer to an earlier ask counts for nothing
    process.answers(10)
    assert process.state is S.OWNED


def test_its_own_key_that_is_shown_is_the_answer_that_was_lost() -> None:
    process = Process().wants().saw("a.life1.1", 10)
    assert (process.state, process.room.fence) == (S.OWNED, 10)


# --- saving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_once", "due_us"), [(True, 0), (False, SAVE_EVERY_US)])
def test_a_change_is_saved_when_it_is_due(at_once: bool, due_us: int) -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=at_once)
    before = len(process.asked)
    if due_us:
        assert len(process.at(due_us - 1).asked) == before
    assert process.at(due_us).last == put_of(STATE, snapshot(10), 0, process.last.ask)


def test_several_changes_are_one_save_and_those_meanwhile_are_the_next() -> None:
    process = owning()
    for now_us in (0, 1, 2):
        process.ownership.changed(LOBBY, now_us, at_once=False)
    process.at(SAVE_EVERY_US)
    before = len(process.asked)
    process.ownership.changed(LOBBY, SAVE_EVERY_US, at_once=True)
    assert len(process.at(SAVE_EVERY_US).asked) == before
    process.answers(20).at(SAVE_EVERY_US)
    assert len(process.asked) == before + 1
    assert process.last == put_of(STATE, snapshot(10), 20, process.last.ask)


@pytest.mark.parametrize(("fence", "saves"), [(9, True), (10, True), (11, False)])
def test_a_save_that_is_refused_is_repeated_unless_a_later_owner_has_saved(fence: int, saves: bool) -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).answers(None)
    assert isinstance(process.last, Get)
    process.answers(21, snapshot(fence))
    assert (process.last == put_of(STATE, snapshot(10), 21, process.last.ask)) is saves


def test_a_room_that_is_not_here_is_not_saved() -> None:
    process = Process("b").saw("b.x.1", 9)
    process.ownership.changed(LOBBY, 0, at_once=True)
    assert process.at(0).asked == []


# --- recovery ---------------------------------------------------------------------------------------------


def orphaned() -> Process:
    """The only other process, whose room it was, is gone."""
    process = Process("b").saw("b.x.1", 9)
    process.lease.saw(Entry("node.b", None, 30), 0)
    process.ownership.node_lost("b.x.1", 0)
    process.done.clear()
    return process.take()


def test_a_room_goes_on_here_from_what_was_saved_once_nobody_else_can_save_it() -> None:
    process = orphaned()
    assert process.last == put_of(OWNER, ["kin", "a.life1.1", 0, True, False], 9, process.last.ask)
    process.answers(31)
    assert process.last == Get(process.last.ask, STATE)
    process.answers(20, snapshot(9))
    assert process.last == put_of(STATE, snapshot(31), 20, process.last.ask)  # the fence
    assert process.state is S.ACQUIRING
    assert process.done == []
    process.answers(32)
    assert process.done == [f"load {snapshot(9)!r}", "settled owned"]
    assert What.ROOM_RECOVERED in process.told
    assert (process.room.fence, process.room.saved_revision) == (31, 32)


def test_what_the_owner_before_saves_at_the_last_moment_is_what_counts() -> None:
    process = orphaned().answers(31).answers(20, snapshot(9)).answers(None)
    assert isinstance(process.last, Get)
    process.answers(21, snapshot(9) + b" later").answers(32)
    assert process.done[0] == f"load {snapshot(9) + b' later'!r}"


@pytest.mark.parametrize("why", ["nothing was saved", "it is of another version"])
def test_a_room_that_cannot_go_on_is_given_up_for_all(why: str) -> None:
    process = orphaned().answers(31)
    if why == "nothing was saved":
        process.answers(None)
    else:
        process.cannot_load = why
        process.answers(20, snapshot(9)).answers(32)
    assert process.told[-1] is What.ROOM_NOT_RECOVERED
    assert process.deleted == [Delete(STATE, 0), Delete(OWNER, 31)]
    assert not process.ownership.owns(LOBBY)
    process.saw(None, 33)
    assert process.done[-3:] == ["drop", "vacated", "settled unowned"]
    assert LOBBY not in process.ownership.rooms


def test_who_is_not_the_successor_waits_a_third_of_the_lease_for_that_one() -> None:
    process = Process("b", "c").saw("c.x.1", 9)
    process.lease.saw(Entry("node.c", None, 30), 0)
    first = next(room for room in (b"r%d" % number for number in range(99)) if successor(room, ["a.", "b."]) == "b.")
    at = process.ownership.at(first)
    process.ownership.saw(Entry(f"owner.{first.hex()}", json.dumps(["kin", "c.x.1", 0, False, False]).encode(), 9), 0)
    process.ownership.node_lost("c.x.1", 0)
    assert at.state is S.ORPHANED
    process.at(BOUND_US - 1)
    assert at.state is S.ORPHANED
    process.ownership.tick(2 * BOUND_US - 1)
    assert at.state is S.ACQUIRING


# --- handing over, and losing ---------------------------------------------------------------------------------


def test_a_room_is_handed_over_saved_first_and_then_named_to_the_next() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take()
    assert (process.state, process.done[-1]) == (S.HANDING_OVER, "drop")
    assert process.last == put_of(STATE, snapshot(10), 0, process.last.ask)
    process.answers(20)
    assert process.last == put_of(OWNER, ["kin", "b.x.1", 0, False, True], 10, process.last.ask)
    assert process.ownership.handing_over()
    process.answers(21).saw("b.x.1", 21)
    assert (process.state, process.ownership.handing_over()) == (S.ELSEWHERE, False)


def test_a_room_that_nobody_could_take_is_named_to_the_next_who_comes() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take()
    process.lease.seen.clear()  # while it is being saved
    process.answers(20)
    assert process.last.key == STATE
    process.shows("c", renewed=False).ownership.node_joined("c.x.1", 0)
    assert process.take().last.key == STATE  # c may not know that it has its lease
    process.shows("c").ownership.node_renewed(0)
    process.take()
    assert process.last == put_of(OWNER, ["kin", "c.x.1", 0, False, True], 10, process.last.ask)


def test_a_room_is_given_to_nobody_who_has_only_claimed_its_lease() -> None:
    """Which of b and c would have it is a matter of hashes: of nine rooms each has some."""
    process = Process("b").shows("c", renewed=False)
    rooms = [b"r%d" % number for number in range(9)]
    assert {successor(room, ["b.x.1", "c.x.1"]) for room in rooms} == {"b.x.1", "c.x.1"}
    for number, room in enumerate(rooms):
        process.ownership.want(process.ownership.at(room), 0)
        process.take().answers(10 + number)
    process.ownership.hand_over(0)
    saves = [each for each in process.take().asked if each.key.startswith("state.")]
    for save in saves:
        process.ownership.answered(save.ask, Answer(50), 0)
    named = [json.loads(each.value)[1] for each in process.take().asked[-9:] if isinstance(each, Put)]
    assert named == 9 * ["b.x.1"]


def test_a_process_that_stops_gives_its_rooms_to_the_first_who_can_take_them() -> None:
    process = Process().wants().answers(10).shows("b", renewed=False)
    process.ownership.hand_over(0)
    assert (process.take().state, process.ownership.handing_over()) == (S.OWNED, True)  # its driver waits
    process.shows("b").ownership.node_renewed(0)
    assert process.take().state is S.HANDING_OVER


def test_a_lost_room_is_not_left_to_one_that_has_only_claimed_its_lease() -> None:
    process = Process("c").shows("b", renewed=False)
    room = next(room for room in (b"r%d" % number for number in range(99)) if successor(room, ["a.", "b."]) == "b.")
    process.ownership.saw(Entry(f"owner.{room.hex()}", json.dumps(["kin", "c.x.1", 0, False, False]).encode(), 9), 0)
    process.lease.saw(Entry("node.c", None, 30), 0)
    process.ownership.node_lost("c.x.1", 0)
    assert process.ownership.rooms[room].state is S.ACQUIRING


def test_the_last_process_hands_nothing_over() -> None:
    process = Process().wants().answers(10)
    process.ownership.hand_over(0)
    assert (process.take().state, process.ownership.handing_over()) == (S.OWNED, False)


def test_who_is_named_takes_the_room_from_what_was_saved() -> None:
    process = Process("b").saw("b.x.1", 9).saw("a.life1.1", 21)
    assert process.state is S.ACQUIRING
    assert process.last == Get(process.last.ask, STATE)
    process.answers(20, snapshot(9)).answers(22)
    assert (process.state, process.room.fence) == (S.OWNED, 21)


@pytest.mark.parametrize("is_refused", [False, True])
def test_who_wanted_to_make_a_room_that_is_given_to_it_meanwhile_goes_on_with_what_was_saved(is_refused: bool) -> None:
    process = Process("b").wants()
    if is_refused:
        process.answers(None)
    process.saw("a.life1.1", 21, is_given=True)
    assert (process.state, process.last) == (S.ACQUIRING, Get(process.last.ask, STATE))
    process.answers(20, snapshot(9)).answers(22)
    assert (process.state, process.room.fence) == (S.OWNED, 21)
    assert process.done[0].startswith("load")


@pytest.mark.parametrize("has_seen_it", [True, False])
def test_who_is_named_before_its_lease_is_answered_takes_the_room_when_it_is(has_seen_it: bool) -> None:
    process = Process("b")
    if has_seen_it:
        process.saw("b.x.1", 5)
    process.lease.until_us = 0  # as far as it knows, it holds none
    process.saw(process.lease.address, 6)
    assert (process.state, process.asked) == (S.ELSEWHERE, [])
    process.lease.until_us = LEASE_US
    process.ownership.lease_held(process.now_us)
    assert process.take().state is S.ACQUIRING
    assert isinstance(process.asked[-1], Get)
    assert process.asked[-1].key == STATE
    process.answers(7, snapshot(5)).answers(8)
    assert process.state is S.OWNED


def test_who_loses_its_lease_holds_nothing_and_asks_for_nothing() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.ownership.lease_lost(0)
    before = len(process.take().asked)
    assert (process.state, process.done[-1]) == (S.ORPHANED, "drop")
    assert not process.ownership.owned()
    process.lease.release()
    assert len(process.at(10 * BOUND_US).asked) == before


def test_an_owner_that_sees_another_owner_drops_the_room() -> None:
    process = owning().saw("b.x.1", 40)
    assert (process.state, process.done[-2:]) == (S.ELSEWHERE, ["drop", "settled elsewhere"])


# --- what comes late, or not at all ---------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_who_loses_its_lease_while_it_takes_a_room_does_not_get_it_by_a_late_answer(answered: int) -> None:
    process = orphaned()
    for revision, value in ((31, b""), (20, snapshot(9)))[:answered]:
        process.answers(revision, value)
    process.ownership.lease_lost(0)
    process.done.clear()
    process.lease.until_us = 0
    before = len(process.asked)
    process.at(BOUND_US).answers(32, snapshot(9))
    assert (process.state, process.done, len(process.asked)) == (S.ORPHANED, [], before)


def test_who_loses_its_lease_while_it_hands_a_room_over_names_nobody() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take().ownership.lease_lost(0)
    process.answers(20)
    assert (process.state, process.last.key) == (S.ORPHANED, STATE)
    assert not process.ownership.handing_over()


@pytest.mark.parametrize("revision", [None, 41])
def test_a_late_answer_to_a_save_moves_nothing_once_the_room_is_anothers(revision: int | None) -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).saw("b.x.1", 40)
    before = len(process.asked)
    process.at(BOUND_US).answers(revision)
    assert (process.state, len(process.asked)) == (S.ELSEWHERE, before)


def test_who_takes_a_room_and_sees_another_owner_leaves_it_to_that_one() -> None:
    process = orphaned().answers(31).saw("b.x.1", 40)
    before = len(process.asked)
    process.lease.until_us = 0
    process.at(BOUND_US).answers(20, snapshot(9))
    assert (process.state, process.room.owner, len(process.asked)) == (S.ELSEWHERE, "b.x.1", before)


def test_a_room_that_is_lost_is_taken_by_nobody_whose_lease_is_over() -> None:
    process = Process("b").saw("b.x.1", 9)
    process.lease.saw(Entry("node.b", None, 30), 0)
    process.lease.until_us = 0
    process.ownership.node_lost("b.x.1", 0)
    process.at(BOUND_US)
    assert (process.state, process.take().asked) == (S.ORPHANED, [])
    process.lease.until_us = 9 * LEASE_US
    process.at(2 * BOUND_US)
    assert process.last == put_of(OWNER, ["kin", "a.life1.1", 0, True, False], 9, process.last.ask)


@pytest.mark.parametrize("is_made", [True, False])
def test_what_it_had_before_it_lost_its_lease_it_takes_again_from_the_bucket_after_a_third(is_made: bool) -> None:
    process = Process().wants()
    if is_made:
        process.answers(10)
    process.ownership.lease_lost(5)
    assert process.at(BOUND_US + 4).state is S.ORPHANED
    process.at(2 * BOUND_US + 4).answers(31)
    assert (process.state, process.last) == (S.ACQUIRING, Get(process.last.ask, STATE))


def test_only_the_rooms_of_the_process_that_is_lost_become_orphans() -> None:
    process = Process("b", "c").saw("b.x.1", 9)
    for address in ("c.x.1", "b.x.2"):
        process.ownership.node_lost(address, 0)
        assert process.state is S.ELSEWHERE
    process.ownership.node_lost("b.x.1", 0)
    assert process.state in (S.ORPHANED, S.ACQUIRING)


def test_an_owner_of_whom_nothing_is_seen_is_looked_up_at_the_second_look() -> None:
    process = Process().saw("b.x.1", 9)
    process.at(0).at(BOUND_US - 1)
    assert process.asked == []
    process.at(BOUND_US)
    assert process.asked == []
    process.at(2 * BOUND_US)
    assert [each.key for each in process.asked] == ["node.b"]


def test_an_owner_that_is_seen_between_two_looks_is_not_looked_up() -> None:
    process = Process().saw("b.x.1", 9).at(1).shows("b").at(1 + BOUND_US)
    process.lease.seen.clear()
    process.at(1 + 2 * BOUND_US)
    assert process.asked == []
    process.at(1 + 3 * BOUND_US)
    assert [each.key for each in process.asked] == ["node.b"]


def test_an_unanswered_save_is_repeated_over_what_is_found_there() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).at(BOUND_US - 1)
    assert isinstance(process.last, Put)
    process.at(BOUND_US)
    assert process.last == Get(process.last.ask, STATE)
    process.answers(21, snapshot(10))
    assert process.last == put_of(STATE, snapshot(10), 21, process.last.ask)


@pytest.mark.parametrize("phase", ["load", "fence", "check"])
def test_who_takes_a_room_reads_it_again_when_it_is_not_answered(phase: str) -> None:
    process = orphaned().answers(31)
    if phase != "load":
        process.answers(20, snapshot(9))
    if phase == "check":
        process.at(BOUND_US)
    before = len(process.asked)
    process.at(2 * BOUND_US)
    assert process.asked[before:] == [Get(process.last.ask, STATE)]
    process.answers(22, snapshot(31) + b" later")
    if phase != "load":
        assert process.last == Get(process.last.ask, STATE)
        process.answers(22, snapshot(31) + b" later")
    process.answers(23)
    assert (process.state, process.done[0]) == (S.OWNED, f"load {snapshot(31) + b' later'!r}")


def test_a_room_that_goes_on_is_saved_at_once() -> None:
    process = orphaned().answers(31).answers(20, snapshot(9)).answers(32).at(0)
    assert process.last == put_of(STATE, snapshot(31), 32, process.last.ask)


def test_a_room_that_is_handed_over_while_a_save_is_under_way_is_saved_once_more_before_it_is_named() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).ownership.hand_over(0)
    saves = [each for each in process.take().asked if each.key == STATE]
    assert len(saves) == 1
    process.answers(20)
    assert process.last == put_of(STATE, snapshot(10), 20, process.last.ask)
    process.answers(21)
    assert (process.last.key, process.state) == (OWNER, S.HANDING_OVER)


def test_a_frozen_save_that_is_refused_is_repeated_before_the_room_is_named() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take().answers(None).answers(15, snapshot(10))
    assert process.last == put_of(STATE, snapshot(10), 15, process.last.ask)
    process.answers(16)
    assert process.last.key == OWNER


def test_a_successor_is_named_again_until_it_is_answered() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take().answers(20).at(BOUND_US - 1)
    before = len(process.asked)
    process.at(BOUND_US)
    assert process.last == put_of(OWNER, ["kin", "b.x.1", 0, False, True], 10, process.last.ask)
    process.answers(21).at(2 * BOUND_US)
    assert len(process.asked) == before + 1


def test_who_hands_its_rooms_over_saves_none_of_them_as_its_own_any_more() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=False)
    process.ownership.hand_over(0)
    process.take().answers(20)
    before = len(process.asked)
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(BOUND_US - 1)
    assert len(process.asked) == before


def test_a_change_that_may_wait_puts_off_no_save_that_is_due_at_once() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.ownership.changed(LOBBY, 0, at_once=False)
    assert process.ownership.next_us() == 0
    assert process.at(0).last.key == STATE


def test_who_does_not_stop_keeps_its_rooms_when_another_renews_its_lease() -> None:
    process = owning()
    process.ownership.node_renewed(0)
    assert (process.take().state, process.ownership.handing_over()) == (S.OWNED, False)


def test_a_process_hands_over_as_long_as_one_room_is_on_its_way_and_each_room_once() -> None:
    process = owning()
    process.ownership.saw(Entry("owner.6174746963", b'["kin", "b.x.1", 0, false, false]', 9), 0)
    process.ownership.hand_over(0)
    before = len(process.take().asked)
    process.ownership.hand_over(1)
    assert (len(process.take().asked), process.ownership.handing_over()) == (before, True)
    assert process.room.owner == "a.life1.1"


def test_a_save_whose_key_is_gone_is_made_anew() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).answers(20)
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).answers(None).answers(None)
    assert process.last == put_of(STATE, snapshot(10), 0, process.last.ask)


def test_a_room_that_is_given_up_is_written_no_more() -> None:
    process = orphaned().answers(31).answers(None)
    before = len(process.asked)
    assert process.last == Get(process.last.ask, STATE)
    assert len(process.at(BOUND_US).asked) == before


def test_a_claim_that_is_refused_reads_nothing_of_the_room() -> None:
    assert len(Process("b").wants().answers(None).asked) == 1


def test_a_claim_whose_answer_was_lost_is_not_made_again_once_it_was_shown() -> None:
    assert len(Process().wants().saw("a.life1.1", 10).at(BOUND_US).asked) == 1


def test_a_key_that_is_shown_again_gives_the_room_back_to_nobody_who_is_lost() -> None:
    process = orphaned().saw("b.x.1", 9)
    assert process.state is S.ACQUIRING
    assert process.answers(31).last == Get(process.last.ask, STATE)


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_room_without_an_owner_is_taken_a_third_after_that_one_was_lost_and_not_before(is_lost: bool) -> None:
    for since_us, state in ((501, S.ORPHANED), (500, S.ACQUIRING)):
        process = Process("b", "c")
        names = [b"r%d" % number for number in range(99)]
        room = next(room for room in names if successor(room, ["a.", "b."]) == "b.")
        key = f"owner.{room.hex()}"
        owner = "c.x.1" if is_lost else "a.life1.1"
        if not is_lost:
            process.ownership.want(process.ownership.at(room), 0)
            process.take().answers(9)
        process.ownership.saw(Entry(key, json.dumps(["kin", owner, 0, False, False]).encode(), 9), 0)
        process.lease.saw(Entry("node.c", None, 30), 0)
        if is_lost:
            process.ownership.node_lost(owner, since_us)
        else:
            process.ownership.lease_lost(since_us)
        process.at(500 + BOUND_US)
        assert process.ownership.rooms[room].state is state


# --- rooms that are listed -------------------------------------------------------------------------------------


def listed() -> Process:
    process = Process("b")
    process.ownership.at(LOBBY).is_listed = True
    return process.wants().answers(10)


def test_a_room_that_closes_is_listed_no_more_and_keeps_its_fencing_number() -> None:
    process = listed()
    process.ownership.list_no_more(LOBBY, 0)
    process.take()
    assert process.last == put_of(OWNER, ["kin", "a.life1.1", 10, False, False], 10, process.last.ask)
    process.answers(12).ownership.closed(LOBBY)
    assert process.take().deleted[-1] == Delete(OWNER, 12)
    process = listed().saw("a.life1.1", 12, 10)
    assert (process.state, process.ownership.fence_of(LOBBY)) == (S.OWNED, 10)


def test_an_owner_that_does_not_hear_whether_its_room_is_listed_keeps_it_and_saves_it() -> None:
    process = listed()
    process.ownership.list_no_more(LOBBY, 0)
    process.ownership.changed(LOBBY, 0, at_once=True)
    before = len(process.at(BOUND_US - 1).asked)
    process.at(BOUND_US)
    assert process.last == put_of(STATE, snapshot(10), 0, process.last.ask)
    assert (process.state, len(process.asked)) == (S.OWNED, before + 1)


def test_a_room_that_is_not_listed_closes_without_a_word() -> None:
    process = owning()
    before = len(process.asked)
    process.ownership.list_no_more(LOBBY, 0)
    assert len(process.take().asked) == before


def test_a_fencing_number_grows_with_each_owner_and_not_with_what_else_is_written() -> None:
    process = Process("b", "c").saw("b.x.1", 9).saw("b.x.1", 12, 9)
    assert process.ownership.fence_of(LOBBY) == 9
    assert process.saw("c.x.1", 15).ownership.fence_of(LOBBY) == 15
    assert process.ownership.fence_of(b"attic") == 0


# --- a room that is looked up -----------------------------------------------------------------------------------


def looking() -> Process:
    process = Process("b")
    process.ownership.look_up(process.ownership.at(LOBBY), 0)
    return process.take()


def test_a_room_that_is_looked_up_is_found_at_its_owner() -> None:
    process = looking().answers(9, b'["kin", "b.x.1", 0, false, false]')
    assert (process.state, process.room.owner, process.room.fence) == (S.ELSEWHERE, "b.x.1", 9)
    assert process.done == ["drop", "settled elsewhere"]


def test_a_strangers_room_that_is_looked_up_is_nobodys_here() -> None:
    process = looking().answers(9, b'["other", "b.x.1", 0, false, false]')
    assert process.done == ["settled unowned"]
    assert process.ownership.rooms == {}


def test_a_look_up_is_repeated_until_it_is_answered() -> None:
    process = looking().at(BOUND_US)
    assert process.asked == [Get(process.asked[0].ask, OWNER), Get(process.last.ask, OWNER)]
    assert process.asked[0].ask != process.last.ask


def test_a_room_that_is_seen_while_it_is_looked_up_is_not_forgotten_by_the_answer() -> None:
    process = looking().saw("b.x.1", 9).answers(None)
    assert (process.state, process.done) == (S.ELSEWHERE, ["drop", "settled elsewhere"])


def test_a_room_that_is_gone_is_made_anew_like_one_that_never_was() -> None:
    process = Process("b").saw("b.x.1", 9)
    process.room.held.append((7, True))  # a request waits here
    process.saw(None, 12)
    assert (process.state, process.ownership.fence_of(LOBBY), process.room.held) == (S.UNOWNED, 0, [(7, True)])
    process.wants()
    assert isinstance(process.last, Put)
    assert (process.last.key, process.last.revision) == (OWNER, 0)
    assert process.answers(14).state is S.OWNED
    process.ownership.changed(LOBBY, 0, at_once=True)
    assert process.at(0).last == put_of(STATE, snapshot(14), 0, process.last.ask)


def test_a_room_that_is_gone_while_it_is_taken_is_asked_for_no_more() -> None:
    process = orphaned().answers(31).saw(None, 33)
    before = len(process.asked)
    assert process.ownership.rooms == {}
    assert len(process.at(BOUND_US).asked) == before


@pytest.mark.parametrize("is_under_way", [True, False])
def test_a_closed_room_is_saved_no_more(is_under_way: bool) -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=is_under_way)
    process.at(0).ownership.closed(LOBBY)
    before = len(process.take().asked)
    assert len(process.at(SAVE_EVERY_US).at(2 * BOUND_US).asked) == before
    assert process.ownership.next_us() is None


# --- who waits, and when ------------------------------------------------------------------------------------------


def test_what_waits_for_an_owner_goes_on_when_that_one_has_joined() -> None:
    process = Process("b").saw("b.x.1", 9)
    process.done.clear()
    process.ownership.node_joined("b.x.1", 0)
    assert process.done == []  # nothing waits
    process.room.held.append((7, False))
    for address, done in (("c.x.1", []), ("b.x.1", ["settled elsewhere"])):
        process.ownership.node_joined(address, 0)
        assert process.done == done


def test_who_has_rooms_looks_at_them_every_third_of_the_lease_and_who_has_none_sleeps() -> None:
    assert Process().at(0).ownership.next_us() is None
    process = owning().at(5).at(6)
    assert process.ownership.next_us() == 5 + BOUND_US


def test_it_is_woken_for_the_first_of_what_is_to_be_saved_and_asked_again() -> None:
    process = Process("b").wants()
    process.ownership.want(process.ownership.at(b"attic"), 3)
    assert process.take().at(5).ownership.next_us() == BOUND_US
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=False)
    assert process.at(5).ownership.next_us() == SAVE_EVERY_US


def test_a_change_during_a_save_waits_for_its_answer_and_is_then_due() -> None:
    process = owning()
    process.ownership.changed(LOBBY, 0, at_once=True)
    process.at(0).ownership.changed(LOBBY, 5, at_once=True)
    assert process.at(5).ownership.next_us() == BOUND_US
    assert process.answers(20).ownership.next_us() == 5


def test_each_step_of_a_room_is_told_once_by_its_name() -> None:
    process = owning()
    process.ownership.hand_over(0)
    process.take().answers(20).saw("b.x.1", 21).saw("b.x.1", 22).saw(None, 23)
    assert process.steps == ["wanted", "acquired", "handing_over", "seen", "vacated"]
    process = owning()
    process.ownership.closed(LOBBY)
    steps = [each for each in process.lease.pending if isinstance(each, ClusterStepped)]
    assert [(each.event, each.subject) for each in steps] == [("vacated", "lobby")]


# --- what the bucket shows ------------------------------------------------------------------------------------


def test_what_is_older_than_what_is_known_counts_for_nothing() -> None:
    process = owning()
    assert process.saw("b.x.1", 9).state is S.OWNED
    assert process.saw(None, 10).state is S.OWNED
    assert process.saw(None, 11).state is S.UNOWNED


@pytest.mark.parametrize(
    "value",
    [b"", b"junk", b"[]", b"{}", b"7", b'["kin", "b.x.1", 0, true]', b'["kin", 7, 0, true, false]',
     b'["kin", "b.x.1", "0", true, false]', b'["other", "b.x.1", 0, true, false]',
     b'[["kin"], "b.x.1", 0, true, false]', b"\xff"],
)  # fmt: skip
def test_a_key_that_no_process_of_this_version_has_written_makes_no_room(value: bytes) -> None:
    process = Process("b")
    process.ownership.saw(Entry(OWNER, value, 9), 0)
    assert process.ownership.rooms == {}
    process.ownership.saw(Entry("owner.xyz", b'["kin", "b.x.1", 0, true, false]', 9), 0)
    assert process.ownership.rooms == {}


def test_a_room_that_was_looked_up_and_is_not_there_is_forgotten() -> None:
    process = Process()
    process.ownership.look_up(process.ownership.at(LOBBY), 0)
    process.take().answers(None)
    assert process.done == ["settled unowned"]
    assert process.ownership.rooms == {}


def test_a_closed_room_is_deleted_with_what_was_saved_of_it() -> None:
    process = owning()
    process.ownership.closed(LOBBY)
    process.take()
    assert process.deleted == [Delete(STATE, 0), Delete(OWNER, 10)]
    assert process.ownership.rooms == {}


def test_all_agree_on_the_successor_whatever_order_and_lives_they_see() -> None:
    addresses = ["a.life1.1", "b.life2.1", "c.life3.4"]
    for room in (b"r%d" % number for number in range(20)):
        chosen = successor(room, addresses).partition(".")[0]
        assert successor(room, addresses[::-1]).partition(".")[0] == chosen
        assert successor(room, [f"{each[0]}.other.9" for each in addresses]).partition(".")[0] == chosen
    assert len({successor(b"r%d" % number, addresses) for number in range(20)}) == 3
    assert successor(LOBBY, []) == ""
