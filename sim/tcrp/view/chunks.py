"""A picture as the page reads it: columns of numbers and one list of texts, in chunks that can follow each other.

The page knows nothing of protocols: what belongs together has been found out by the picture, and is told by number.
Texts are shown as R-SHOW-1 asks: without control and bidi characters.
"""

from __future__ import annotations

from typing import Any

from tcrp.engine.text import shown
from tcrp.spec.cluster_names import ClusterMachine
from tcrp.spec.names import Machine
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
from tcrp.view.picture import Fate, Packet, Picture

KINDS = tuple(map(str, Kind))
MACHINES = (*map(str, Machine), *map(str, ClusterMachine))
FATES = tuple(map(str, Fate))
RECORD_COLUMNS = ("t", "cause", "kind", "line", "a", "b", "c", "what", "rule", "why")
PACKET_COLUMNS = ("i", "source", "target", "proto", "what", "bytes", "sent", "end", "rejected", "fate", "why", "text",
                  "routine")  # fmt: skip
NONE = -1


class ChunkWriter:
    """Turns what a picture has got since the last chunk into the next one."""

    def __init__(self, picture: Picture, texts: dict[str, str] | None = None) -> None:
        self._picture = picture
        self._texts = texts or {}
        self._numbers: dict[str, int] = {}
        self._new_texts: list[str] = []
        self._records = self._lifelines = self._tracks = 0
        self._written: list[tuple[int, int, str]] = []  # of each packet, what can still change

    def chunk(self) -> dict[str, Any]:
        """What is new. Packets and faults that have changed are written again, under their old numbers."""
        picture = self._picture
        self._new_texts = []
        lifelines = [
            [self._text(line.id), self._text(line.name), str(line.role), line.dialect]
            for line in picture.lifelines[self._lifelines :]
        ]
        tracks = [
            [each.lifeline, MACHINES.index(each.machine), self._text(each.id), each.instance, each.column]
            + ([self._text(past.state)] if (past := each.band_before(picture.first)) is not None and past.state else [])
            for each in picture.tracks[self._tracks :]
        ]
        records = self._columns(RECORD_COLUMNS, [self._record(each) for each in picture.records[self._records :]])
        chunk = {
            "first": picture.first + self._records,
            "lifelines": lifelines,
            "order": picture.order,
            "tracks": tracks,
            "records": records,
            "packets": self._columns(PACKET_COLUMNS, self._changed_packets()),
            "faults": [
                [self._text(each.what), self._text(each.why), each.lifeline, self._text(", ".join(each.links)),
                 each.from_n, each.from_us, each.to_n, each.to_us]
                for each in picture.faults
            ],
            "said": [
                [each.n, self._text(picture.said[each.n])]
                for each in (picture.records[self._records :] if picture.said else ())
                if each.n in picture.said
            ],
            "losses": [list(each) for each in picture.losses if each[1] >= picture.first],
            "ended_us": picture.ended_us,
        }  # fmt: skip
        chunk["texts"] = self._new_texts
        self._records, self._lifelines, self._tracks = (
            len(picture.records), len(picture.lifelines), len(picture.tracks),
        )  # fmt: skip
        return chunk

    def _columns(self, names: tuple[str, ...], rows: list[tuple[int, ...]]) -> dict[str, list[int]]:
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}

    def _text(self, text: str | None) -> int:
        if not text:
            return NONE
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._numbers)
            self._new_texts.append(shown(text))
        return number

    def _record(self, record: Record) -> tuple[int, ...]:
        picture, text = self._picture, self._text
        begin = (record.t_us, record.cause, KINDS.index(record.kind))
        match record:
            case StepRecord():
                track = picture.track_of[record.n]
                return (*begin, picture.tracks[track].lifeline, track, text(record.from_), text(record.to),
                        text(record.event), text(record.rule), text(record.why))  # fmt: skip
            case RefusalRecord():
                track = picture.track_of.get(record.n, NONE)
                line = picture.tracks[track].lifeline if track >= 0 else picture.lifeline(record.actor)
                return (*begin, line, MACHINES.index(record.machine), text(record.from_), text(record.id),
                        text(record.event), text(record.rule), text(record.why))  # fmt: skip
            case PacketRecord():
                return (*begin, picture.lifeline(record.actor), picture.packet_of[record.n], NONE, NONE,
                        text(record.what), text(record.rule), text(record.why))  # fmt: skip
            case TimerRecord():
                return (*begin, picture.lifeline(record.actor), NONE, NONE, NONE, text(record.what),
                        text(record.rule), NONE)  # fmt: skip
            case FaultRecord():
                return (*begin, picture.lifeline(record.actor), NONE, NONE, NONE, text(record.what), NONE,
                        text(record.why))  # fmt: skip
            case ShowRecord():
                return (*begin, picture.lifeline(record.actor), text(record.name), NONE, NONE, text(record.what),
                        text(record.rule), text(record.text))  # fmt: skip

    def _changed_packets(self) -> list[tuple[int, ...]]:
        rows = []
        picture = self._picture
        for packet in picture.packets:
            said = self._said(packet)
            state = (packet.end_n, packet.rejected_n, said)
            if packet.index < len(self._written):
                if self._written[packet.index] == state:
                    continue
                self._written[packet.index] = state
            else:
                self._written.append(state)
            rows.append(self._packet(packet, said))
        return rows

    def _said(self, packet: Packet) -> str:
        return (self._texts.get(packet.root) or self._picture.texts.get(packet.root, "")) if packet.root else ""

    def _packet(self, each: Packet, said: str) -> tuple[int, ...]:
        return (each.index, each.source, each.target, self._text(each.proto), self._text(each.what), each.bytes,
                each.sent_n, each.end_n, each.rejected_n, FATES.index(each.fate), self._text(each.why),
                self._text(said), int(each.is_routine))  # fmt: skip
