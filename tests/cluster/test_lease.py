"""The lease of one process, to the microsecond: how long it holds, when it is renewed, who is taken for gone."""

from __future__ import annotations

import itertools
import json

import pytest

from tcrp.cluster.lease import Lease, News
from tcrp.cluster.outputs import Answer, ClusterStepped, Delete, Entry, Get, Happened, Put, What
from tcrp.spec.cluster_names import DRIFT_PARTS, LeaseEvent, LeaseState

US = 3_000_000
DRIFT_US = US // DRIFT_PARTS
BOUND_US = US // 3


class Process:
    """A process named a, its clock, and what it has asked of the bucket."""

    def __init__(self) -> None:
        asks = itertools.count(1)
        self.lease = Lease("a", "life1", "kin", US, lambda: next(asks))
        self.now_us = 0
        self.steps: list[str] = []
        self.told: list[tuple[What, str]] = []
        self.puts: list[Put] = []
        self.gets: list[Get] = []
        self.deletes: list[Delete] = []

    def at(self, now_us: int) -> Process:
        self.now_us = now_us
        self.lease.tick(now_us)
        return self.take()

    def take(self) -> Process:
        for each in self.lease.pending:
            match each:
                case Put():
                    self.puts.append(each)
                case Get():
                    self.gets.append(each)
                case Delete():
                    self.deletes.append(each)
                case ClusterStepped():
                    self.steps.append(each.event)
                case Happened(what, subject):
                    self.told.append((what, subject))
        self.lease.pending.clear()
        return self

    def is_answered(self, revision: int | None, *, at_us: int | None = None) -> Process:
        """The latest Put is answered, now unless at another moment."""
        self.now_us = self.now_us if at_us is None else at_us
        assert self.lease.answered(self.puts[-1].ask, Answer(revision), self.now_us)
        return self.take()

    def finds(self, revision: int | None, value: bytes = b"") -> Process:
        """The latest Get is answered."""
        assert self.lease.answered(self.gets[-1].ask, Answer(revision, value), self.now_us)
        return self.take()

    def saw(
        self, name: str, revision: int, address: str | None = None, *, kin: str = "kin", renewed: bool = True
    ) -> News:
        value = None if address is None else json.dumps([kin, address, renewed]).encode()
        news = self.lease.saw(Entry(f"node.{name}", value, revision), self.now_us)
        self.take()
        return news

    @property
    def holds(self) -> bool:
        return self.lease.holds(self.now_us)


def holding() -> Process:
    """It asked at 0, was answered at once, has renewed once, and holds its lease since."""
    return Process().at(0).is_answered(5).is_answered(6)


# --- its own -------------------------------------------------------------------------------------


def test_a_lease_holds_from_its_answer_and_is_counted_from_when_it_was_asked_for() -> None:
    process = Process().at(0)
    assert process.puts == [Put(1, "node.a", b'["kin", "a.life1.1", false]', 0)]
    assert not process.holds
    process.is_answered(5, at_us=BOUND_US - 1)
    assert process.holds
    assert (process.lease.until_us, process.lease.revision) == (US - DRIFT_US, 5)


def test_a_granted_claim_is_renewed_at_once_so_that_others_know_that_it_may_be_given_rooms() -> None:
    process = Process().at(0).is_answered(5, at_us=7)
    assert process.puts[1:] == [Put(2, "node.a", b'["kin", "a.life1.1", true]', 5)]
    process.is_answered(6, at_us=9)
    assert process.lease.until_us == 7 + US - DRIFT_US
    assert process.lease.next_us() == 7 + BOUND_US


@pytest.mark.parametrize(("now_us", "holds"), [(US - DRIFT_US - 1, True), (US - DRIFT_US, False)])
def test_it_holds_for_the_lease_less_the_drift_and_no_microsecond_longer(now_us: int, holds: bool) -> None:
    process = holding()
    process.now_us = now_us  # nobody has woken it yet
    assert process.holds is holds
    process.at(now_us)
    assert process.lease.state is (LeaseState.RENEWING if holds else LeaseState.CLAIMING)
    assert process.lease.address == ("a.life1.1" if holds else "a.life1.2")


