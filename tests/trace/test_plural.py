"""Numbers of things in words."""

from __future__ import annotations

import pytest

from tcrp.trace.plural import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "state", "0 states"),
        (1, "state", "1 state"),
        (2, "state", "2 states"),
        (12_345, "step", "12,345 steps"),
        (1, "process", "1 process"),
        (3, "process", "3 processes"),
        (2, "crash", "2 crashes"),
    ],
)
def test_one_thing_is_said_in_the_singular(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
