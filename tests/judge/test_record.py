"""What one probe puts on record, within its limits, and what several runs of it agree on."""

from __future__ import annotations

import pytest

from tcrp.judge.record import DATA_BYTES_MAX, EXCHANGES_MAX, ProbeRecord, Waits, agreed, is_bad
from tcrp.judge.verdicts import Finding, Outcome
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Rule


class Clock:
    now_us = 1000

    def __call__(self) -> int:
        return self.now_us


def record(**waits: object) -> tuple[ProbeRecord, Clock]:
    clock = Clock()
    return ProbeRecord(clock, Waits(**waits), "relays"), clock  # type: ignore[arg-type]


# --- what was exchanged ----------------------------------------------------------------------------


def test_moments_count_from_the_beginning_of_the_probe() -> None:
    probe, clock = record()
    clock.now_us = 1500
    probe.log("bob", "→", "UDP", b"hi", "says")
    probe.log("bob", "←", "UDP", b"ho", "", at_us=1200)
    probe.note("that was all")
    assert [tuple(each) for each in probe.exchanges] == [
        (500, "bob", "→", "UDP", b"hi", "says"),
        (200, "bob", "←", "UDP", b"ho", ""),
        (500, "judge", "·", "", b"", "that was all"),
    ]


@pytest.mark.parametrize("size", [DATA_BYTES_MAX, DATA_BYTES_MAX + 1])
def test_of_long_data_the_beginning_is_kept(size: int) -> None:
    probe, _ = record()
    probe.log("bob", "→", "UDP", b"x" * size)
    assert len(probe.exchanges[0].data) == DATA_BYTES_MAX


@pytest.mark.parametrize("count", [EXCHANGES_MAX, EXCHANGES_MAX + 1])
def test_the_evidence_is_the_latest_that_was_exchanged_in_order_of_time(count: int) -> None:
    probe, clock = record()
    for number in reversed(range(count)):
        probe.log("bob", "→", "UDP", b"%d" % number, at_us=clock.now_us + number)
    probe.broken(Rule.REL_1, "no")
    [finding] = probe.findings
    assert [each.at_us for each in finding.evidence] == list(range(count))[-EXCHANGES_MAX:]


def test_evidence_is_what_was_known_when_it_was_found() -> None:
    probe, _ = record()
    probe.log("bob", "→", "UDP", b"one")
    probe.judge(Rule.REL_1, True, "good", "bad")
    probe.log("bob", "→", "UDP", b"two")
    probe.judge(Rule.REL_2, False, "good", "bad")
    assert [(each.outcome, each.said, len(each.evidence)) for each in probe.findings] == [
        (Outcome.HOLDS, "good", 1), (Outcome.BROKEN, "bad", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("is_given", "outcome", "said"),
    [
        (True, Outcome.BROKEN, "it lives after 2.5 s (--patience)"),
        (False, Outcome.NOT_TESTED, "it lives after 2.5 s; give --patience longer than the server's timeout"),
    ],
)
def test_what_outlives_the_patience_is_broken_only_if_that_was_given(
    is_given: bool, outcome: Outcome, said: str
) -> None:
    probe, _ = record(patience_us=5 * SECOND_US // 2, patience_is_given=is_given)
    probe.outlives(Rule.IDLE_1, "it lives")
    [finding] = probe.findings
    assert (finding.outcome, finding.said, finding.inconclusive) == (outcome, said, False)


def test_only_rules_of_which_nothing_was_said_are_left_open() -> None:
    probe, _ = record()
    probe.holds(Rule.REL_1, "good")
    probe.left_open((Rule.REL_1, Rule.REL_3), "no word", inconclusive=True)
    assert [(each.rule, each.outcome, each.inconclusive) for each in probe.findings] == [
        (Rule.REL_1, Outcome.HOLDS, False), (Rule.REL_3, Outcome.NOT_TESTED, True),
    ]  # fmt: skip


# --- several runs ----------------------------------------------------------------------------------

GOOD, GOOD_3 = (Finding(rule, Outcome.HOLDS, "good", "relays") for rule in (Rule.REL_1, Rule.REL_3))
BAD, BAD_3 = (Finding(rule, Outcome.BROKEN, "bad", "relays") for rule in (Rule.REL_1, Rule.REL_3))
SKIPPED = Finding(Rule.REL_1, Outcome.NOT_TESTED, "no word", "relays")
OPEN = SKIPPED._replace(said="lost", inconclusive=True)


@pytest.mark.parametrize(
    ("findings", "bad"), [([], False), ([GOOD], False), ([SKIPPED], False), ([OPEN], True), ([GOOD_3, BAD], True)]
)
def test_a_run_is_bad_if_something_is_broken_or_could_not_be_said(findings: list[Finding], bad: bool) -> None:
    assert is_bad(findings) is bad


@pytest.mark.parametrize(
    ("tries", "outcomes", "said"),
    [
        ([[GOOD]], [Outcome.HOLDS], "good"),
        ([[BAD], [GOOD]], [Outcome.HOLDS], "good (not at the first try, when bad)"),
        ([[OPEN], [BAD], [GOOD]], [Outcome.HOLDS], "good (not at the first try, when bad)"),
        ([[BAD]], [Outcome.BROKEN], "bad"),
        ([[BAD], [BAD], [BAD]], [Outcome.BROKEN], "bad"),
        ([[BAD], [OPEN]], [Outcome.NOT_TESTED], "lost"),
        ([[OPEN], [BAD]], [Outcome.NOT_TESTED], "the network may have lost a packet: not in all of 2 tries, bad"),
        ([[BAD, GOOD_3], [BAD, BAD_3]], [Outcome.BROKEN, Outcome.NOT_TESTED], "bad"),
    ],
)
def test_broken_is_only_what_every_run_found_broken(
    tries: list[list[Finding]], outcomes: list[Outcome], said: str
) -> None:
    found = agreed(tries)
    assert ([each.outcome for each in found], found[0].said) == (outcomes, said)
    assert all(each.inconclusive for each in found if each.outcome is Outcome.NOT_TESTED)