def test_it_is_renewed_by_thirds_and_each_renewal_lengthens_it() -> None:
    process = holding()
    assert process.lease.next_us() == BOUND_US
    process.at(BOUND_US - 1)
    assert len(process.puts) == 2
    process.at(BOUND_US).is_answered(7)
    assert process.puts[-1] == Put(3, "node.a", b'["kin", "a.life1.1", true]', 6)
    assert process.lease.until_us == BOUND_US + US - DRIFT_US
    assert process.steps == [LeaseEvent.CLAIMED, LeaseEvent.GRANTED] + 2 * [LeaseEvent.RENEWAL_SENT, LeaseEvent.GRANTED]


def test_an_unanswered_renewal_is_sent_again_after_a_third_and_not_before() -> None:
    process = holding().at(BOUND_US).at(2 * BOUND_US - 1)
    assert len(process.puts) == 3
    assert process.lease.next_us() == 2 * BOUND_US
    process.at(2 * BOUND_US)
    assert [each.revision for each in process.puts] == [0, 5, 6, 6]
    assert process.holds


def test_the_holder_is_woken_at_the_end_of_its_lease_though_a_renewal_is_under_way() -> None:
    process = holding().at(BOUND_US).at(2 * BOUND_US)
    assert process.lease.next_us() == US - DRIFT_US


def test_an_answer_counts_until_a_third_has_passed_though_its_process_was_woken_before() -> None:
    process = Process().at(0).at(BOUND_US - 1).is_answered(5)
    assert process.holds
    process.is_answered(6).at(2 * BOUND_US - 1).at(3 * BOUND_US - 2).is_answered(7)
    assert process.lease.until_us == 2 * BOUND_US - 1 + US - DRIFT_US


def test_an_answer_to_an_earlier_ask_counts_for_nothing() -> None:
    process = holding().at(BOUND_US).at(2 * BOUND_US)
    assert not process.lease.answered(3, Answer(7), process.now_us)
    assert process.lease.until_us == US - DRIFT_US
    process.is_answered(8)
    assert process.lease.until_us == 2 * BOUND_US + US - DRIFT_US


def test_an_unanswered_claim_is_over_after_a_third() -> None:
    process = Process().at(0).at(BOUND_US)
    assert process.steps == [LeaseEvent.CLAIMED, LeaseEvent.RAN_OUT, LeaseEvent.CLAIMED]
    assert not process.lease.answered(1, Answer(5), process.now_us)


def test_a_refused_renewal_is_repeated_with_the_revision_that_the_bucket_shows() -> None:
    """It was written, and only its answer was lost."""
    process = holding().at(BOUND_US)
    process.is_answered(None)
    assert process.lease.state is LeaseState.RENEWING
    assert process.saw("a", 7, "a.life1.1") == News()
    process.at(2 * BOUND_US)
    assert process.puts[-1].revision == 7
    assert process.holds


def test_a_name_of_another_process_is_taken_when_that_ones_lease_is_over() -> None:
    process = Process()
    assert process.saw("a", 3, "a.other.1") == News()
    process.at(0).at(US + DRIFT_US - 1)
    assert process.puts == []
    assert process.lease.next_us() == US + DRIFT_US
    process.at(US + DRIFT_US)
    assert [each.revision for each in process.puts] == [3]


def test_a_name_that_another_keeps_renewing_is_spoken_of_once() -> None:
    process = Process()
    for revision in (3, 4, 5):
        process.saw("a", revision, "a.other.1")
    assert process.told == [(What.NAME_IN_USE, "a")]


def test_a_renewal_that_is_refused_because_another_has_the_name_ends_the_lease() -> None:
    process = holding().at(BOUND_US)
    process.saw("a", 9, "a.other.1")
    process.is_answered(None)
    assert not process.holds
    assert process.steps[-1] == LeaseEvent.REFUSED
    assert process.lease.address == "a.life1.2"


def test_a_name_that_is_free_again_is_claimed_at_once() -> None:
    process = Process()
    process.saw("a", 3, "a.other.1")
    process.at(0)
    process.saw("a", 4)
    process.at(1)
    assert [each.revision for each in process.puts] == [0]


def test_a_name_whose_claim_was_refused_is_claimed_as_soon_as_it_is_free() -> None:
    process = Process().at(0).is_answered(None)
    process.saw("a", 3, "a.other.1")
    process.saw("a", 4)
    process.at(1)
    assert [each.revision for each in process.puts] == [0, 0]


def test_a_claim_that_is_not_answered_is_over_after_a_third_though_another_has_the_name() -> None:
    process = Process().at(0)
    process.saw("a", 3, "a.other.1")
    assert process.lease.next_us() == BOUND_US
    process.at(BOUND_US)
    assert process.steps == [LeaseEvent.CLAIMED, LeaseEvent.RAN_OUT]


