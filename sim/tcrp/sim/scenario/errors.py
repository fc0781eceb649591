"""The one error of the scenario reader: which file, where in it, what is wrong, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from tcrp.sim.scenario.model import Place


class ScenarioError(Exception):
    """A scenario cannot be read. `str()` is one line: `file:line:column: what is wrong`."""

    def __init__(self, path: str, place: Place | None, what: str) -> None:
        self.path = path
        self.place = place
        self.what = what
        where = f"{path}:{place.line}:{place.column}" if place is not None else path
        super().__init__(f"{where}: {what}")


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the word that is meant, or nothing."""
    close = get_close_matches(word, [str(each) for each in words], n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def is_slip(a: str, b: str) -> bool:
    """Whether one of two names is the other with one letter wrong, missing, or in its neighbour's place.

    Short names and numbered ones (`a` and `b`, `u1` and `u2`) are different on purpose.
    """
    if a == b or min(len(a), len(b)) < 3 or re.sub(r"\d", "", a) == re.sub(r"\d", "", b):
        return False
    if len(a) != len(b):
        short, long = sorted((a, b), key=len)
        return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
    wrong = [i for i in range(len(a)) if a[i] != b[i]]
    first, last = wrong[0], wrong[-1]
    return first == last or (wrong == [first, first + 1] and a[first] == b[last] and a[last] == b[first])


def one_of(words: Iterable[str]) -> str:
    """The words as a list for people."""
    known = [str(word) for word in words]
    return ", ".join(known) if len(known) <= 24 else ", ".join(known[:24]) + ", …"
