"""The network's words: settings of links, and which links are meant."""

from __future__ import annotations

from tcrp.sim.scenario.cast import Cast
from tcrp.sim.scenario.later import LATER_LINK_SETTINGS, refuse_later
from tcrp.sim.scenario.model import Link, LinkRule, LinkSettings, Network
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.scalars import delay, share_ppm

SETTINGS = ("delay", "loss")
PAIR = "two ends, such as [alice, server]"


def read_network(value: Value, cast: Cast) -> Network:
    """The `network:` of the header."""
    parts = value.mapping(("default", "links"))
    default = Network().default
    if "default" in parts:
        given = read_settings(parts["default"])
        default = LinkSettings(
            delay=default.delay if given.delay is None else given.delay,
            loss_ppm=default.loss_ppm if given.loss_ppm is None else given.loss_ppm,
        )
    rules: list[LinkRule] = []
    for row in parts["links"].items() if "links" in parts else []:
        row.name = "link"
        entries = dict_of(row, ("from", "to"))
        settings = settings_of(row, {key: each for key, each in entries.items() if key not in ("from", "to")})
        for link in cast.links((entries["from"], entries["to"]), both_ways=False):
            rules.append(LinkRule(link, settings, row.place))
    return Network(default, tuple(rules))


def dict_of(row: Value, required: tuple[str, ...]) -> dict[str, Value]:
    """A row of `links:`: its ends and settings."""
    for key, text, value in row.entries():
        refuse_later(key, text, value, LATER_LINK_SETTINGS)
    return row.mapping((*required, *SETTINGS), required=required)


def read_settings(value: Value) -> LinkSettings:
    """A mapping of link settings."""
    for key, text, each in value.entries():
        refuse_later(key, text, each, LATER_LINK_SETTINGS)
    return settings_of(value, value.mapping(SETTINGS))


def settings_of(value: Value, parts: dict[str, Value]) -> LinkSettings:
    """The settings that are named; at least one."""
    if not parts:
        value.fail("at least one setting is expected: delay, loss")
    if "loss" in parts and parts["loss"].is_mapping:
        for key, text, each in parts["loss"].entries():
            refuse_later(key, text, each, LATER_LINK_SETTINGS)
    return LinkSettings(
        delay=delay(parts["delay"]) if "delay" in parts else None,
        loss_ppm=share_ppm(parts["loss"]) if "loss" in parts else None,
    )


def ends(value: Value) -> tuple[Value, Value]:
    """`[a, b]`."""
    items = value.items()
    if len(items) != 2:
        value.fail(f"{value.name}: {PAIR} are expected, but there are {len(items)}")
    return items[0], items[1]


def links_of(value: Value, cast: Cast) -> tuple[Link, ...]:
    """`[a, b]`, both ways, or `{from: a, to: b}`."""
    if value.is_list:
        return cast.links(ends(value), both_ways=True)
    if not value.is_mapping:
        value.fail(f"{value.name}: {PAIR} or {{from: alice, to: server}} is expected, but this is {value.kind}")
    parts = value.mapping(("from", "to"), required=("from", "to"))
    return cast.links((parts["from"], parts["to"]), both_ways=False)
