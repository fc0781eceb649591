"""`chat-sim step`: opens what is to be stepped through, and the screen for it."""

from __future__ import annotations

import os
import sys

from tcrp.cli.exits import HOLDS, UsageError
from tcrp.cli.what_if import open_source
from tcrp.live.extras import missing


def step(name: str, seed: int | None, start: int) -> int:
    """Step through the scenario, bundle or trace `name`, beginning at record `start`. Raises `UsageError`."""
    try:
        from tcrp.cli.step_app import StepApp
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("textual"):
            raise
        raise UsageError(missing("step", "textual", "view")) from None
    opened = open_source(name, seed)
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") in ("dumb", ""):
        raise UsageError("step needs a terminal that can move its cursor; chat-sim run --summary says it in sentences")
    StepApp(opened, start).run()
    return HOLDS
