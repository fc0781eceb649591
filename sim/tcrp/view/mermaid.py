"""A trace as a Mermaid sequence diagram, as many documents can hold it.

Mermaid has no time and no slanted arrows: each packet is one line, in the order in which packets arrive.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcrp.engine.text import shown
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, RefusalRecord, ShowRecord, StepRecord
from tcrp.view.about import About
from tcrp.view.picture import Fate, Packet, Picture

TEXT_MAX = 60
ESCAPED = {"#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;", "%": "#37;", '"': "#quot;", "{": "#123;", "}": "#125;"}
"""Characters that mean something to Mermaid, or to the page that it draws in."""


def mermaid(picture: Picture, about: About) -> Iterator[str]:
    """Lines, each with LF."""
    yield "sequenceDiagram\n"
    yield f"    %% {_text(about.title)}\n"
    for index in picture.order:
        line = picture.lifelines[index]
        yield f"    participant L{index} as {_text(line.name)}\n"
    for record in picture.records:
        match record:
            case PacketRecord(kind=Kind.ARRIVE | Kind.DROP):
                packet = picture.packets[picture.packet_of[record.n]]
                if not packet.is_routine:
                    yield from _packet(packet, record.n, picture)
            case StepRecord() if record.from_ != record.to:
                where = picture.tracks[picture.track_of[record.n]].lifeline
                yield f"    Note over L{where}: {_text(f'{record.machine} {record.id}: {record.to}')}\n"
            case RefusalRecord():
                yield f"    Note over L{picture.lifeline(record.actor)}: {_text(f'refused: {record.why}')}\n"
            case ShowRecord():
                what = (
                    f"{record.name}: {record.text}" if record.what == "relay" else f"notice {record.what} {record.name}"
                )
                yield f"    Note over L{picture.lifeline(record.actor)}: {_text(what)}\n"
            case FaultRecord():
                where = picture.lifeline(record.actor)
                over = f"L{where}" if where >= 0 else f"L{picture.order[0]},L{picture.order[-1]}"
                yield f"    Note over {over}: {_text(f'fault: {record.what} {record.why}')}\n"
            case _:
                pass


def _packet(packet: Packet, n: int, picture: Picture) -> Iterator[str]:
    if packet.source < 0 or packet.target < 0 or (n == packet.end_n and packet.fate is Fate.REJECTED and packet.sent_n):
        return  # the rejection is told instead of the arrival
    arrow = {Fate.LOST: "--x", Fate.WITHHELD: "--x", Fate.REJECTED: "-x"}.get(packet.fate, "->>")
    said = picture.texts.get(packet.root, "") if packet.root else ""
    why = f": {packet.why}" if packet.why else ""
    what = f"{packet.what} {said}".strip()
    yield f"    L{packet.source}{arrow}L{packet.target}: {_text(f'{what}{why}')}\n"


def _text(text: str) -> str:
    text = shown(text)
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}…"
    return "".join(ESCAPED.get(each, each) for each in text) or "-"
