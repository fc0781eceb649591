"""Draws the rows of a run as a table. Colour never carries information of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcrp.cli.console import fitted, is_screen
from tcrp.cli.rows import FORGED, KEEP_ALIVE, RETRANSMISSION, Origin, Row, fold, fold_repeats
from tcrp.spec.names import PacketKind
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.plural import counted
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord

MACHINE_STYLES = {"session": "cyan", "room": "magenta", "handshake": "blue", "lease": "yellow", "ownership": "yellow"}
ENDS = {str(state) for table in (SESSION, ROOM, HANDSHAKE) for state in table.final}
NAMES_SHOWN_MAX = 4
TEXT_SHOWN_MAX = 100
WIDE_ENOUGH = 130  # columns


@dataclass(frozen=True, slots=True)
class View:
    """What of a run is printed: `format` is table, summary, jsonl or quiet; the rest is for tables.

    `only` are the actors of the rows that are shown, all if there are none; `hidden` are kinds of rows.
    """

    format: str
    rows_max: int | None = None
    only: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    folds: bool = True

    def rows(self, records: Iterable[Record]) -> list[Row]:
        """The rows that are shown."""
        seen = (row for row in fold(records) if row.kind not in self.hidden)
        rows = (row for row in seen if not self.only or row.actor in self.only)
        return list(fold_repeats(rows) if self.folds else rows)


def steps_table(rows: list[Row], console: Console, rows_max: int | None) -> Table:
    """The rows as a table for `console`; beyond `rows_max` the middle rows are left out.

    On a terminal too narrow for all columns, one column holds everything but time and actor.
    """
    is_narrow = console.width < WIDE_ENOUGH
    box = SIMPLE_HEAD if is_screen(console) else None
    table = Table(box=box, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("actor", no_wrap=True)
    if not is_narrow:
        for name in ("machine", "from → to", "event", "rule"):
            table.add_column(fitted(Text(name), console), no_wrap=True)
    effects = "what happened · rule · sent · shown · dropped" if is_narrow else "sent · shown · dropped"
    table.add_column(fitted(Text(effects), console), overflow="fold", no_wrap=not is_screen(console))

    def add(row: Row) -> None:
        cells = _narrow(_cells(row)) if is_narrow else _cells(row)
        table.add_row(*(fitted(cell, console) for cell in cells))

    if rows_max is None or len(rows) <= rows_max:
        for row in rows:
            add(row)
        return table
    half = rows_max // 2
    for row in rows[:half]:
        add(row)
    left_out = Text(f"{counted(len(rows) - 2 * half, 'more row')} (--rows all shows them)", style="dim")
    table.add_row(fitted(Text("⋮"), console), *[""] * (len(table.columns) - 2), left_out)
    for row in rows[-half:]:
        add(row)
    return table


def _narrow(cells: tuple[Text, ...]) -> tuple[Text, ...]:
    """The cells with all but time and actor joined into one."""
    time, actor, *others = cells
    return time, actor, Text("  ").join([each for each in others if each.plain])


def _cells(row: Row) -> tuple[Text, ...]:
    record = row.records[0]
    time = Text(_time(record.t_us), style="dim")
    if row.repeats.total() > 1:
        actors = {actor for actor, _ in row.repeats}
        actor = row.actor if len(actors) == 1 else f"{len(actors)} actors"
        return time, Text(actor), Text(""), Text(""), Text(""), Text(""), _repeats(row)
    machine, change, event = Text(""), Text(""), Text("")
    if isinstance(record, StepRecord | RefusalRecord):
        machine = Text(f"{record.machine} {_several(row.ids)}", style=MACHINE_STYLES[record.machine])
        change, event = Text(record.from_), Text(record.event)
    if isinstance(record, StepRecord) and record.from_ != record.to:
        style = "bold red" if record.to in ENDS else "bold green"
        change = Text.assemble((record.from_, "dim"), " → ", (record.to, style))
    shown = [_origin(row), _words(row), *(_words(each) for each in row.followed if not _is_told(each, record))]
    effects = Text("  ").join([each for each in shown if each.plain])
    rule = Text(getattr(record, "rule", None) or "", style="dim")
    return time, Text(record.actor), machine, change, event, rule, effects


def _repeats(row: Row) -> Text:
    """How often what was repeated, and until when."""
    what = row.kind if row.kind in (KEEP_ALIVE, RETRANSMISSION) else "▸ forged datagram"
    repeats = row.repeats
    if row.kind == KEEP_ALIVE:
        what = " and ".join(dict.fromkeys(kind for _, kind in row.repeats))  # keep-alive, enter again, or both
        repeats = Counter()
        for (actor, _), times in row.repeats.items():
            repeats[actor, actor] += times
    many = len(repeats) > 1
    who = ", ".join(f"{each} ×{times}" if many else each for (_, each), times in repeats.items())
    return Text(f"{what} ×{row.repeats.total()} until {_time(row.until_us)}: {who}", style="dim")


def _origin(row: Row) -> Text:
    """Who made the packet by hand whose arrival had this effect."""
    origin = row.origin
    if origin is None or not origin.forged or origin.packet.n != row.records[0].cause or row.kind == FORGED:
        return Text("")
    return Text(f"forged by {origin.packet.link.partition('>')[0]} ({origin.forged})", style="bold magenta")


def _forged(origin: Origin) -> str:
    return "forged" if origin.forged in ("datagram", "stream") else f"forged ({origin.forged})"


def _is_told(followed: Row, record: Record) -> bool:
    """Whether a packet is dropped for the reason with which it is refused in the same row."""
    drop = followed.records[0]
    if not (isinstance(drop, PacketRecord) and isinstance(record, RefusalRecord)):
        return False
    return drop.kind is Kind.DROP and drop.why == record.why


def _is_ignored(row: Row) -> bool:
    """Whether the row refuses what had its effect when it was sent, or arrived, for the first time."""
    return row.kind == RETRANSMISSION and isinstance(row.records[0], RefusalRecord)


def _time(t_us: int) -> str:
    return f"{t_us // 1_000_000}.{t_us % 1_000_000:06d}"


def _words(row: Row) -> Text:
    """What the row's records sent, showed, refused, dropped or injected, and why."""
    record = row.records[0]
    match record:
        case StepRecord():
            return Text(record.why, style="yellow")
        case RefusalRecord() if _is_ignored(row) and row.origin is not None:
            how = "a duplicate" if row.origin.packet.why else "a retransmission"
            return Text(f"↻ {row.origin.packet.what} ignored, {how}: {record.why}", style="dim")
        case RefusalRecord():
            return Text(f"! refused: {record.why}", style="yellow")
        case PacketRecord(kind=Kind.SEND):
            each = " each" if len(row.ids) > 1 else ""
            to = f"{record.what} to {_several(row.ids)} ({record.bytes} B{each})"
            if row.origin is not None and row.origin.forged:
                return Text(f"▸ {_forged(row.origin)} {to}", style="bold magenta")
            is_again = row.kind == RETRANSMISSION or (row.kind == KEEP_ALIVE and record.what == PacketKind.ENTER)
            return Text(f"↻ {to} again", style="dim") if is_again else Text(f"▸ {to}")
        case PacketRecord():
            link = "from" if record.link.endswith(f">{record.actor}") else "to"
            what = record.what if row.kind != FORGED or row.origin is None else f"{_forged(row.origin)} {record.what}"
            return Text(f"✗ {what} {link} {_several(row.ids)} dropped: {record.why}", style="red")
        case ShowRecord() if record.what == "relay":
            text = record.text if len(record.text) <= TEXT_SHOWN_MAX else f"{record.text[:TEXT_SHOWN_MAX]}…"
            return Text(f"◂ {record.name}: {text}", style="green")
        case ShowRecord():
            return Text(f"◂ {_notice(record)}", style="italic green")
        case FaultRecord():
            return Text(f"⚡ {record.what} {record.why}".rstrip(), style="bold magenta")
        case _:
            raise AssertionError("fold() makes rows of these records only")


def _notice(record: ShowRecord) -> str:
    return f"notice {record.what}" + (f": {record.name}" if record.name else "")


def _several(ids: list[str]) -> str:
    shown = ", ".join(ids[:NAMES_SHOWN_MAX])
    return shown if len(ids) <= NAMES_SHOWN_MAX else f"{shown} and {len(ids) - NAMES_SHOWN_MAX} more"
