"""From what an engine observed to records: numbers them and links each to what brought it about.

One recorder follows one engine. It remembers what brought about the latest change of each subject, for
a deadline that fires later follows from that. The engine knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from tcrp.engine.outputs import (
    Dropped,
    Forgotten,
    NoticeReceived,
    Observation,
    Refused,
    ServerSilent,
    Stepped,
    Subject,
    TextReceived,
    TimerFired,
    Withheld,
)
from tcrp.spec.cluster_names import AnyMachine, AnyRule
from tcrp.spec.names import DEADLINE_RULES, ClientFinding, Machine, PacketKind, Rule, SessionEvent
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import Kind, PacketRecord, RefusalRecord, ShowRecord, StepRecord, TimerRecord, token_in_trace
from tcrp.trace.trace import Trace

TOKENS_MAX = 65536
_FINAL = {table.machine: frozenset(map(str, table.final)) for table in (SESSION, ROOM, HANDSHAKE)}
_SESSION = Machine.SESSION
_RELAYED = SessionEvent.RELAYED
_STEP, _SHOW = Kind.STEP, Kind.SHOW


class Cause:
    """What brought something about: the number of the latest record of a chain of events.

    Drivers may keep more in a subclass. `packet` and `link_name` name the packet that began the chain,
    where one did.
    """

    __slots__ = ("record",)

    def __init__(self, record: int = 0) -> None:
        self.record = record

    # Properties, because a compiled class cannot have one in place of its base's attribute.
    @property
    def packet(self) -> str:
        return ""

    @property
    def link_name(self) -> str:
        return ""


C = TypeVar("C", bound=Cause)
_named_token = lru_cache(TOKENS_MAX)(token_in_trace)


class Instances:
    """Numbers an actor's machines of one id, from 1, in the order in which they begin."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[Machine, str], int] = {}

    def next(self, machine: Machine, id: str) -> int:
        """The number of the next one."""
        number = self._numbers[machine, id] = self._numbers.get((machine, id), 0) + 1
        return number


