"""What one probe exchanges and finds: shared by the judges of servers and of clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tcrp.judge.verdicts import Exchange, Finding, Outcome
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Rule

EXCHANGES_MAX = 60
DATA_BYTES_MAX = 8192


class Waits(NamedTuple):
    """How long the judge waits, in microseconds. All are printed with the report."""

    answer_us: int = 3 * SECOND_US  # for an answer over TCP
    relay_us: int = 800_000  # for a datagram that should come
    quiet_us: int = 120_000  # for one that should not, after a text that did
    patience_us: int = 12 * SECOND_US  # for a timeout of the program that is judged
    patience_is_given: bool = False  # the user says that its timeouts are shorter


class CannotTest(Exception):
    """A probe cannot go on: what it builds on does not work. The message says what."""


class Skip(Exception):
    """A probe cannot be asked here: the dialect has no word for it, or this machine no second address."""


class ProbeRecord:
    """The exchanges of one probe, and what it found. `whose`: the program that is judged, as a possessive."""

    whose = "the server's"

    def __init__(self, now_us: Callable[[], int], waits: Waits, probe: str) -> None:
        self.waits = waits
        self.findings: list[Finding] = []
        self.exchanges: list[Exchange] = []
        self._now_us = now_us
        self._probe = probe
        self._began_us = now_us()

    def holds(self, rule: Rule, said: str) -> None:
        """The rule holds, as far as this probe asks."""
        self._found(rule, Outcome.HOLDS, said)

    def broken(self, rule: Rule, said: str) -> None:
        """The rule is broken; what was exchanged up to now proves it."""
        self._found(rule, Outcome.BROKEN, said)

    def untested(self, rule: Rule, said: str, *, inconclusive: bool = False) -> None:
        """This probe cannot say."""
        self._found(rule, Outcome.NOT_TESTED, said, inconclusive=inconclusive)

    def judge(self, rule: Rule, good: bool, holds: str, broken: str) -> None:
        """The rule holds if `good`, else it is broken."""
        if good:
            self.holds(rule, holds)
        else:
            self.broken(rule, broken)

    def outlives(self, rule: Rule, said: str) -> None:
        """Something did not end in time: broken if the user says that the timeouts are shorter."""
        patience = f"{self.waits.patience_us / SECOND_US:g} s"
        if self.waits.patience_is_given:
            self.broken(rule, f"{said} after {patience} (--patience)")
        else:
            self.untested(rule, f"{said} after {patience}; give --patience longer than {self.whose} timeout")

    def left_open(self, rules: Sequence[Rule], why: str, *, inconclusive: bool) -> None:
        """Those of these rules of which the probe has said nothing are not tested."""
        said = {each.rule for each in self.findings}
        for rule in rules:
            if rule not in said:
                self.untested(rule, why, inconclusive=inconclusive)

    def catch_up(self) -> None:
        """Put on record what has arrived."""

    def _found(self, rule: Rule, outcome: Outcome, said: str, *, inconclusive: bool = False) -> None:
        self.catch_up()
        evidence = tuple(sorted(self.exchanges, key=lambda each: each.at_us)[-EXCHANGES_MAX:])
        self.findings.append(Finding(rule, outcome, said, self._probe, evidence, inconclusive))

    def log(self, who: str, sign: str, transport: str, data: bytes, note: str = "", at_us: int | None = None) -> None:
        """Put an exchange on record."""
        at_us = (self._now_us() if at_us is None else at_us) - self._began_us
        self.exchanges.append(Exchange(at_us, who, sign, transport, data[:DATA_BYTES_MAX], note))

    def note(self, text: str) -> None:
        """Put a remark on record."""
        self.log("judge", "·", "", b"", text)


# --- several runs of one probe -----------------------------------------------------------------------


def is_bad(findings: Sequence[Finding]) -> bool:
    """Whether a run found something broken, or could not say."""
    return any(each.outcome is Outcome.BROKEN or each.inconclusive for each in findings)


def agreed(tries: Sequence[list[Finding]]) -> list[Finding]:
    """The findings of all tries as one: broken is only what each try found broken."""
    best = next((each for each in reversed(tries) if not is_bad(each)), None)
    if best is not None:
        doubts = {each.rule: each.said for found in tries for each in found if is_bad([each])}
        return [
            each._replace(said=f"{each.said} (not at the first try, when {doubts[each.rule]})")
            if each.rule in doubts
            else each
            for each in best
        ]
    broken = [{each.rule for each in found if each.outcome is Outcome.BROKEN} for found in tries]
    always = set.intersection(*broken)
    return [
        each
        if each.outcome is not Outcome.BROKEN or each.rule in always
        else each._replace(
            outcome=Outcome.NOT_TESTED,
            said=f"the network may have lost a packet: not in all of {len(tries)} tries, {each.said}",
            inconclusive=True,
        )
        for each in tries[-1]
    ]
