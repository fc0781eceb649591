"""Which version this is."""

from __future__ import annotations


def tcrp_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version  # not needed for most of what is asked

    try:
        return version("tcrp")
    except PackageNotFoundError:
        return "not installed"
