"""Models of the literature and of our own, for the explorer's tests and benchmark.

Two-phase commit is that of Gray and Lamport ("Consensus on Transaction Commit", 2006), whose numbers of distinct states
are known. The channel loses and duplicates; a plain recursive count of its states stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tcrp.explore.fingerprints import fingerprint
from tcrp.explore.model import ArrayModel, Model, PackedModel, Step

# --- two-phase commit ----------------------------------------------------------------------------

WORKING, PREPARED, COMMITTED, ABORTED = range(4)

V = TypeVar("V")

Commit = tuple[tuple[int, ...], int, tuple[bool, ...], tuple[bool, ...], bool, bool]
"""Resource managers, transaction manager, who it knows to be prepared, whose message is out, commit out, abort out."""


def two_phase_commit(managers: int, representative: str = "") -> Model[Commit]:
    """So many resource managers. `representative`: `orbits`, or `by-state` as Stateright's example sorts them."""
    start: Commit = ((WORKING,) * managers, WORKING, (False,) * managers, (False,) * managers, False, False)
    return Model(
        name=f"two-phase commit of {managers}",
        initial=(start,),
        successors=_commit_steps,
        fingerprint=fingerprint,
        always={"consistent": lambda state: not {COMMITTED, ABORTED} <= set(state[0])},
        sometimes={
            "all committed": lambda state: set(state[0]) == {COMMITTED},
            "all aborted": lambda state: set(state[0]) == {ABORTED},
        },
        representative={"": None, "orbits": _sorted_by_all, "by-state": _sorted_by_state}[representative],
    )


def _commit_steps(state: Commit) -> Iterator[tuple[Step, Commit]]:
    managers, manager, known, sent, commit, abort = state
    if manager == WORKING:
        if all(known):
            yield "commit", (managers, COMMITTED, known, sent, True, abort)
        yield "abort", (managers, ABORTED, known, sent, commit, True)
    for each, its in enumerate(managers):
        if manager == WORKING and sent[each]:
            yield f"hear {each}", (managers, manager, _put(known, each, True), sent, commit, abort)
        if its == WORKING:
            prepared = _put(managers, each, PREPARED)
            yield f"{each} prepares", (prepared, manager, known, _put(sent, each, True), commit, abort)
            yield f"{each} aborts", (_put(managers, each, ABORTED), manager, known, sent, commit, abort)
        if commit:
            yield f"{each} hears commit", (_put(managers, each, COMMITTED), manager, known, sent, commit, abort)
        if abort:
            yield f"{each} hears abort", (_put(managers, each, ABORTED), manager, known, sent, commit, abort)


