"""Reads traces (`tcrp-trace/1`): a header, then typed records, one line at a time.

Strict: what a writer of this version cannot have written is a `TraceError` with its line and column.
The keys of each kind of record and their types come from the record's class; the table below adds
only what the types do not say. Memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from msgspec import NODEFAULT
from msgspec.structs import fields as fields_of

from tcrp.spec.cluster_names import (
    AnyMachine,
    ClusterMachine,
    LeaseEvent,
    LeaseState,
    OwnershipEvent,
    OwnershipState,
    OwnRule,
)
from tcrp.spec.names import (
    ClientFinding,
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    Notice,
    PacketKind,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.trace.header import Header, read_header
from tcrp.trace.lines import LINE_BYTES_MAX, Line, TraceError
from tcrp.trace.records import (
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
)

__all__ = ["KeyShape", "TraceError", "keys_of", "read_record", "read_trace"]


def read_trace(
    source: str | Path | Iterable[str], *, name: str = "", still_written: bool = False
) -> tuple[Header, Iterator[Record]]:
    """The header of a trace and, read as they are asked for, its records.

    `source` is the path of a file, or a text stream or other iterable of lines, which is
    called `name` in errors. With `still_written` a last line that is not whole yet is left out. Both the call and the
    iterator raise `TraceError`; a path raises `OSError` as well.
    """
    if isinstance(source, str | Path):
        path = str(source)
        lines = _lines(path, _lines_of_file(path), still_written=still_written)
    else:
        path = name or str(getattr(source, "name", "trace"))
        lines = _lines(path, _lines_of_stream(path, source), still_written=still_written)
    try:
        first = next(lines, None)
        if first is None:
            raise TraceError(path, 1, 1, "no complete line; a trace begins with a header line")
        header = read_header(first)
    except BaseException:
        lines.close()
        raise
    return header, _records(lines)


# --- lines ---------------------------------------------------------------------------------------


def _lines(path: str, texts: Generator[str], *, still_written: bool) -> Generator[Line]:
    """Whole lines, without their newlines."""
    with closing(texts):
        for number, text in enumerate(texts, 1):
            if not text.endswith("\n"):
                if still_written:
                    return
                raise TraceError(
                    path, number, len(text) + 1, "the last line is cut off: it does not end with a newline"
                )
            yield Line(path, number, text[:-1])


def _lines_of_file(path: str) -> Generator[str]:
    # Read as bytes and decoded by lines: a decoder of the whole stream cannot say in which line it failed.
    with open(path, "rb") as file:
        number = 0
        while data := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(data) > LINE_BYTES_MAX:
                raise TraceError(path, number, 1, f"longer than {LINE_BYTES_MAX} bytes")
            try:
                yield data.decode()
            except UnicodeDecodeError as error:
                whole = data[: error.start].decode()
                if not data.endswith(b"\n"):  # what is cut off may end within a character
                    yield whole
                    return
                raise TraceError(path, number, len(whole) + 1, "not UTF-8") from None


def _lines_of_stream(path: str, source: Iterable[str]) -> Generator[str]:
    number = 0
    try:
        for text in source:
            number += 1
            if len(text) > LINE_BYTES_MAX:
                raise TraceError(path, number, 1, f"longer than {LINE_BYTES_MAX} characters")
            yield text
    except UnicodeDecodeError:
        raise TraceError(path, number + 1, 1, "not UTF-8 in this line or one of the next") from None


# --- records -------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """How one field of a record is read."""

    attribute: str
    key: str
    type: Any
    words: Mapping[str, StrEnum] | None
    may_be_missing: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of record is read: its fields in the order of its class."""

    make: Callable[..., Record]
    fields: tuple[_Field, ...]


class _Proto(StrEnum):
    UDP = "udp"
    TCP = "tcp"


def _words(*enums: Iterable[StrEnum]) -> dict[str, StrEnum]:
    return {str(word): word for words in enums for word in words}


_RULES = _words(Rule)


def _shape(
    record: type[Record],
    *,
    words: Mapping[str, Mapping[str, StrEnum]] | None = None,
) -> _Shape:
    """The shape of a class of records. `words` are those of fields whose type is `str` or has several parts."""
    fields = []
    hints = get_type_hints(record)
    for each in fields_of(record):
        known = (words or {}).get(each.name)
        hint: Any = hints[each.name] if known is None else str
        if issubclass(hint, StrEnum):
            known, hint = _words(hint), str
        fields.append(_Field(each.name, each.encode_name, hint, known, each.default is not NODEFAULT))
    return _Shape(record, tuple(fields))


_MACHINE_WORDS: Mapping[AnyMachine, tuple[Iterable[StrEnum], Iterable[StrEnum]]] = {
    Machine.SESSION: (SessionState, SessionEvent),
    Machine.ROOM: (RoomState, RoomEvent),
    Machine.HANDSHAKE: (HandshakeState, HandshakeEvent),
}
_CLUSTER_WORDS: Mapping[AnyMachine, tuple[Iterable[StrEnum], Iterable[StrEnum]]] = {
    ClusterMachine.LEASE: (LeaseState, LeaseEvent),
    ClusterMachine.OWNERSHIP: (OwnershipState, OwnershipEvent),
}


