"""What becomes of a program's output: signs for terminals that lack them, and exit codes where nobody can read it."""

from __future__ import annotations

import argparse
import atexit
import codecs
import errno
import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tcrp.cli.exits import CANNOT, INTERRUPTED, OUTPUT_LOST, PIPE_CLOSED, OutputLost, UsageError, complain

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

SIGNS = {
    "▸": ">",
    "◂": "<",
    "✔": "+",
    "✗": "x",
    "⚡": "!",
    "→": "->",
    "·": "|",
    "…": "...",
    "⋮": ":",
    "×": "x",
    "↻": "~",
}
"""The signs that the programs print, and what stands for them in an encoding that lacks one of them."""
LOST = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What a write to stdout or stderr ends with. Files that a program writes name themselves in their errors."""
REPLACE = "tcrp-signs"
"""The name of the error handler that replaces what an encoding lacks."""


USAGE_LINES_MAX = 6
NEW_OBJECTS_MAX = 20_000
"""After so many the garbage collector looks at them. A start makes 60,000 that stay, and by default it looks often."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, but `--help` and `--version` that cannot be written fail, as all output does.

    A long usage is not put before an error: it would hide it. A word that is nearly one of the choices is answered with
    that one, and not with all.
    """

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            from difflib import get_close_matches  # only a mistake needs it

            if near := get_close_matches(str(value), map(str, action.choices), 1):
                raise argparse.ArgumentError(action, f"invalid choice: {value!r}; did you mean {near[0]}?")
        super()._check_value(action, value)

    def print_usage(self, file: SupportsWrite[str] | None = None) -> None:
        if file is not sys.stderr or self.format_usage().count("\n") <= USAGE_LINES_MAX:
            super().print_usage(file)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if message and file is sys.stdout:
            file.write(message)  # argparse's own swallows the error
        else:
            super()._print_message(message, file)


def run_program(program: str, body: Callable[[], int], unshown: str = REPLACE) -> int:
    """The exit code of `body`; one of its own, and no stack trace, if the output cannot be written.

    `unshown` names the error handler for characters that the encoding of the output lacks.
    """
    _collect_rarely()
    _prepare_streams(unshown)
    try:
        try:
            return body()
        finally:  # also behind argparse's SystemExit: what is still in the buffer may not fit
            sys.stdout.flush()
    except UsageError as error:
        complain(program, str(error))
        return CANNOT
    except OutputLost as error:
        complain(program, str(error))
        return OUTPUT_LOST
    except KeyboardInterrupt:
        complain(program, "interrupted")
        return INTERRUPTED
    except OSError as error:
        if error.errno not in LOST or error.filename is not None:
            complain(program, f"{error.filename}: {error.strerror}" if error.filename is not None else str(error))
            return CANNOT
        _discard("stdout")  # else Python tries once more at the end, and complains
        if error.errno == errno.EPIPE:
            return PIPE_CLOSED
        complain(program, f"cannot write the output: {error.strerror}")
        return OUTPUT_LOST


def utf8_stdout() -> None:
    """From now on stdout is UTF-8 with LF, whatever the environment says: a trace is."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")


def shows_signs(encoding: str | None) -> bool:
    """Whether text in this encoding can hold every sign that the programs print."""
    try:
        "".join(SIGNS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _collect_rarely() -> None:
    """Have the garbage collector look at what is new now and then, and at nothing when the process ends."""
    gc.set_threshold(NEW_OBJECTS_MAX)
    atexit.unregister(gc.freeze)  # a process may run several programs, as tests do
    atexit.register(gc.freeze)


def _prepare_streams(unshown: str) -> None:
    codecs.register_error(REPLACE, _replace)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before the program started
            _discard(name)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=unshown)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError) and (sign := SIGNS.get(error.object[error.start])) is not None:
        return sign, error.start + 1
    return codecs.backslashreplace_errors(error)


def _discard(name: str) -> None:
    """What is printed there from now on is lost, and no error."""
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open until the program ends)
