"""The version of the programs, and whether they run as Python or compiled."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

PURE, COMPILED = "pure Python", "compiled"


def tcrp_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version  # imported late: most commands do not need it

    try:
        return version("tcrp")
    except PackageNotFoundError:
        return "not installed"


def tcrp_build() -> str:
    """Whether the engine that is installed is `PURE` or `COMPILED`; does not load it."""
    found = find_spec("tcrp.engine.server")
    is_compiled = found is not None and found.origin is not None and not found.origin.endswith(".py")
    return COMPILED if is_compiled else PURE


class ShowVersion(argparse.Action):
    """Prints the version, and what `more` says, and ends the program; looks it up only then."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, help: str | None = None, more: Callable[[], str] = str
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)
        self._more = more

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        print(f"{parser.prog} {tcrp_version()} ({tcrp_build()}){self._more()}")
        parser.exit()
