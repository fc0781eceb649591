"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Such as `1 state`, `0 states`, `2,000 processes`."""
    plural = "es" if noun.endswith(("s", "sh")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"
