"""The version of the programs."""

from __future__ import annotations


def tcrp_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version  # imported late: most commands do not need it

    try:
        return version("tcrp")
    except PackageNotFoundError:
        return "not installed"
