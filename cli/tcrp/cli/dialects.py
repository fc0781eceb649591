"""Finds a dialect by its name, or by the path of a TOML file that describes it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from tcrp.cli.exits import UsageError

if TYPE_CHECKING:
    from tcrp.engine.codec import Codec


def dialect_named(name: str) -> Codec:
    """The codec of a dialect, given by name or by the path of a TOML file. Raises `UsageError`."""
    from tcrp.engine.codec import codec, codec_of
    from tcrp.engine.self_check import faults
    from tcrp.spec.dialect_file import Source
    from tcrp.spec.dialects import SHIPPED, DialectError, parse

    if name in SHIPPED:
        return codec(name)
    toml = toml_of(name)
    try:
        speaks = codec_of(parse(toml, name))
    except DialectError as error:
        raise UsageError(str(error)) from None
    for key, what in faults(speaks):
        raise UsageError(str(Source(toml, name).error(key, what)))
    return speaks


def toml_of(name: str) -> str:
    """The description of a dialect, given by name or by the path of a TOML file. Raises `UsageError`."""
    from tcrp.spec.dialect_file import FILE_BYTES_MAX
    from tcrp.spec.dialects import SHIPPED, path_of

    path = path_of(name) if name in SHIPPED else Path(name)
    if path.suffix != ".toml" and not (name and path.exists()):
        near = difflib.get_close_matches(name, SHIPPED, 1)
        hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(SHIPPED)}, or a TOML file"
        raise UsageError(f"there is no dialect named {name!r}; {hint}")
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise UsageError(f"{name}: a description of a dialect has at most {FILE_BYTES_MAX} bytes; this is more")
        return data.decode()
    except OSError as error:
        raise UsageError(f"{name}: cannot read the dialect: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not valid UTF-8") from None
