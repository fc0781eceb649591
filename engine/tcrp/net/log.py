"""A server's log: one event a line, with its rule; never a token, never what was said.

Listens to the trace, so it knows what begins and ends without anybody calling it. What is refused
or dropped is counted by rule and written at most once a second per rule (R-LIM-1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TextIO

import structlog

from tcrp.spec.names import HandshakeEvent, Machine, RoomEvent, Rule, SessionEvent
from tcrp.trace.records import Record, StepRecord

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")

_EVERYDAY = (SessionEvent.GRANTED, SessionEvent.SPOKE, SessionEvent.RELAYED)
_ROOM_EVENTS = (RoomEvent.CREATED, RoomEvent.HOST_GONE, RoomEvent.SHUTDOWN, RoomEvent.DRAINED)
_FRUITLESS = (HandshakeEvent.REFUSED, HandshakeEvent.ABANDONED)


class Log:
    """Writes events to `file` as `key=value` or as JSON, the time in UTC first."""

    def __init__(self, file: TextIO, format: Format = "text") -> None:
        first = ["timestamp", "level", "event"]
        render: structlog.typing.Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if format == "json"
            else structlog.processors.LogfmtRenderer(key_order=first, drop_missing=True)
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                render,
            ],
        )
        self._counted: dict[Rule, int] = {}
        self._fruitless: dict[tuple[HandshakeEvent, Rule], tuple[int, StepRecord]] = {}

    def info(self, event: str, **fields: str | int) -> None:
        """Something happened."""
        self._logger.info(event, **fields)

    def warning(self, event: str, **fields: str | int) -> None:
        """Something is wrong, and is got over."""
        self._logger.warning(event, **fields)

    def error(self, event: str, **fields: str | int) -> None:
        """Something is wrong that should not be."""
        self._logger.error(event, **fields)

    # --- what the machines do --------------------------------------------------------------------

    def hear(self, record: Record) -> None:
        """A listener of the server's trace."""
        if type(record) is not StepRecord:
            return
        if record.machine is Machine.SESSION:
            if record.event not in _EVERYDAY:
                self.info(f"session_{record.event}", session=record.id, rule=record.rule)
        elif record.machine is Machine.ROOM:
            if record.event in _ROOM_EVENTS:
                self.info(f"room_{record.event}", room=record.id, rule=record.rule)
        elif record.event in _FRUITLESS:
            kind = HandshakeEvent(record.event), record.rule
            times, _ = self._fruitless.get(kind, (0, record))
            self._fruitless[kind] = times + 1, record

    def tick(self, counts_by_rule: Mapping[Rule, int]) -> None:
        """To be called once a second: says what was refused and dropped since, and how often."""
        for (event, rule), (times, last) in self._fruitless.items():
            why = {"why": last.why} if last.why else {}
            self.info(f"request_{event}", rule=rule, times=times, last_peer=last.id, **why)
            if event is HandshakeEvent.REFUSED:  # counted by the engine too, and said already
                self._counted[rule] = self._counted.get(rule, 0) + times
        self._fruitless.clear()
        for rule, count in counts_by_rule.items():
            if more := count - self._counted.get(rule, 0):
                self._counted[rule] = count
                self.info("dropped", rule=rule, times=more)
