"""A run as a table that a person reads step by step.

Folds records that belong together (one text to many members is one row), and leaves out arrivals
and deadlines, which the rows around them tell. Colours repeat what words and signs say already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcrp.engine.trace import Fault, Kind, Packet, Record, Refuse, Shown, Step
from tcrp.spec.names import What
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION

MACHINE_STYLES = {"session": "cyan", "room": "magenta", "handshake": "blue"}
ENDS = {str(state) for table in (SESSION, ROOM, HANDSHAKE) for state in table.final}
PLUMBING = (What.OPEN, What.OPENED, What.CLOSE)
NAMES_SHOWN_MAX = 4


@dataclass(slots=True)
class Row:
    """One line of the table: the records that are folded into it."""

    records: list[Record]
    ids: list[str] = field(default_factory=list)


def fold(records: Iterable[Record]) -> Iterator[Row]:
    """Rows in order. Records of one moment, actor and kind of happening stand in one row."""
    row: Row | None = None
    key: object = None
    for record in records:
        label = _label(record)
        if label is None:
            continue
        new_key = _fold_key(record)
        if row is None or new_key is None or new_key != key:
            if row is not None:
                yield row
            row, key = Row([record], [label]), new_key
        else:
            row.records.append(record)
            row.ids.append(label)
    if row is not None:
        yield row


def _label(record: Record) -> str | None:
    """What tells a record from its like in one row; None leaves it out."""
    match record:
        case Packet(kind=Kind.SEND) if record.what in PLUMBING:
            return None
        case Packet(kind=Kind.SEND) | Packet(kind=Kind.DROP):
            return record.link.partition(">")[2] or record.actor
        case Step() | Refuse():
            return record.id
        case Shown():
            return record.actor
        case Fault():
            return record.actor
        case _:
            return None


def _fold_key(record: Record) -> object:
    match record:
        case Packet():
            return record.t_us, record.actor, record.kind, record.what, record.why, record.rule, record.bytes
        case Step():
            return record.t_us, record.actor, record.machine, record.event, record.from_, record.to
        case _:
            return None


def steps_table(rows: list[Row], console: Console, rows_max: int | None) -> Table:
    """The rows as a table for `console`; of more than `rows_max` the middle is left out."""
    is_screen = console.is_terminal
    table = Table(
        box=None if not is_screen else SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        expand=False,
        padding=(0, 1),
    )
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("actor", no_wrap=True)
    table.add_column("machine", no_wrap=True)
    table.add_column("from → to", no_wrap=True)
    table.add_column("event", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    table.add_column("sent · shown · dropped", overflow="fold", no_wrap=not is_screen)
    shown = rows
    if rows_max is not None and len(rows) > rows_max:
        shown = rows[: rows_max // 2]
    for row in shown:
        table.add_row(*_cells(row))
    if rows_max is not None and len(rows) > rows_max:
        left_out = len(rows) - 2 * (rows_max // 2)
        table.add_row("⋮", "", "", "", "", "", Text(f"{left_out} more rows (--rows all shows them)", style="dim"))
        for row in rows[-(rows_max // 2) :]:
            table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[Text, ...]:
    record = row.records[0]
    time = Text(f"{record.t_us // 1_000_000}.{record.t_us % 1_000_000:06d}", style="dim")
    actor = Text(record.actor)
    match record:
        case Step():
            style = MACHINE_STYLES[record.machine]
            change = Text(record.from_)
            if record.from_ != record.to:
                change = Text.assemble(
                    (record.from_, "dim"), " → ", (record.to, "bold red" if record.to in ENDS else "bold green")
                )
            why = Text(record.why, style="yellow") if record.why else Text("")
            return (
                time, actor, Text(f"{record.machine} {_several(row.ids)}", style=style), change, Text(record.event),
                Text(record.rule, style="dim"), why,
            )  # fmt: skip
        case Refuse():
            return (
                time, actor, Text(f"{record.machine} {record.id}", style=MACHINE_STYLES[record.machine]),
                Text(record.from_), Text(f"! {record.event}", style="yellow"), Text(record.rule or "", style="dim"),
                Text(f"! refused: {record.why}", style="yellow"),
            )  # fmt: skip
        case Packet(kind=Kind.SEND):
            sent = f"▸ {record.what} to {_several(row.ids)} ({record.bytes} B{' each' if len(row.ids) > 1 else ''})"
            return time, actor, Text(""), Text(""), Text(""), Text(""), Text(sent)
        case Packet():
            whom = _several(row.ids)
            lost = f"✗ {record.what} to {whom} dropped: {record.why}"
            return (
                time, actor, Text(""), Text(""), Text(""), Text(record.rule or "", style="dim"), Text(lost, style="red"),
            )  # fmt: skip
        case Shown():
            what = f"{record.name}: {record.text}" if record.what == "relay" else _notice(record)
            style = "green" if record.what == "relay" else "italic green"
            rule = Text(record.rule or "", style="dim")
            return time, actor, Text(""), Text(""), Text(""), rule, Text(f"◂ {what}", style=style)
        case Fault():
            what = f"⚡ {record.what} {record.why}".rstrip()
            return time, actor, Text(""), Text(""), Text(""), Text(""), Text(what, style="bold magenta")
        case _:
            raise AssertionError("rows are made of these records")


def _notice(record: Shown) -> str:
    return f"told {record.what}" + (f": {record.name}" if record.name else "")


def _several(ids: list[str]) -> str:
    shown = ", ".join(ids[:NAMES_SHOWN_MAX])
    return shown if len(ids) <= NAMES_SHOWN_MAX else f"{shown} and {len(ids) - NAMES_SHOWN_MAX} more"


def one_line(record: Record) -> str:
    """A record in one plain line, for reports."""
    cells = [cell.plain for cell in _cells(Row([record], [_label(record) or ""]))] if _label(record) else []
    return "  ".join(cell for cell in cells if cell) if cells else record.line()
