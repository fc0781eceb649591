"""Probes of a client that need a run each, at the bounds of what they judge."""

from __future__ import annotations

import pytest

from judge.memory_client import Person, found
from judge.memory_ground import broken, outcomes
from tcrp.judge.client_suite import ALONE, AloneProbe
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Outcome
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Rule

BY_NAME = {each.name: each for each in ALONE}
PATIENT = Waits(patience_us=12 * SECOND_US, patience_is_given=True)
"""Longer than our client waits for an answer."""


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", ALONE, ids=lambda each: each.name)
def test_our_client_breaks_nothing_in_any_dialect(probe: AloneProbe, dialect: str) -> None:
    person = type("Speaks", (Person,), {"dialect": dialect})
    findings = found(probe, person, PATIENT)
    assert broken(findings) == {}
    assert {each.rule for each in findings} == set(probe.rules)
    assert not any(each.inconclusive for each in findings)


@pytest.mark.parametrize(
    ("patience_s", "is_given", "outcome"),
    [(12, True, Outcome.HOLDS), (9, True, Outcome.BROKEN), (9, False, Outcome.NOT_TESTED)],
)
@pytest.mark.parametrize("name", ["no answer", "half a reply"])
def test_who_does_not_give_up_is_found_only_within_a_patience_that_was_given(
    name: str, patience_s: int, is_given: bool, outcome: Outcome
) -> None:
    waits = Waits(patience_us=patience_s * SECOND_US, patience_is_given=is_given)
    assert outcomes(found(BY_NAME[name], waits=waits)) == {Rule.TCP_5: outcome}


class WaitsForEver(Person):
    def due_us(self) -> int | None:
        return None

    def reads(self, data: bytes) -> None: ...
    def reads_the_end(self) -> None: ...


@pytest.mark.parametrize("probe", [each for each in ALONE if each.waits_for_a_timeout], ids=lambda each: each.name)
def test_who_waits_for_ever_breaks_each_probe_of_a_timeout(probe: AloneProbe) -> None:
    said = broken(found(probe, WaitsForEver, PATIENT))
    assert list(said) == list(probe.rules)


class ReadsOnePiece(Person):
    """Takes only a reply whose first piece is whole."""

    least = 0
    pieces = 0

    def reads(self, data: bytes) -> None:
        self.pieces += 1
        if len(data) >= self.least and self.pieces <= 2:
            super().reads(data)


@pytest.mark.parametrize(
    ("name", "least", "is_found"),
    [("reply byte by byte", 2, True), ("reply in one segment", 2, False), ("reply in one segment", 9999, True)],
)
def test_who_takes_one_piece_for_one_frame_is_found(name: str, least: int, is_found: bool) -> None:
    person = type("Reads", (ReadsOnePiece,), {"least": least})
    assert (Rule.TCP_3 in broken(found(BY_NAME[name], person))) is is_found


# --- refusals --------------------------------------------------------------------------------------


class SendsAllTheSame(Person):
    def exits(self, code: int) -> None:
        self.sends(b"\5\1lobbyt")
        super().exits(code)


class SaysNothing(Person):
    def writes(self, text: str) -> None: ...
    def exits(self, code: int) -> None: ...


@pytest.mark.parametrize("name", ["refused to join", "refused to create"])
def test_a_refused_client_tells_its_user_and_sends_nothing(name: str) -> None:
    assert "sends datagrams all the same" in broken(found(BY_NAME[name], SendsAllTheSame))[Rule.TCP_2]
    assert "shows nothing of it" in broken(found(BY_NAME[name], SaysNothing))[Rule.TCP_2]


class OnlyJoins(Person):
    def begins(self) -> None:
        self.values = {**self.values, "operation": "join"}
        super().begins()


def test_a_client_that_never_creates_is_not_asked_how_it_takes_that_refusal() -> None:
    [finding] = found(BY_NAME["refused to create"], OnlyJoins)
    assert (finding.outcome, finding.inconclusive) == (Outcome.NOT_TESTED, False)


# --- entering --------------------------------------------------------------------------------------


def entering(times: int) -> type[Person]:
    class Enters(Person):
        sent = 0

        def sends(self, data: bytes) -> None:
            self.sent += 1
            if self.sent <= times:
                super().sends(data)

    return Enters


@pytest.mark.parametrize(("times", "outcome"), [(3, Outcome.HOLDS), (2, Outcome.BROKEN), (0, Outcome.BROKEN)])
def test_a_client_says_at_least_three_times_that_it_is_there(times: int, outcome: Outcome) -> None:
    assert outcomes(found(BY_NAME["lost at entering"], entering(times))) == {Rule.UDP_4: outcome}


def test_an_enter_word_that_is_none_is_found() -> None:
    class SaysHello(Person):
        def sends(self, data: bytes) -> None:
            super().sends(data + b"hello")

    assert broken(found(BY_NAME["lost at entering"], SaysHello)) == {
        Rule.UDP_4: "it enters with 'hello'; 'an empty text' is due"
    }


# --- ends ------------------------------------------------------------------------------------------


class GoesOn(Person):
    """Shows every datagram, and ends at none."""

    def hears(self, data: bytes) -> None:
        self.writes(data.decode(errors="replace"))


class ShowsNothingOfIt(GoesOn):
    def writes(self, text: str) -> None: ...

    def is_told(self, line: str) -> None: ...


@pytest.mark.parametrize("name", ["end of the room", "other ends"])
def test_a_client_that_goes_on_after_its_end_is_found(name: str) -> None:
    assert "goes on sending what its user says" in broken(found(BY_NAME[name], GoesOn))[Rule.END_1]
    assert "shows nothing of it" in broken(found(BY_NAME[name], ShowsNothingOfIt))[Rule.END_1]


def test_a_dialect_with_one_sentence_for_all_ends_is_asked_once() -> None:
    person = type("Speaks", (Person,), {"dialect": "json-name"})
    [finding] = found(BY_NAME["other ends"], person)
    assert (finding.outcome, finding.said) == (Outcome.NOT_TESTED, "this dialect has one sentence for every end")


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["room", "name"])
def test_a_name_that_is_not_sent_as_it_is_typed_is_found(which: str) -> None:
    class Ascii(Person):
        def begins(self) -> None:
            self.values = {**self.values, which: self.values[which].encode("ascii", "replace").decode()}
            super().begins()

    assert list(broken(found(BY_NAME["names"], Ascii))) == [Rule.NAME_1]


def test_an_endless_reply_is_not_read_for_ever() -> None:
    class ReadsOn(WaitsForEver):
        def reads(self, data: bytes) -> None: ...

    assert broken(found(BY_NAME["endless reply"], ReadsOn)) == {Rule.LIM_1: "it has read 8 MiB of a reply, and goes on"}
