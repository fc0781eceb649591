"""What an engine has to say when a call is over, and the one place where its machines take steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from tcrp.engine.outputs import Detail, Dropped, Observation, Refused, Stepped, Subject, new_output
from tcrp.spec.names import Machine, PacketKind, Rule
from tcrp.spec.table import IllegalEvent, Table

O = TypeVar("O")  # noqa: E741 (an output)

_SESSION = Machine.SESSION


class Moving(Protocol):
    """What has a machine: a session, a room, a handshake."""

    state: Any

    @property
    def subject(self) -> Subject: ...
    @property
    def id(self) -> str: ...
    @property
    def listener(self) -> int | None: ...


class Outbox(Generic[O]):
    """The outputs of the call that is being served, in their order."""

    __slots__ = ("_observes_loops", "detail", "pending")

    def __init__(self, detail: Detail) -> None:
        self.detail = detail
        self._observes_loops = detail is Detail.EVERYTHING
        self.pending: list[O | Observation] = []

    def take(self) -> list[O | Observation]:
        """The outputs; the next call begins with none."""
        outputs, self.pending = self.pending, []
        return outputs

    def step(
        self, table: Table[Any, Any], moving: Sequence[Moving], event: str, rule: Rule | None = None, why: str = ""
    ) -> None:
        """Move all of `moving`, which are in one state, by `event`. `rule` replaces the row's own.

        Nothing else changes the state of a machine. Raises `IllegalEvent` where the table has no row.
        """
        state = moving[0].state
        row = table.rows.get((state, event))
        if row is None:
            raise IllegalEvent(table.machine, state, event)
        to = row.to
        if to is not state:
            for each in moving:
                each.state = to
            if not self.detail:
                return
        elif not self._observes_loops and (not self.detail or table.machine is _SESSION):
            return  # the commonest: a text is spoken or relayed
        machine, by = table.machine, rule or row.rule
        self.pending += [
            new_output(Stepped, (machine, each.subject, each.id, event, state, to, by, why, each.listener))
            for each in moving
        ]

    def step_again(self, step: Stepped | None, moving: Moving) -> bool:
        """Take a step once more that changes nothing and was observed, if `moving` is in the state where it starts.

        The table had it then, and has it now. False: it is to be looked up.
        """
        if step is None or step.from_ is not moving.state or step.to is not moving.state:
            return False
        self.pending.append(step)
        return True

    def latest_step(self) -> Stepped | None:
        """The latest output of this call, if it is a step."""
        last = self.pending[-1] if self.pending else None
        return last if isinstance(last, Stepped) else None

    def is_unseen_loop(self, table: Table[Any, Any], state: str, event: str) -> bool:
        """Whether a step of a session is in the table, changes nothing and is not observed: it is taken then."""
        row = table.rows.get((state, event))
        return row is not None and row.to is state and not self._observes_loops

    def refuse(self, machine: Machine, id: str, event: str, state: str, why: str, rule: Rule | None) -> None:
        """A machine was offered what its state does not take, and the engine asked the table first."""
        if self.detail:
            self.pending.append(Refused(machine, id, event, state, why, rule))

    def drop(self, size: int, why: str, rule: Rule, listener: int = 0) -> None:
        """The datagram of this call is not taken."""
        if self.detail:
            self.pending.append(Dropped(PacketKind.DATAGRAM, size, why, rule, listener))

    def observe(self, observation: Observation) -> None:
        """Something else happened."""
        if self.detail:
            self.pending.append(observation)
