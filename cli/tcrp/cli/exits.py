"""How a program ends, and what a user cannot ask for."""

from __future__ import annotations

HOLDS, DOES_NOT_HOLD, CANNOT = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


class UsageError(Exception):
    """What the user asked for cannot be done. The message says what to do instead."""
