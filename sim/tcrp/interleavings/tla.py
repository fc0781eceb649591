"""The three machines and the small chat world as a TLA+ module with its configuration, for TLC."""

from __future__ import annotations

from pathlib import Path

from tcrp.interleavings.small_world import INVARIANTS, SmallBounds
from tcrp.spec.render import TABLES, AnyTable

MODULE = "Tcrp"
_TEMPLATE = Path(__file__).with_name("small_world.tla")
_MACHINES = "@MACHINES@"


def module() -> str:
    """`Tcrp.tla`: the template with the machines' tables."""
    machines = "\n\n".join(_machine(table) for table in TABLES.values())
    return _TEMPLATE.read_text(encoding="utf-8").replace(_MACHINES, machines)


def configuration(bounds: SmallBounds, *, symmetry: bool = False) -> str:
    """`Tcrp.cfg`: the bounds, and what TLC checks. `symmetry`: it counts one of all states that are alike,
    which takes two guests.
    """
    guests = ", ".join(f"guest{number}" for number in range(1, bounds.users))
    lines = [
        "SPECIFICATION Spec",
        "CONSTANTS",
        "    Host = host",
        f"    Guests = {{{guests}}}",
        f"    Texts = {bounds.texts}",
        f"    Drops = {bounds.drops}",
        f"    Duplicates = {bounds.duplicates}",
        *(["SYMMETRY Symmetry"] if symmetry and bounds.users > 2 else []),
        "INVARIANTS",
        *(f"    {name}" for name in INVARIANTS),
    ]
    return "\n".join(lines) + "\n"


def _machine(table: AnyTable) -> str:
    name = str(table.machine).capitalize()
    rows = [(f"<<{_text(state)}, {_text(event)}, {_text(row.to)}>>", str(row.rule))
            for (state, event), row in table.rows.items()]  # fmt: skip
    commas = [*("," for _ in rows[1:]), ""]
    return "\n".join([
        f"{name}States == {{{', '.join(_text(state) for state in table.states)}}}",
        f"{name}Initial == {_text(table.initial)}",
        f"{name}Final == {{{', '.join(_text(state) for state in table.states if state in table.final)}}}",
        f"{name}Rows == {{",
        *(f"    {row + comma:<50}\\* {rule}" for (row, rule), comma in zip(rows, commas, strict=True)),
        "}",
    ])  # fmt: skip


def _text(word: object) -> str:
    return f'"{word}"'
