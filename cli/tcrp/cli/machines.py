"""Prints the state machines as tables, or as Mermaid or DOT diagrams; and the messages as a dissector."""

from __future__ import annotations

from rich.table import Table as RichTable
from rich.text import Text

from tcrp.cli.console import console_for, print_table
from tcrp.spec.names import Machine
from tcrp.spec.render import TABLES, AnyTable, dot, mermaid


def print_machines(only: str | None, format: str) -> None:
    """Print one machine, or all three."""
    tables = [TABLES[Machine(only)]] if only else list(TABLES.values())
    for number, table in enumerate(tables):
        if number:
            print()
        if format == "table":
            _print_table(table)
        else:
            print(mermaid(table) if format == "mermaid" else dot(table))


def _print_table(table: AnyTable) -> None:
    console = console_for()
    console.print(Text(str(table.machine), style="bold"))
    rich = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2))
    for name in ("from", "event", "to", "rule"):
        rich.add_column(name, no_wrap=True)
    for (state, event), row in table.rows.items():
        to = Text(str(row.to), style="dim" if row.to is state else "red" if row.to in table.final else "green")
        rich.add_row(str(state), str(event), to, Text(row.rule, style="dim"))
    print_table(console, rich)
    final = ", ".join(str(state) for state in table.states if state in table.final)
    refused = sum(1 for _ in table.refused())
    console.print(f"initial {table.initial}, final {final}; the other {refused} pairs of state and event are refused")


def print_dissector() -> None:
    """Print a dissector for Wireshark."""
    from tcrp.cli.output import utf8_stdout
    from tcrp.view.wireshark import wireshark

    utf8_stdout()
    print(wireshark(), end="")
