"""What the classes of values are made of."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tcrp.engine.outputs import Address
from tcrp.engine.state import ServerState
from tcrp.interleavings.values import ATOMS, field_names
from tcrp.sim.scenario.model import Span
from tcrp.spec.names import SessionState


@dataclass
class Empty:
    pass


@dataclass
class Pair:
    second: int
    first: int = 0
    KIND = "no field"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Pair, ("second", "first")),
        (Empty, ()),
        (Span, ("least_us", "most_us")),
        (Address, None),
        (SessionState, None),
        (tuple, None),
        (int, None),
    ],
)
def test_a_dataclass_or_struct_has_the_names_of_its_fields_in_order_and_nothing_else_has(
    kind: type, names: tuple[str, ...] | None
) -> None:
    assert field_names(kind) == names


def test_what_has_parts_is_no_atom() -> None:
    assert not ATOMS & {Pair, Address, SessionState, tuple, list, dict, ServerState}
    assert all(field_names(kind) is None for kind in ATOMS)