class Recorder(Generic[C]):
    """Writes what one engine of `actor` observes, and knows the cause of each of its subjects.

    Without a trace it knows causes only. `instances` is shared by the engines of one actor. With
    `remembers` false it keeps nothing between calls: deadlines then have no cause, machines no number.
    `listeners` are the names of a server's listeners, if it has several; `is_server`: it is one by another name.
    """

    __slots__ = ("_instances", "_is_server", "_listeners", "_living", "_remembers", "actor", "cause", "causes", "trace")

    def __init__(
        self,
        trace: Trace | None,
        actor: str,
        cause: C,
        *,
        instances: Instances | None = None,
        remembers: bool = True,
        listeners: Sequence[str] = (),
        is_server: bool = False,
    ) -> None:
        self.trace = trace
        self.actor = actor
        self.cause = cause  # of what the engine puts out now
        self.causes: dict[Subject, C] = {}
        self._instances = instances or Instances()
        self._living: dict[tuple[Machine, Subject], int] = {}  # the numbers of machines that have not ended
        self._remembers = remembers
        self._is_server = is_server or actor == "server"
        self._listeners = listeners

    def adopt(self, subject: Subject) -> None:
        """The subject begins with the present cause, before any of its machines takes a step."""
        if self._remembers:
            self.causes[subject] = self.cause

    def observe(self, observation: Observation) -> None:
        """Write what was observed; what follows in the same call has it as its cause."""
        kind = type(observation)  # not isinstance: this is asked of millions
        if kind is Stepped:
            self._step(observation)  # type: ignore[arg-type]
        elif kind is Forgotten:
            self.causes.pop(observation.subject, None)  # type: ignore[union-attr]
        elif kind is TimerFired:
            self._timer(observation)  # type: ignore[arg-type]
        elif self.trace is not None:
            if kind is Dropped:
                self._drop(observation, self.trace)  # type: ignore[arg-type]
            elif kind is Withheld:
                self._withhold(observation, self.trace)  # type: ignore[arg-type]
            elif kind is Refused:
                self._refuse(observation, self.trace)  # type: ignore[arg-type]
            else:
                raise AssertionError(f"no record is made of {observation}")

    def _step(self, step: Stepped) -> None:
        machine, subject, id, event, from_, to, rule, why, listener = step
        cause, trace = self.cause, self.trace
        if from_ is not to and self._remembers:
            self.causes[subject] = cause
        if trace is None:
            return
        key = (machine, subject)
        instance = self._living.get(key)
        if instance is None:
            instance = self._instances.next(machine, id) if self._remembers else 1
            if self._remembers:
                self._living[key] = instance
        if from_ is not to and to in _FINAL[machine]:
            self._living.pop(key, None)
        is_servers = self._is_server and machine is _SESSION
        token = _named_token(subject) if is_servers and self._remembers else ""
        by = self._listeners[listener] if listener is not None and self._listeners else ""
        n = trace.add(
            StepRecord(
                actor=self.actor, cause=cause.record, event=event, from_=from_, id=id, instance=instance, kind=_STEP,
                listener=by, machine=machine, n=trace.n + 1, rule=rule, t_us=trace.now_us, to=to, token=token, why=why,
            )
        )  # fmt: skip
        if not (is_servers and event is _RELAYED):  # members hear a text beside each other, not one through another
            cause.record = n

    def _timer(self, fired: TimerFired) -> None:
        deadline, subject = fired
        cause = self.cause = self.causes.get(subject, self.cause)
        trace = self.trace
        if trace is not None:
            rule = DEADLINE_RULES[deadline]
            cause.record = trace.add(
                TimerRecord(
                    actor=self.actor, cause=cause.record, n=trace.n + 1, rule=rule, t_us=trace.now_us, what=deadline
                )
            )  # fmt: skip

    def _refuse(self, refused: Refused, trace: Trace) -> None:
        machine, id, event, state, why, rule = refused
        trace.add(
            RefusalRecord(
                actor=self.actor, cause=self.cause.record, event=event, from_=state, id=id, machine=machine,
                n=trace.n + 1, rule=rule, t_us=trace.now_us, why=why,
            )
        )  # fmt: skip

    def _drop(self, dropped: Dropped, trace: Trace) -> None:
        cause = self.cause
        what, size, why, rule, listener = dropped
        self._lose(what, cause.link_name, cause.packet, size, why, rule, listener, trace)

    def _withhold(self, withheld: Withheld, trace: Trace) -> None:
        for name in withheld.names:
            link, why, rule = f"{self.actor}>{name}", withheld.why, withheld.rule
            self._lose(PacketKind.RELAY, link, "", 0, why, rule, withheld.listener, trace)

    def _lose(
        self, what: str, link: str, packet: str, size: int, why: str, rule: Rule, listener: int, trace: Trace
    ) -> None:
        trace.add(
            PacketRecord(
                actor=self.actor, bytes=size, cause=self.cause.record, kind=Kind.DROP, link=link,
                listener=self._listeners[listener] if self._listeners else "", n=trace.n + 1, packet=packet,
                proto="udp", rule=rule, t_us=trace.now_us, what=what, why=why,
            )
        )  # fmt: skip

    def forget(self, subject: Subject) -> None:
        """The machines of a subject go on elsewhere: what comes of it again is another instance."""
        for machine in Machine:
            self._living.pop((machine, subject), None)

    # --- what drivers write themselves -----------------------------------------------------------

    def move(self, machine: AnyMachine, id: str, event: str, from_: str, to: str, rule: AnyRule) -> None:
        """A machine that belongs to no engine has taken a step: a lease, or a room's ownership."""
        cause, trace = self.cause, self.trace
        if trace is not None:
            cause.record = trace.add(
                StepRecord(
                    actor=self.actor, cause=cause.record, event=event, from_=from_, id=id, instance=1,
                    machine=machine, n=trace.n + 1, rule=rule, t_us=trace.now_us, to=to,
                )
            )  # fmt: skip

    def refuse(self, machine: Machine, id: str, event: str, state: str, why: str) -> None:
        """A command was not possible, and never reached an engine."""
        if self.trace is not None:
            self._refuse(Refused(machine, id, event, state, why, None), self.trace)

    def show(self, effect: TextReceived | NoticeReceived | ServerSilent) -> None:
        """A text, a notice or a finding has reached this actor's screen."""
        if type(effect) is TextReceived:
            self._show("relay", effect.name, effect.text, effect.rule)
        elif isinstance(effect, ServerSilent):
            self._show(ClientFinding.SERVER_SILENT, "", "", Rule.IDLE_1)
        else:
            assert isinstance(effect, NoticeReceived), "the last of the three"
            self._show(effect.notice, effect.name, "", None)

    def _show(self, what: str, name: str, text: str, rule: Rule | None) -> None:
        trace = self.trace
        if trace is not None:
            trace.add(
                ShowRecord(
                    actor=self.actor, cause=self.cause.record, kind=_SHOW, n=trace.n + 1, name=name, rule=rule,
                    t_us=trace.now_us, text=text, what=what,
                )
            )  # fmt: skip