def _shapes_by_machine(
    record: type[StepRecord | RefusalRecord],
    machines: Mapping[AnyMachine, tuple[Iterable[StrEnum], Iterable[StrEnum]]],
    rules: Mapping[str, StrEnum],
) -> dict[str, _Shape]:
    known = {"machine": _words(machines), "rule": rules}
    return {
        str(machine): _shape(
            record,
            words={**known, "from_": _words(states), "to": _words(states), "event": _words(events)},
        )
        for machine, (states, events) in machines.items()
    }


_PACKET = _shape(
    PacketRecord,
    words={"proto": _words(_Proto), "what": _words(PacketKind), "rule": _RULES},
)

_SHAPES: Mapping[str, _Shape] = {
    Kind.SEND: _PACKET,
    Kind.ARRIVE: _PACKET,
    Kind.DROP: _PACKET,
    Kind.TIMER: _shape(TimerRecord, words={"what": _words(Deadline)}),
    Kind.FAULT: _shape(FaultRecord),
    Kind.SHOW: _shape(
        ShowRecord,
        words={"what": _words([PacketKind.RELAY], Notice, ClientFinding), "rule": _RULES},
    ),
}
_SHAPES_BY_MACHINE: Mapping[str, Mapping[str, _Shape]] = {
    Kind.STEP: _shapes_by_machine(
        StepRecord,
        {**_MACHINE_WORDS, **_CLUSTER_WORDS},
        _words(Rule, OwnRule),
    ),
    Kind.REFUSE: _shapes_by_machine(RefusalRecord, _MACHINE_WORDS, _RULES),
}


def _records(lines: Generator[Line]) -> Generator[Record]:
    n = t_us = 0
    with closing(lines):
        for line in lines:
            record = read_record(line)
            n += 1
            if record.n != n:
                raise line.error_in(["n"], f"is {record.n}; {n} is expected (records are numbered 1, 2, 3 and so on)")
            if record.cause >= n:
                raise line.error_in(["cause"], f"is {record.cause}; it must be less than n, which is {n}")
            if record.t_us < t_us:
                raise line.error_in(
                    ["t_us"], f"is {record.t_us}, less than {t_us} in the previous record: time goes back"
                )
            t_us = record.t_us
            yield record


def read_record(line: Line) -> Record:
    """The record that `line` holds, by itself. Raises `TraceError`."""
    data = line.parse()
    shape = _shape_of(line, data)
    values: dict[str, Any] = {}
    absent = 0
    for attribute, key, type_, words, may_be_missing in shape.fields:
        if key not in data:
            if not may_be_missing:
                raise line.error(f"a record of kind {data['kind']!r} needs the key {key!r}, which is missing")
            absent += 1
            continue
        value = data[key]
        if type(value) is not type_:  # a bool is an int to isinstance
            raise line.wrong_type([key], value, "a whole number" if type_ is int else "a text")
        if words is not None:
            word = words.get(value)
            if word is None:
                raise line.unknown_word([key], value, tuple(words))
            values[attribute] = word
        else:
            if type_ is int and value < 0:
                raise line.error_in([key], f"is {value}; it cannot be negative")
            values[attribute] = value
    if len(data) + absent != len(shape.fields):
        known = {field.key for field in shape.fields}
        unknown = next(key for key in data if key not in known)
        raise line.error_at_key([unknown], f"a record of kind {data['kind']!r} has no key {unknown!r}")
    return shape.make(**values)


def _shape_of(line: Line, data: dict[str, Any]) -> _Shape:
    kind = _word(line, data, "kind", _KINDS)
    shape = _SHAPES.get(kind)
    return shape or _SHAPES_BY_MACHINE[kind][_word(line, data, "machine", _MACHINES[Kind(kind)])]


class KeyShape(NamedTuple):
    """One key of a kind of record. `attribute` is its name in the record's class."""

    name: str
    attribute: str
    type: Any
    words: tuple[str, ...]
    may_be_missing: bool


def keys_of(kind: Kind) -> list[KeyShape]:
    """The keys of a kind of record, with the words that each can hold where they are known."""
    shapes = [_SHAPES[kind]] if kind in _SHAPES else list(_SHAPES_BY_MACHINE[kind].values())
    return [
        KeyShape(
            name=same[0].key,
            attribute=same[0].attribute,
            type=same[0].type,
            words=tuple(dict.fromkeys(word for each in same for word in each.words or ())),
            may_be_missing=same[0].may_be_missing,
        )
        for same in zip(*(shape.fields for shape in shapes), strict=True)
    ]


_KINDS = _words(Kind)
_MACHINES = {Kind.STEP: _words(Machine, ClusterMachine), Kind.REFUSE: _words(Machine)}


def _word(line: Line, data: dict[str, Any], key: str, words: Mapping[str, StrEnum]) -> str:
    if key not in data:
        raise line.error(f"the key {key!r} is missing")
    value = data[key]
    if type(value) is not str:
        raise line.wrong_type([key], value, "a text")
    if value not in words:
        raise line.unknown_word([key], value, tuple(words))
    return value
