"""The client's configuration file: TOML, whose values hold unless an option says otherwise."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tcrp.cli.exits import UsageError
from tcrp.cli.i18n import _

KEYS: Mapping[str, type] = {
    "name": str,
    "host": str,
    "tcp_port": int,
    "udp_port": int,
    "dialect": str,
    "idle_timeout": str,
    "keep_alive": str,
    "reconnect": bool,
    "colours": bool,
    "bell": bool,
}
"""Every key, and the type of its value. Most are options too."""
PORT_MAX = 65535


def default_path() -> Path:
    """Where the file is looked for, by the XDG Base Directory Specification."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not folder.is_absolute():  # the specification has it ignored then
        folder = Path("~/.config").expanduser()
    return folder / "tcrp" / "chat-client.toml"


def read_config(file: str | None) -> dict[str, object]:
    """The values of `file`, or of the default one if it exists. Raises `UsageError` naming the key."""
    path = Path(file) if file is not None else default_path()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except OSError as error:
        if file is None and isinstance(error, FileNotFoundError | NotADirectoryError):
            return {}
        raise UsageError(_("{file}: cannot read it: {why}").format(file=path, why=error.strerror)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(_("{file}: not valid TOML: {why}").format(file=path, why=error)) from None
    for key, value in values.items():
        kind = KEYS.get(key)
        if kind is None:
            near = difflib.get_close_matches(key, KEYS, 1)
            known = (
                _("{file}: there is no key {key!r}; did you mean {known}?")
                if near
                else _("{file}: there is no key {key!r}; allowed are {known}")
            )
            raise UsageError(known.format(file=path, key=key, known=", ".join(near or KEYS)))
        if type(value) is not kind or (kind is int and isinstance(value, int) and not 1 <= value <= PORT_MAX):
            what = {str: _("a text in quotes"), int: _("a port, 1 to 65535"), bool: _("true or false")}[kind]
            written = repr(value).lower() if isinstance(value, bool) else repr(value)  # as TOML writes it
            wrong = _("{file}: {key} is {value}; expected is {what}")
            raise UsageError(wrong.format(file=path, key=key, value=written, what=what))
    return values
