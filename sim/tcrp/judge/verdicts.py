"""What a judgement says: for each rule whether it holds, is broken, or was not tested and why, with the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tcrp.spec.names import Rule


class Outcome(StrEnum):
    """What is known of a rule after a judgement."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_TESTED = "not tested"


class Exchange(NamedTuple):
    """One thing that was sent, received or noted. `at_us` counts from the beginning of the probe."""

    at_us: int
    who: str
    sign: str  # "→" to the server, "←" from it, "·" a note
    transport: str
    data: bytes
    note: str


class Finding(NamedTuple):
    """What one probe found about one rule.

    `inconclusive`: the question was asked, and the network or something else took the answer. Where it could not be
    asked at all (no such word in the dialect), a finding is not tested without being inconclusive.
    """

    rule: Rule
    outcome: Outcome
    said: str
    probe: str
    evidence: tuple[Exchange, ...] = ()
    inconclusive: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one rule: that of its worst finding. `findings` are all, in the order of the suite."""

    rule: Rule
    outcome: Outcome
    said: str
    findings: tuple[Finding, ...] = ()

    @property
    def is_inconclusive(self) -> bool:
        """Whether the rule was asked about without a result."""
        return self.outcome is Outcome.NOT_TESTED and any(each.inconclusive for each in self.findings)

    @property
    def proof(self) -> Finding | None:
        """The finding that decides, with its exchange."""
        return next((each for each in self.findings if each.outcome is self.outcome), None)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts on all rules, in the order of the rules, and what the reader must know about the run."""

    subject: str
    dialect: str
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    repairs: Mapping[Rule, str] = field(default_factory=dict)  # what to change where a rule is broken
    of_client: bool = False

    def with_outcome(self, outcome: Outcome) -> tuple[Verdict, ...]:
        """The verdicts of this outcome."""
        return tuple(each for each in self.verdicts if each.outcome is outcome)

    @property
    def is_broken(self) -> bool:
        """Whether a rule is broken."""
        return bool(self.with_outcome(Outcome.BROKEN))

    @property
    def is_conclusive(self) -> bool:
        """Whether whatever was asked was answered."""
        return not any(each.is_inconclusive for each in self.verdicts)


def merge(findings: Iterable[Finding], unasked: Mapping[Rule, str]) -> tuple[Verdict, ...]:
    """One verdict for each rule. `unasked` says why a rule without findings was not tested."""
    by_rule: dict[Rule, list[Finding]] = {rule: [] for rule in Rule}
    for finding in findings:
        by_rule[finding.rule].append(finding)
    return tuple(_verdict(rule, found, unasked.get(rule, "no probe asked")) for rule, found in by_rule.items())


def _verdict(rule: Rule, findings: Sequence[Finding], unasked: str) -> Verdict:
    broken = [each for each in findings if each.outcome is Outcome.BROKEN]
    open_ = [each for each in findings if each.inconclusive]
    good = [each for each in findings if each.outcome is Outcome.HOLDS]
    for outcome, chosen in ((Outcome.BROKEN, broken), (Outcome.NOT_TESTED, open_), (Outcome.HOLDS, good)):
        if chosen:
            said = "; ".join(dict.fromkeys(each.said for each in chosen))
            gaps = [each.said for each in findings if each.outcome is Outcome.NOT_TESTED]
            if outcome is Outcome.HOLDS and gaps:
                said += "; not tested: " + "; ".join(dict.fromkeys(gaps))
            return Verdict(rule, outcome, said, tuple(findings))
    said = "; ".join(dict.fromkeys(each.said for each in findings)) or unasked
    return Verdict(rule, Outcome.NOT_TESTED, said, tuple(findings))
