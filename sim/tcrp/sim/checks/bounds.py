"""The limits that a server is under while a scenario changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tcrp.spec.limits import SETTINGS, Limits, Unit


class Bounds:
    """The limits in force; and the widest and narrowest of each that were in force so far.

    Whoever is in stays in when a limit falls, and what is under way keeps its deadline. So what was there before a
    change is judged by the widest limits, and what had to last by the narrowest.
    """

    def __init__(self, limits: Limits) -> None:
        self.now = self.widest = self.narrowest = limits

    def change(self, limits: Limits) -> None:
        """Other limits are in force from now on."""
        self.now = limits
        self.widest = _extreme(self.widest, limits, max)
        self.narrowest = _extreme(self.narrowest, limits, min)


def _extreme(one: Limits, other: Limits, of: Callable[[int, int], int]) -> Limits:
    names = [name for name, setting in SETTINGS.items() if setting.unit is not Unit.CHOICE]
    changes: dict[str, Any] = {name: of(getattr(one, name), getattr(other, name)) for name in names}
    return replace(one, **changes)
