"""A server's log: one event a line, with its rule; never a token, never what was said.

Listens to the trace, so it knows what begins and ends without anybody calling it. What is refused
or dropped is counted by rule and written at most once a second per rule (R-LIM-1). Any other event may
come `BURST_LINES` times at once, and once a second for good; what exceeds that is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import structlog

from tcrp.engine.outputs import Address, Stepped
from tcrp.spec.names import HandshakeEvent, Machine, RoomEvent, Rule, SessionEvent, SessionState
from tcrp.trace.records import Record, StepRecord

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")
Level = Literal["info", "warning", "error"]
Fields = Mapping[str, str | int]

BURST_LINES = 50
"""How often an event is written that has not come for a while, until it is counted."""

# ENTERED is written with the peer's address, which no record holds: see `entered`.
_EVERYDAY = (SessionEvent.GRANTED, SessionEvent.ENTERED, SessionEvent.SPOKE, SessionEvent.RELAYED)
_ROOM_EVENTS = (RoomEvent.CREATED, RoomEvent.HOST_GONE, RoomEvent.SHUTDOWN, RoomEvent.DRAINED)
_FRUITLESS = (HandshakeEvent.REFUSED, HandshakeEvent.ABANDONED)


class Log:
    """Hands events to `write`, a line each, as `key=value` or as JSON, the time in UTC first.

    `listeners` are the names of a server's listeners, if it has several: lines then say which.
    """

    def __init__(self, write: Callable[[str], object], format: Format = "text", listeners: Sequence[str] = ()) -> None:
        self._listeners = listeners
        first = ["timestamp", "level", "event"]
        render: structlog.typing.Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if format == "json"
            else structlog.processors.LogfmtRenderer(key_order=first, drop_missing=True)
        )
        self._logger = structlog.wrap_logger(
            _Lines(write),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                render,
            ],
        )
        self._counted: dict[tuple[str, Rule], int] = {}
        self._fruitless: dict[tuple[HandshakeEvent, Rule, str], tuple[int, StepRecord]] = {}
        self._lines_used: dict[str, int] = {}  # of BURST_LINES, by event
        self._held_back: dict[str, tuple[int, Level, Fields]] = {}  # how often, and the latest

    def info(self, event: str, **fields: str | int) -> None:
        """Something happened."""
        self._say("info", event, fields)

    def warning(self, event: str, **fields: str | int) -> None:
        """Something is wrong, and is got over."""
        self._say("warning", event, fields)

    def error(self, event: str, **fields: str | int) -> None:
        """Something is wrong that should not be."""
        self._say("error", event, fields)

    def _say(self, level: Level, event: str, fields: Fields) -> None:
        used = self._lines_used.get(event, 0)
        if used < BURST_LINES:
            self._lines_used[event] = used + 1
            self._write(level, event, fields)
        else:
            times = self._held_back[event][0] if event in self._held_back else 0
            self._held_back[event] = times + 1, level, fields

    def _write(self, level: Level, event: str, fields: Fields) -> None:
        getattr(self._logger, level)(event, **fields)

    # --- what the machines do --------------------------------------------------------------------

    def entered(self, step: Stepped, peer: Address | None) -> None:
        """A session has entered, from the address to which its relays go."""
        where = {"peer": written_address(peer)} if peer is not None else {}
        by = self._listeners[step.listener] if step.listener is not None and self._listeners else ""
        self.info(f"session_{step.event}", session=step.id, rule=step.rule, **where, **_on(by))

    def hear(self, record: Record) -> None:
        """A listener of the server's trace."""
        if type(record) is not StepRecord:
            return
        if record.machine is Machine.SESSION:
            if record.event not in _EVERYDAY:
                by = _on(record.listener)
                if record.event is SessionEvent.IDLED and record.from_ is SessionState.TOKENED:
                    self.warning("session_never_entered", session=record.id, rule=record.rule, why=record.why, **by)
                else:
                    self.info(f"session_{record.event}", session=record.id, rule=record.rule, **by)
        elif record.machine is Machine.ROOM:
            if record.event in _ROOM_EVENTS:
                self.info(f"room_{record.event}", room=record.id, rule=record.rule)
        elif record.event in _FRUITLESS and isinstance(record.rule, Rule):
            kind = HandshakeEvent(record.event), record.rule, record.listener
            times, _ = self._fruitless.get(kind, (0, record))
            self._fruitless[kind] = times + 1, record

    def tick(self, counts: Mapping[str, Mapping[Rule, int]]) -> None:
        """To be called once a second: says what was refused, dropped and held back since, and how often.

        `counts` are by listener, whose name is empty if it is the only one, and by rule.
        """
        for name, (times, level, fields) in self._held_back.items():
            self._write(level, name, {"times": times, **fields})
        self._held_back.clear()
        self._lines_used = {event: used - 1 for event, used in self._lines_used.items() if used > 1}
        for (event, rule, by), (times, last) in self._fruitless.items():
            why = {"why": last.why} if last.why else {}
            fields = {"rule": rule, "times": times, "last_peer": last.id, **why, **_on(by)}
            self._write("info", f"request_{event}", fields)
            if event is HandshakeEvent.REFUSED:  # counted by the engine too, and said already
                self._counted[by, rule] = self._counted.get((by, rule), 0) + times
        self._fruitless.clear()
        for by, by_rule in counts.items():
            for rule, count in by_rule.items():
                if rule is Rule.EXIT_1:  # a client sends its leave word again, in case the first was lost
                    continue
                if more := count - self._counted.get((by, rule), 0):
                    self._counted[by, rule] = count
                    self._write("info", "dropped", {"rule": rule, "times": more, **_on(by)})


class _Lines:
    """What structlog takes for a logger: each level hands its line on."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.info = self.warning = self.error = lambda line: write(line + "\n")


def _on(listener: str) -> dict[str, str]:
    return {"listener": listener} if listener else {}


def written_address(address: Address) -> str:
    """`192.0.2.1:9003`, `[2001:db8::1]:9003`."""
    return f"[{address.ip}]:{address.port}" if ":" in address.ip else f"{address.ip}:{address.port}"
