"""What the checks of one run have found: how often each property was put to the test, and the first that broke."""

from __future__ import annotations

from dataclasses import dataclass

from tcrp.sim.network.world import World
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import Property
from tcrp.trace.records import Record


@dataclass(frozen=True, slots=True)
class Violation(Frozen):
    """A property that did not hold."""

    property: Property
    what: str
    n: int  # of the trace's latest record
    t_us: int


class CheckResults:
    """Kept by all checks together. Properties in `left_out` are judged, and may break."""

    def __init__(self, world: World, left_out: frozenset[Property]) -> None:
        self.violation: Violation | None = None
        self.judged: dict[Property, int] = dict.fromkeys(Property, 0)
        self._world = world
        self._left_out = left_out

    def passed(self, property: Property) -> None:
        """A property has been put to the test, and holds."""
        self.judged[property] += 1

    def judge(self, property: Property, holds: bool, what: str, *values: object, record: Record | None = None) -> None:
        """Put a property to the test. `what` says what is wrong, with `{0}` … for `values` and `{record.id}` …"""
        self.judged[property] += 1
        if not holds and self.violation is None and property not in self._left_out:
            trace = self._world.trace
            n = trace.n if trace is not None else 0
            self.violation = Violation(property, what.format(*values, record=record), n, self._world.now_us)
