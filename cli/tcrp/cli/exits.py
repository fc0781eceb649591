"""Exit codes, and how the programs report a user's mistake."""

from __future__ import annotations

import sys

HOLDS, DOES_NOT_HOLD, CANNOT = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


class UsageError(Exception):
    """A mistake of the user. The message says what is wrong and what to do instead."""


def complain(program: str, what: str) -> None:
    """Print an error in one line on stderr."""
    print(f"{program}: {what}", file=sys.stderr)
