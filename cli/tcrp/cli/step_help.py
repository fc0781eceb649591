"""The keys of `chat-sim step`, and the screen that names them."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEY_MEANINGS = (
    ("→ ↓ space", "next record"), ("← ↑", "previous record"), ("PgDn PgUp", "a page on, back"),
    ("Home End", "first, last record"), ("s S", "next, previous step of one actor"), ("a", "of which actor"),
    ("d D", "next, previous drop"), ("r R", "refusal"), ("f F", "fault"), ("v V", "violation"), ("t", "go to a time"),
    ("g", "go to a record"), ("c", "go to its cause"), ("b", "back to where I was"), ("/", "search"),
    ("n N", "search on, back"), ("u", "only one user"), ("o", "only one room"), ("Esc", "all users and rooms"),
    ("w", "write what if as a scenario"), ("x", "what if it is dropped"), ("y", "what if it arrives twice"),
    ("z", "what if it arrives later"), ("Backspace", "undo what if"), ("?", "this help"), ("q", "quit"),
)  # fmt: skip
"""Two of them in a row, where there is room."""
MOUSE = " A click goes to a row or a cause, the wheel on and back."
HELP_CELLS = 76
KEYS = "→ next  ← back  s step  d drop  r refusal  f fault  x what if  ? help  q quit"
NARROW_KEYS = "→ ← s d r f /  ? help  q quit"


def help_text(width: int) -> str:
    """The keys and what they do."""
    entries = [f" {keys:<11}{meaning:<25}" for keys, meaning in KEY_MEANINGS]
    if width > HELP_CELLS:
        entries = ["".join(entries[at : at + 2]) for at in range(0, len(entries), 2)]
    return "\n".join([*(entry.rstrip() for entry in entries), "", MOUSE])


class Help(ModalScreen[None]):
    """The keys."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll { width: 78; max-width: 100%; height: auto; max-height: 100%; border: round $primary; }
    """
    BINDINGS = [Binding("escape,question_mark,q,enter,space", "dismiss", "close")]  # noqa: RUF012 (textual's own form)

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(help_text(self.app.size.width)))
