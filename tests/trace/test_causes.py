"""The chain of causes of a record."""

from __future__ import annotations

from tcrp.trace.causes import chain_of_causes

CAUSES = {1: 0, 2: 1, 3: 1, 4: 3, 5: 4}


def test_a_chain_ends_with_the_record_and_begins_where_nothing_led_to() -> None:
    assert chain_of_causes(5, CAUSES.__getitem__, 10) == [1, 3, 4, 5]
    assert chain_of_causes(1, CAUSES.__getitem__, 10) == [1]
    assert chain_of_causes(0, CAUSES.__getitem__, 10) == []


def test_of_a_long_chain_the_latest_are_kept() -> None:
    assert chain_of_causes(5, CAUSES.__getitem__, 2) == [4, 5]
