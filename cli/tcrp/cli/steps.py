"""Prints the steps of a run as a table.

Records that belong together are folded into one row (one text to many members); arrivals and deadlines
are left out, because the rows around them imply them. Colour never carries information of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcrp.cli.console import fitted, is_screen
from tcrp.spec.names import PacketKind
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord

MACHINE_STYLES = {"session": "cyan", "room": "magenta", "handshake": "blue"}
ENDS = {str(state) for table in (SESSION, ROOM, HANDSHAKE) for state in table.final}
PLUMBING = (PacketKind.OPEN, PacketKind.OPENED, PacketKind.CLOSE)
NAMES_SHOWN_MAX = 4
TEXT_SHOWN_MAX = 100
WIDE_ENOUGH = 130  # columns


@dataclass(slots=True)
class Row:
    """One row of the table: the records folded into it, and the rows of their immediate effects."""

    records: list[Record]
    ids: list[str] = field(default_factory=list)
    followed: list[Row] = field(default_factory=list)


def fold(records: Iterable[Record]) -> Iterator[Row]:
    """The rows, in order. Records of one time, actor and kind share a row, which also has the packets and
    texts that a step sends or shows.
    """
    row: Row | None = None
    for record in records:
        label = _label(record)
        if label is None:
            continue
        if row is not None and _joins(row, record, label):
            continue
        if row is not None:
            yield row
        row = Row([record], [label])
    if row is not None:
        yield row


def _joins(row: Row, record: Record, label: str) -> bool:
    """Fold `record` into `row` if it belongs there. Returns whether it does."""
    last = row.followed[-1] if row.followed else row
    if (key := _fold_key(record)) is not None and key == _fold_key(last.records[0]):
        last.records.append(record)
        last.ids.append(label)
        return True
    first = row.records[0]
    follows = isinstance(record, PacketRecord | ShowRecord) and isinstance(first, StepRecord | RefusalRecord)
    if follows and record.actor == first.actor and record.t_us == first.t_us:
        row.followed.append(Row([record], [label]))
        return True
    return False


def _label(record: Record) -> str | None:
    """What distinguishes a record from others in the same row; None leaves the record out."""
    match record:
        case PacketRecord(kind=Kind.SEND) if record.what in PLUMBING:
            return None
        case PacketRecord(kind=Kind.SEND) | PacketRecord(kind=Kind.DROP):
            source, _, target = record.link.partition(">")
            return source if record.kind is Kind.DROP and target == record.actor else target
        case StepRecord() | RefusalRecord():
            return record.id
        case ShowRecord():
            return record.actor
        case FaultRecord():
            return record.actor
        case _:
            return None


def _fold_key(record: Record) -> object:
    match record:
        case PacketRecord():
            return record.t_us, record.actor, record.kind, record.what, record.why, record.rule, record.bytes
        case StepRecord():
            return record.t_us, record.actor, record.machine, record.event, record.from_, record.to
        case _:
            return None


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
    left_out = Text(f"{len(rows) - 2 * half} more rows (--rows all shows them)", style="dim")
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
    time = Text(f"{record.t_us // 1_000_000}.{record.t_us % 1_000_000:06d}", style="dim")
    machine, change, event = Text(""), Text(""), Text("")
    if isinstance(record, StepRecord | RefusalRecord):
        machine = Text(f"{record.machine} {_several(row.ids)}", style=MACHINE_STYLES[record.machine])
        change, event = Text(record.from_), Text(record.event)
    if isinstance(record, StepRecord) and record.from_ != record.to:
        style = "bold red" if record.to in ENDS else "bold green"
        change = Text.assemble((record.from_, "dim"), " → ", (record.to, style))
    effects = Text("  ").join([each for each in (_words(row), *map(_words, row.followed)) if each.plain])
    rule = Text(getattr(record, "rule", None) or "", style="dim")
    return time, Text(record.actor), machine, change, event, rule, effects


def _words(row: Row) -> Text:
    """What the row's records sent, showed, refused, dropped or injected, and why."""
    record = row.records[0]
    match record:
        case StepRecord():
            return Text(record.why, style="yellow")
        case RefusalRecord():
            return Text(f"! refused: {record.why}", style="yellow")
        case PacketRecord(kind=Kind.SEND):
            each = " each" if len(row.ids) > 1 else ""
            return Text(f"▸ {record.what} to {_several(row.ids)} ({record.bytes} B{each})")
        case PacketRecord():
            link = "from" if record.link.endswith(f">{record.actor}") else "to"
            return Text(f"✗ {record.what} {link} {_several(row.ids)} dropped: {record.why}", style="red")
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