def test_what_is_shown_late_of_the_name_does_not_keep_its_holder_from_renewing() -> None:
    process = holding()
    process.saw("a", 4, "a.other.1")
    process.saw("a", 5)
    process.at(BOUND_US)
    assert [each.revision for each in process.puts] == [0, 5, 6]


def test_one_that_had_the_name_and_is_shown_again_without_a_renewal_is_not_waited_for_again() -> None:
    process = Process()
    process.saw("a", 3, "a.other.1")
    process.at(US + DRIFT_US)
    process.saw("a", 3, "a.other.1")
    process.at(US + DRIFT_US + BOUND_US)
    assert [each.revision for each in process.puts] == [3, 3]


def test_a_renewal_of_its_earlier_life_that_was_written_late_does_not_keep_it_waiting() -> None:
    process = holding().at(BOUND_US).at(US - DRIFT_US)
    process.saw("a", 7, "a.life1.1")
    process.is_answered(None).at(US - DRIFT_US + BOUND_US)
    assert process.puts[-1]._replace(ask=0) == Put(0, "node.a", b'["kin", "a.life1.2", false]', 7)
    assert process.is_answered(8).holds


def test_who_loses_its_lease_while_another_has_its_name_claims_nothing_before_that_ones_lease_is_over() -> None:
    process = holding().at(BOUND_US)
    process.saw("a", 9, "a.other.1")
    over_us = BOUND_US + US + DRIFT_US
    process.at(US - DRIFT_US)
    assert not process.holds
    assert process.lease.next_us() == over_us
    assert len(process.at(over_us - 1).puts) == 3
    assert process.at(over_us).puts[-1].revision == 9


def test_a_renewal_that_is_granted_after_the_lease_was_released_gives_it_back_to_nobody() -> None:
    process = holding().at(BOUND_US)
    process.lease.release()
    process.take().is_answered(7)
    assert (process.lease.state, process.holds, process.lease.next_us()) == (LeaseState.RELEASED, False, None)


def test_a_released_lease_is_deleted_and_asks_for_nothing_more() -> None:
    process = holding()
    process.lease.release()
    process.take().at(10 * US)
    assert process.deletes == [Delete("node.a", 6)]
    assert (process.holds, process.lease.next_us(), len(process.puts)) == (False, None, 2)
    process.lease.release()
    assert process.lease.pending == []


# --- the others ----------------------------------------------------------------------------------


def test_who_is_seen_joins_and_counts_as_alive_for_the_lease_and_the_drift() -> None:
    process = holding()
    assert process.saw("b", 7, "b.life9.1") == News("", "b.life9.1", "b.life9.1")
    assert process.told == [(What.NODE_JOINED, "b")]
    assert process.lease.is_alive("b.life9.1")
    assert not process.lease.is_alive("b.life9.2")
    assert process.saw("b", 8, "b.life9.1") == News()
    assert process.saw("b", 9, "b.life9.2") == News("b.life9.1", "b.life9.2", "b.life9.2")
    assert process.saw("b", 10) == News("b.life9.2")
    assert process.told[1:] == [(What.NODE_LOST, "b")]
    assert process.saw("b", 11) == News()


def test_who_has_only_claimed_is_alive_and_may_be_given_rooms_once_it_has_renewed() -> None:
    process = holding()
    assert process.saw("b", 7, "b.life9.1", renewed=False) == News("", "b.life9.1")
    assert process.lease.is_alive("b.life9.1")
    assert process.lease.candidates() == []
    assert process.saw("b", 8, "b.life9.1") == News(renewed="b.life9.1")
    assert process.lease.candidates() == ["b.life9.1"]
    assert process.saw("b", 9, "b.life9.2", renewed=False) == News("b.life9.1", "b.life9.2")
    assert process.lease.candidates() == []


def test_a_renewal_that_was_only_looked_up_is_news_when_it_is_shown() -> None:
    process = holding()
    process.saw("b", 7, "b.life9.1", renewed=False)
    process.at(US + DRIFT_US).finds(8, ALIVE)
    assert process.lease.candidates() == []
    assert process.saw("b", 8, "b.life9.1") == News(renewed="b.life9.1")


