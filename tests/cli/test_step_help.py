"""The help of `chat-sim step`: it names every key, once, in as many columns as there are."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tcrp.cli.step_app import StepApp
from tcrp.cli.step_help import HELP_CELLS, KEY_MEANINGS, KEYS, MOUSE, NARROW_KEYS, help_text

SIGNS = {
    "slash": "/", "question_mark": "?", "escape": "Esc", "backspace": "Backspace", "right": "→", "left": "←",
    "up": "↑", "down": "↓", "pageup": "PgUp", "pagedown": "PgDn", "home": "Home", "end": "End",
}  # fmt: skip


def test_it_names_every_key() -> None:
    keys = {key for binding in StepApp.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]
    untold = {*"hjkl", "ctrl+c"}  # as in other programs
    assert {SIGNS.get(key, key) for key in keys} - untold <= set(help_text(80).split())


def test_no_key_has_two_meanings() -> None:
    keys = [key for some, _ in KEY_MEANINGS for key in some.split()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("width", [40, HELP_CELLS, HELP_CELLS + 1, 200])
def test_it_has_two_columns_where_there_is_room_and_each_entry_once(width: int) -> None:
    lines = help_text(width).splitlines()
    assert max(map(cell_len, lines)) <= min(width, HELP_CELLS) or (width == 40 and lines[-1] == MOUSE)
    assert len(lines) == (len(KEY_MEANINGS) + 1) // (2 if width > HELP_CELLS else 1) + 2 - (width <= HELP_CELLS)
    assert all(help_text(width).count(f"{keys:<11}{meaning}") == 1 for keys, meaning in KEY_MEANINGS)


def test_the_line_of_keys_fits_the_screens_that_it_is_for() -> None:
    assert cell_len(KEYS) <= 80
    assert cell_len(NARROW_KEYS) <= 40
