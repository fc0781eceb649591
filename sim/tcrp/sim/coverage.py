"""Which rows of the tables, which refusals and which rules a run, or many, have exercised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tcrp.engine.trace import Packet, Record, Refuse, Shown, Step
from tcrp.sim.run import Verdict
from tcrp.spec.names import Machine, Rule
from tcrp.spec.properties import CLAIMS
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION

Pair = tuple[Machine, str, str]  # machine, state, event

ROWS: tuple[Pair, ...] = tuple(
    (table.machine, str(state), str(event)) for table in (SESSION, ROOM, HANDSHAKE) for state, event in table.rows
)
REFUSED: tuple[Pair, ...] = tuple(
    (table.machine, str(state), str(event)) for table in (SESSION, ROOM, HANDSHAKE) for state, event in table.refused()
)


@dataclass(slots=True)
class Coverage:
    """Counts by row, by refused pair and by rule. A listener of traces."""

    rows: dict[Pair, int] = field(default_factory=lambda: dict.fromkeys(ROWS, 0))
    refused: dict[Pair, int] = field(default_factory=lambda: dict.fromkeys(REFUSED, 0))
    rules: dict[Rule, int] = field(default_factory=lambda: dict.fromkeys(Rule, 0))

    def hear(self, record: Record) -> None:
        """Count what a record shows."""
        match record:
            case Step():
                pair = (record.machine, str(record.from_), str(record.event))
                self.rows[pair] = self.rows.get(pair, 0) + 1
                self.rules[record.rule] += 1
            case Refuse():
                pair = (record.machine, str(record.from_), str(record.event))
                if pair in self.refused:
                    self.refused[pair] += 1
                if record.rule is not None:
                    self.rules[record.rule] += 1
            case Packet() | Shown() if record.rule is not None:
                self.rules[record.rule] += 1
            case _:
                pass

    def add_judged(self, verdict: Verdict) -> None:
        """Count the rules of the properties that a run has really judged."""
        for property, times in verdict.judged.items():
            for rule in CLAIMS[property].rules:
                self.rules[rule] += times

    def add(self, other: Coverage) -> None:
        """Count what another has counted too."""
        for own, others in ((self.rows, other.rows), (self.refused, other.refused), (self.rules, other.rules)):
            for key, times in others.items():
                own[key] = own.get(key, 0) + times  # type: ignore[attr-defined, index]

    def missing_rows(self) -> list[Pair]:
        """Rows that nothing has exercised."""
        return [pair for pair in ROWS if not self.rows[pair]]

    def missing_rules(self, shown_otherwise: Iterable[Rule] = ()) -> list[Rule]:
        """Rules that nothing has exercised."""
        return [rule for rule in Rule if not self.rules[rule] and rule not in shown_otherwise]
