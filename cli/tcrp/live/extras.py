"""What to say where a library is missing that only some commands need."""

from __future__ import annotations


def missing(what: str, library: str, extra: str) -> str:
    """That `what` needs `library`, and how to install it: in a clone by its extra, elsewhere by itself."""
    return (
        f"{what} needs {library}, which is not installed: pip install {library} "
        f"(in a clone of tcrp: pip install -e '.[{extra}]')"
    )
