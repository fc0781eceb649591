"""How a program ends, what a user cannot ask for, and how that is said."""

from __future__ import annotations

import sys

HOLDS, DOES_NOT_HOLD, CANNOT = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


class UsageError(Exception):
    """What the user asked for cannot be done. The message says what to do instead."""


def complain(program: str, what: str) -> None:
    """Say what went wrong, in one line on stderr."""
    print(f"{program}: {what}", file=sys.stderr)
