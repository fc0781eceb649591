"""A record as one plain English sentence, in the words of the protocol.

One line, whatever names and texts a record holds: it is shown as R-SHOW-1 asks.
"""

from __future__ import annotations

from typing import assert_never

from tcrp.engine.text import shown
from tcrp.spec.names import PacketKind
from tcrp.trace.plural import counted
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

TEXT_CHARACTERS_SHOWN_MAX = 100


def sentence(record: Record) -> str:
    """Who did what, and in brackets why and by which rule. Neither time nor number are in it."""
    return shown(f"{record.actor}: {_predicate(record)}")


def timed_sentence(record: Record) -> str:
    """The sentence behind its time in seconds."""
    return f"{record.t_us // 1_000_000}.{record.t_us % 1_000_000:06d}  {sentence(record)}"


def _predicate(record: Record) -> str:
    match record:
        case StepRecord():
            change = f"stays {record.to}" if record.from_ == record.to else f"{record.from_} -> {record.to}"
            return (
                f"{record.machine} {record.id} {change} {_brackets(record.event, record.rule, record.why, _by(record))}"
            )
        case RefusalRecord():
            refused = f"{record.machine} {record.id} refuses {record.event} while {record.from_}"
            return f"{refused} {_brackets(record.rule, record.why)}"
        case PacketRecord():
            source, _, target = record.link.partition(">")
            size = f"{record.proto}, {counted(record.bytes, 'byte')}"
            match record.kind:
                case Kind.SEND:
                    route = f"sends {record.what} to {target}"
                case Kind.ARRIVE:
                    route = f"receives {record.what} from {source}"
                case _:
                    route = f"drops {record.what} from {source} to {target}"
            return f"{route} {_brackets(size, record.rule, record.why, _by(record))}"
        case TimerRecord():
            return f"{record.what} deadline reached {_brackets(record.rule)}"
        case FaultRecord():
            return f"fault: {record.what} {_brackets(record.why)}".rstrip()
        case ShowRecord() if record.what == PacketKind.RELAY:
            text = record.text
            if len(text) > TEXT_CHARACTERS_SHOWN_MAX:
                text = f"{text[:TEXT_CHARACTERS_SHOWN_MAX]}…"
            return f"shows '{text}' from {record.name} {_brackets(record.rule)}".rstrip()
        case ShowRecord():
            about = f" about {record.name}" if record.name else ""
            return f"shows the notice {record.what}{about} {_brackets(record.rule)}".rstrip()
        case _:
            assert_never(record)


def _by(record: StepRecord | PacketRecord) -> str:
    return f"listener {record.listener}" if record.listener else ""


def _brackets(*parts: str | None) -> str:
    inside = ", ".join(part for part in parts if part)
    return f"({inside})" if inside else ""
