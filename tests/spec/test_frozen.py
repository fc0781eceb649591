"""Frozen dataclasses are read back by pickle as they were written, in Python and compiled."""

from __future__ import annotations

import pickle

import pytest

from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.results import Violation
from tcrp.spec.frozen import Frozen
from tcrp.spec.limits import CONSTANTS, SETTINGS, Constant, Limits
from tcrp.spec.names import Deadline, Property, Rule
from tcrp.spec.properties import CLAIMS


@pytest.mark.parametrize(
    "value",
    [
        Limits(members_max=3),
        SETTINGS["linger"],
        CONSTANTS["QUIET_US"],
        CLAIMS[Property.TABLE_STEPS],
        TimerEntry(5, Deadline.IDLE, b"token"),
        Violation(Property.TABLE_STEPS, "why", 5, 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_equal_after_a_pickle(value: Frozen) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 (our own bytes)
        assert again == value
        assert hash(again) == hash(value)


def test_the_fields_are_what_is_kept_in_their_order_and_all_are_read_back() -> None:
    """As compiled classes are pickled; those of Python have a way of their own beside it."""
    value = Constant(Rule.TCP_2, "silence")
    state = Frozen.__getstate__(value)
    assert state == [Rule.TCP_2, "silence"]
    again = Constant.__new__(Constant)
    Frozen.__setstate__(again, state)
    assert again == value
    with pytest.raises(ValueError, match="zip"):
        Frozen.__setstate__(again, state[:-1])