@pytest.mark.parametrize("silence_us", [US + DRIFT_US - 1, US + DRIFT_US])
def test_who_was_not_seen_for_so_long_is_looked_up_before_it_is_taken_for_lost(silence_us: int) -> None:
    process = holding()
    process.saw("b", 7, "b.life9.1")
    process.at(silence_us)
    assert [each.key for each in process.gets] == (["node.b"] if silence_us == US + DRIFT_US else [])
    assert process.lease.is_alive("b.life9.1")
    assert process.lease.take_lost() == []


def looked_up() -> Process:
    process = holding()
    process.saw("b", 7, "b.life9.1")
    return process.at(US + DRIFT_US)


ALIVE = b'["kin", "b.life9.1", true]'


@pytest.mark.parametrize(
    ("revision", "value", "is_lost"),
    [
        (8, ALIVE, False),
        (7, ALIVE, True),  # nothing new since it was last seen
        (8, b'["kin", "b.life9.2", true]', True),
        (8, b'["other", "b.life9.1", true]', True),
        (8, b"junk", True),
        (None, b"", True),
    ],
)
def test_what_its_key_says_then_decides(revision: int | None, value: bytes, is_lost: bool) -> None:
    process = looked_up().finds(revision, value)
    assert process.lease.take_lost() == (["b.life9.1"] if is_lost else [])
    assert process.lease.take_lost() == []
    assert process.lease.is_alive("b.life9.1") is not is_lost
    assert ((What.NODE_LOST, "b") in process.told) is is_lost


def test_who_is_found_alive_has_as_long_again_and_must_then_have_renewed_once_more() -> None:
    process = looked_up().finds(8, ALIVE)
    found_us = process.now_us
    assert len(process.at(found_us + US + DRIFT_US - 1).gets) == 1
    assert len(process.at(found_us + US + DRIFT_US).gets) == 2
    process.finds(8, ALIVE)
    assert process.lease.take_lost() == ["b.life9.1"]


def test_who_is_looked_up_is_not_waited_for_by_waking_over_and_over() -> None:
    assert looked_up().lease.next_us() == US + DRIFT_US + BOUND_US


def test_two_that_fall_silent_together_are_both_looked_up() -> None:
    process = holding()
    for name in ("b", "c"):
        process.saw(name, 7, f"{name}.life9.1")
    process.at(US + DRIFT_US)
    assert [each.key for each in process.gets] == ["node.b", "node.c"]


def test_who_is_seen_while_it_is_looked_up_is_not_lost() -> None:
    process = looked_up()
    process.saw("b", 8, "b.life9.1")
    process.finds(None)
    assert process.lease.take_lost() == []
    assert process.lease.is_alive("b.life9.1")


def test_an_answer_that_never_comes_wakes_nobody_once_the_process_was_seen_again() -> None:
    process = looked_up()
    process.saw("b", 8, "b.life9.1")
    asked_us = process.now_us
    for now_us in range(asked_us, asked_us + US, BOUND_US // 3):
        process.at(now_us)
        next_us = process.lease.next_us()
        assert next_us is not None
        assert next_us > now_us
    assert len(process.gets) == 1


def test_one_look_up_is_under_way_at_a_time_and_is_repeated_after_a_third() -> None:
    process = looked_up()
    begun_us = process.now_us
    process.lease.suspect("b.life9.1", begun_us + BOUND_US - 1)
    assert len(process.take().gets) == 1
    process.lease.suspect("b.life9.1", begun_us + BOUND_US)
    assert len(process.take().gets) == 2
    assert not process.lease.answered(process.gets[0].ask, Answer(None), process.now_us)


@pytest.mark.parametrize(
    "value", [b"", b"junk", b"{}", b"[]", b"7", b'["kin"]', b'["kin", 7, 1]', b"[1, 2, 3, 4]", b"\xff"]
)
def test_a_key_of_another_form_is_a_strangers_and_spoken_of_once(value: bytes) -> None:
    process = holding()
    for revision in (7, 8):
        assert process.lease.saw(Entry("node.b", value, revision), 0) == News()
    assert process.take().told == [(What.STRANGER, "b")]
    assert not process.lease.seen


def test_one_that_becomes_a_stranger_is_lost() -> None:
    process = holding()
    process.saw("b", 7, "b.life9.1")
    assert process.saw("b", 8, "b.life9.2", kin="newer") == News("b.life9.1")
    assert process.told[1:] == [(What.STRANGER, "b"), (What.NODE_LOST, "b")]
