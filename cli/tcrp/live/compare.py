"""Compares the steps of each machine in a simulated run and in a run on sockets, ignoring times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tcrp.spec.names import Machine
from tcrp.trace.records import Record, StepRecord


class MachineName(NamedTuple):
    """One machine of one actor. `nth` counts machines with the same actor and id, from 1."""

    actor: str
    machine: str
    id: str
    nth: int

    def __str__(self) -> str:
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.actor}: {self.machine} {self.id}{nth}"


Moves = dict[MachineName, list[str]]
"""The steps of each machine, in order, as `event: from → to`."""


class Difference(NamedTuple):
    """The first step of a machine that differs between two runs. None: the machine took no more steps."""

    machine: MachineName
    number: int
    simulated: str | None
    on_sockets: str | None


class Collector:
    """Collects the steps of each machine. Expects the steps of an actor in their order."""

    def __init__(self, rename: Callable[[str], str] = lambda id: id) -> None:
        self.moves: Moves = {}
        self._rename = rename  # ids of the server's handshakes, which on sockets are addresses
        self._nth: dict[tuple[str, str, str], dict[object, int]] = {}

    def hear(self, record: Record) -> None:
        """Add the step of a record, if it is one. A listener of a trace."""
        if type(record) is StepRecord:
            key = None if record.machine is Machine.ROOM else record.instance
            self._add(record.actor, record.machine, record.id, key, record.event, record.from_, record.to)

    def read(self, records: Iterable[Record], run: int) -> None:
        """The records of a server's trace; `run` numbers its processes."""
        for each in records:
            if type(each) is not StepRecord:
                continue
            key = None if each.machine is Machine.ROOM else (run, each.token or each.id)
            id = self._rename(each.id) if each.machine is Machine.HANDSHAKE else each.id
            self._add(each.actor, each.machine, id, key, each.event, each.from_, each.to)

    def _add(self, actor: str, machine: str, id: str, key: object, event: str, from_: str, to: str) -> None:
        known = self._nth.setdefault((actor, machine, id), {})
        nth = known.setdefault(key, len(known) + 1)
        self.moves.setdefault(MachineName(actor, machine, id, nth), []).append(f"{event}: {from_} → {to}")


def differences(simulated: Moves, on_sockets: Moves) -> list[Difference]:
    """The first difference of each machine whose steps are not the same."""
    found = []
    for machine in sorted(simulated.keys() | on_sockets.keys()):
        here, there = simulated.get(machine, []), on_sockets.get(machine, [])
        if here == there:
            continue
        number = next(
            (n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there))
        )
        found.append(
            Difference(
                machine,
                number + 1,
                here[number] if number < len(here) else None,
                there[number] if number < len(there) else None,
            )
        )
    return found