def _put(values: tuple[V, ...], at: int, value: V) -> tuple[V, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _sorted_by_all(state: Commit) -> Commit:
    managers, manager, known, sent, commit, abort = state
    rows = sorted(zip(managers, known, sent, strict=True))
    managers, known, sent = zip(*rows, strict=True)
    return managers, manager, known, sent, commit, abort


def _sorted_by_state(state: Commit) -> Commit:
    managers, manager, known, sent, commit, abort = state
    rows = sorted(zip(managers, known, sent, strict=True), key=lambda row: row[0])
    managers, known, sent = zip(*rows, strict=True)
    return managers, manager, known, sent, commit, abort


# --- a channel that loses and duplicates ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channel:
    """A sender that repeats each of `texts` until it is acknowledged, over a channel that keeps no order.

    At most `copies` of each text and of each acknowledgement are under way; `losses` and `duplicates` happen at most so
    often. A state packs, from the low bits: 2 bits a text under way, 2 bits an acknowledgement under way, then 3 bits
    each for what was acknowledged, what was received, the losses and the duplicates that are left. As long as that is
    less than 30 bits, Python's arithmetic is at its fastest.
    """

    texts: int
    copies: int = 3
    losses: int = 3
    duplicates: int = 3

    def __post_init__(self) -> None:
        fits = self.texts <= 7 and self.copies <= 3 and self.losses <= 7 and self.duplicates <= 7
        assert fits, f"{self} does not fit into the bits of a state"

    @property
    def start(self) -> int:
        """Nothing is sent yet."""
        return self._at("losses") * self.losses + self._at("duplicates") * self.duplicates

    def _at(self, field: str) -> int:
        order = ("acknowledged", "received", "losses", "duplicates")
        return 1 << (4 * self.texts + 3 * order.index(field))

    def expand(self, states: Sequence[int]) -> list[int]:
        """The successors of all of them: one comprehension for each step of each text."""
        acknowledged, received = self._at("acknowledged"), self._at("received")
        loss, duplicate = self._at("losses"), self._at("duplicates")
        full = self.copies
        found: list[int] = []
        add = found.extend
        losses, duplicates = 7 * loss, 7 * duplicate
        for text in range(self.texts):
            one, ack = 1 << 2 * text, 1 << 2 * (self.texts + text)
            some, some_acks = 3 * one, 3 * ack
            most, most_acks = full * one, full * ack
            has_got, is_next = received * 7, received * text
            was_told, told_next = acknowledged * 7, acknowledged * text
            # Sent, or sent again: it is the first that is not acknowledged.
            add([s + one for s in states if s & was_told == told_next and s & some != most])
            here = [s for s in states if s & some]
            acks = [s for s in states if s & some_acks]
            # Delivered: new, or known; acknowledged as far as there is room.
            grown = [s - one + received if s & has_got == is_next else s - one for s in here]
            add([s + ack if s & some_acks != most_acks else s for s in grown])
            add([s - ack + acknowledged if s & was_told == told_next else s - ack for s in acks])
            for under_way, unit, field, limit in ((here, one, some, most), (acks, ack, some_acks, most_acks)):
                lost, doubled = unit + loss, unit - duplicate
                add([s - lost for s in under_way if s & losses])
                add([s + doubled for s in under_way if s & duplicates and s & field != limit])
        return found

    def expand_array(self, states: Any) -> Any:
        """The same of an array of states."""
        import numpy as np

        acknowledged, received = np.uint64(self._at("acknowledged")), np.uint64(self._at("received"))
        loss, duplicate = self._at("losses"), self._at("duplicates")
        told, got = states & (7 * acknowledged), states & (7 * received)
        may_lose, may_double = (states & (7 * loss)) != 0, (states & (7 * duplicate)) != 0
        found = []
        for text in range(self.texts):
            one, ack = 1 << 2 * text, 1 << 2 * (self.texts + text)
            data, acks = states & (3 * one), states & (3 * ack)
            is_told, has, has_ack = told == text * acknowledged, data != 0, acks != 0
            found.append(states[is_told & (data != self.copies * one)] + one)
            grown = states[has] - one + (got[has] == text * received) * received
            found.append(grown + (acks[has] != self.copies * ack) * np.uint64(ack))
            found.append(states[has_ack] - ack + is_told[has_ack] * acknowledged)
            for under_way, there, unit in ((has, data, one), (has_ack, acks, ack)):
                found.append(states[under_way & may_lose] - (unit + loss))
                found.append(states[under_way & may_double & (there != self.copies * unit)] - duplicate + unit)
        return np.concatenate(found)

    def explain(self, before: int, after: int) -> Step:
        """The numbers say it."""
        return f"{before:#x} to {after:#x}"

    def is_in_order(self, state: int) -> bool:
        """Nothing is acknowledged that was not received."""
        return state // self._at("acknowledged") & 7 <= state // self._at("received") & 7

    def is_done(self, state: int) -> bool:
        """Everything is acknowledged."""
        return state // self._at("acknowledged") & 7 == self.texts

    def model(self) -> PackedModel:
        """The model to explore."""
        return PackedModel(
            name=str(self),
            initial=(self.start,),
            expand=self.expand,
            explain=self.explain,
            always={"in order": self.is_in_order},
            sometimes={"done": self.is_done},
        )

    def array_model(self) -> ArrayModel:
        """The same for arrays: what is asked of one state is asked of many."""
        return ArrayModel(
            name=str(self),
            initial=(self.start,),
            expand=self.expand_array,
            explain=self.explain,
            always={"in order": self.is_in_order},
            sometimes={"done": self.is_done},
        )


def array_channel(texts: int, **most: int) -> partial[ArrayModel]:
    """Makes the model for arrays, in whatever process."""
    return partial(_array_channel_model, texts, tuple(most.items()))


def _array_channel_model(texts: int, most: tuple[tuple[str, int], ...]) -> ArrayModel:
    return Channel(texts, **dict(most)).array_model()


def channel(texts: int, **most: int) -> partial[PackedModel]:
    """Makes the model, in whatever process."""
    return partial(_channel_model, texts, tuple(most.items()))


def _channel_model(texts: int, most: tuple[tuple[str, int], ...]) -> PackedModel:
    return Channel(texts, **dict(most)).model()
