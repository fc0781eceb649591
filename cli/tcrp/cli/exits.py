"""Exit codes, and how the programs report a user's mistake."""

from __future__ import annotations

import os
import sys

HOLDS, DOES_NOT_HOLD, CANNOT = 0, 1, 2
OUR_FAULT = 70  # EX_SOFTWARE of sysexits.h
OUTPUT_LOST = 74  # EX_IOERR of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE


class UsageError(Exception):
    """A mistake of the user. The message says what is wrong and what to do instead."""


class OutputLost(Exception):
    """What was asked for cannot be written: a trace, a bundle, a new scenario. The message says where and why."""


class OurFault(Exception):
    """Our own code has raised. The message says what, where, and how to see it again."""


def complain(program: str, what: str) -> None:
    """Print an error in one line on stderr. Where nobody can read it, the exit code has to say it."""
    try:
        print(f"{program}: {what}", file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (else Python tries again at the end)
