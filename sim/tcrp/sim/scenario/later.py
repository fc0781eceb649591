"""Words of the format that this version of the simulator does not carry out yet: refused by their names."""

from __future__ import annotations

from collections.abc import Iterable

from tcrp.sim.scenario.nodes import Value

LATER_LINK_SETTINGS = ("burst", "duplicate", "reorder", "corrupt", "mtu", "rate", "queue", "segment")
LATER_NETWORK_VERBS = ("hold", "release", "stall", "reset")
LATER_ATTACKER_VERBS = ("replay", "flood")


def refuse_later(key: Value, word: str, _value: Value, later: Iterable[str]) -> None:
    """Fail at `key` if it is one of `later`."""
    if word in later:
        key.fail(f"{word!r} is a word of the format, but is not in this version of chat-sim")
