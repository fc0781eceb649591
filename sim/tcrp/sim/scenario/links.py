"""The network's words: settings of links, networks by name, and which links are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcrp.sim.scenario.cast import Cast
from tcrp.sim.scenario.model import Burst, LinkId, LinkRule, LinkSettings, Loss, NetworkSettings, Reorder
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.presets import MS, PRESETS
from tcrp.sim.scenario.scalars import REPEATED_BYTES_MAX, delay, duration_us, rate_bps, segment, share_ppm

PAIR = "two ends, such as [alice, server]"
REORDER_BY_US = 10 * MS  # of a bare share
QUEUE_BYTES_MAX = 1 << 30


def _loss(value: Value) -> Loss:
    if not value.is_mapping:
        return Loss(share_ppm(value))
    burst = value.mapping(("burst",), required=("burst",))["burst"]
    parts = burst.mapping(("enter", "leave", "share"), required=("enter", "leave"))
    share = share_ppm(parts["share"]) if "share" in parts else 1_000_000
    moods = Burst(share_ppm(parts["enter"]), share_ppm(parts["leave"]))
    if not moods.leave_ppm:
        parts["leave"].fail("leave: a link that never leaves its bad mood is one with loss: 100%")
    return Loss(share, moods)


def _reorder(value: Value) -> Reorder:
    if not value.is_mapping:
        return Reorder(share_ppm(value), REORDER_BY_US)
    parts = value.mapping(("share", "by"), required=("share",))
    return Reorder(share_ppm(parts["share"]), duration_us(parts["by"]) if "by" in parts else REORDER_BY_US)


SETTINGS: dict[str, tuple[str, Callable[[Value], Any]]] = {
    "delay": ("delay", delay),
    "loss": ("loss", _loss),
    "duplicate": ("duplicate_ppm", share_ppm),
    "reorder": ("reorder", _reorder),
    "corrupt": ("corrupt_ppm", share_ppm),
    "mtu": ("mtu_bytes", lambda value: value.integer(1, REPEATED_BYTES_MAX)),
    "rate": ("rate_bps", rate_bps),
    "queue": ("queue_bytes", lambda value: value.integer(1, QUEUE_BYTES_MAX)),
    "segment": ("segment", segment),
}
"""Each setting's word: its field, and how it is read."""

PRESET = "preset"


def read_network(value: Value, cast: Cast) -> NetworkSettings:
    """The `network:` of the header."""
    parts = value.mapping(("default", "links"))
    default = NetworkSettings().default
    if "default" in parts:
        default = read_settings(parts["default"]).over(default)
    rules: list[LinkRule] = []
    for row in parts["links"].items() if "links" in parts else []:
        row.name = "link"
        entries = row.mapping(("from", "to", PRESET, *SETTINGS), required=("from", "to"))
        settings = settings_of(row, {key: each for key, each in entries.items() if key not in ("from", "to")})
        for link in cast.links((entries["from"], entries["to"]), both_ways=False):
            rules.append(LinkRule(link, settings, row.place))
    return NetworkSettings(default, tuple(rules))


def read_settings(value: Value) -> LinkSettings:
    """A mapping of link settings, or the name of a network that people know."""
    if value.is_scalar:
        return PRESETS[value.word(PRESETS)]
    return settings_of(value, value.mapping((PRESET, *SETTINGS)))


def settings_of(value: Value, parts: dict[str, Value]) -> LinkSettings:
    """The settings that are named, over those of a preset if one is; at least one."""
    if not parts:
        value.fail(f"at least one setting is expected: {', '.join((PRESET, *SETTINGS))}")
    base = PRESETS[parts.pop(PRESET).word(PRESETS)] if PRESET in parts else LinkSettings()
    given = {SETTINGS[word][0]: SETTINGS[word][1](each) for word, each in parts.items()}
    return LinkSettings(**given).over(base)


def ends(value: Value) -> tuple[Value, Value]:
    """`[a, b]`."""
    items = value.items()
    if len(items) != 2:
        value.fail(f"{value.name}: {PAIR} are expected, but there are {len(items)}")
    return items[0], items[1]


def links_of(value: Value, cast: Cast) -> tuple[LinkId, ...]:
    """`[a, b]`, both ways, or `{from: a, to: b}`."""
    if value.is_list:
        return cast.links(ends(value), both_ways=True)
    if not value.is_mapping:
        value.fail(f"{value.name}: {PAIR} or {{from: alice, to: server}} is expected, but this is {value.kind}")
    parts = value.mapping(("from", "to"), required=("from", "to"))
    return cast.links((parts["from"], parts["to"]), both_ways=False)
