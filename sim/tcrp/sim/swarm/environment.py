"""Draws what a random scenario begins with: the server's settings, the links, and users' addresses and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from tcrp.sim.network.draws import PPM
from tcrp.sim.scenario.model import ORDINARY, Burst, ByteSpan, Exponential, LinkSettings, Loss, Reorder, Span
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.swarm.dice import Dice
from tcrp.spec.limits import NAME_BYTES_MAX, Limits, Takeover

MS, SECOND = 1_000, 1_000_000
Value = int | str

ADDRESSES = (
    ("10.0.7.1", "10.0.7.2", "10.0.7.3"),
    ("fd00:7::1", "fd00:7::2", "fd00:7:0:1::1"),  # two of one network of 64 bits, and one of another
    ("10.0.7.1", "fd00:7::1", "::ffff:10.0.7.2"),
    ("::ffff:10.0.7.1", "10.0.7.1", "10.0.7.2"),
)
"""Pools of addresses: users of a scenario share one, move within it, and come back."""

LONG_NAMES = ("n" * NAME_BYTES_MAX, "名" * (NAME_BYTES_MAX // 3), "é" * 120)


class Row(NamedTuple):
    """A setting of the server: in how many percent of the scenarios it is drawn, and from which values."""

    percent: int
    name: str
    values: tuple[Value, ...]


ROWS = (
    Row(60, "idle_timeout", (3 * SECOND, 10 * SECOND, 60 * SECOND)),
    Row(40, "token_timeout", (1 * SECOND, 5 * SECOND)),
    Row(40, "linger", (0, SECOND // 2, 5 * SECOND, 20 * SECOND)),
    Row(40, "takeover_after", (1 * SECOND, 3 * SECOND)),
    Row(70, "takeover", (*[Takeover.SAME_ADDRESS] * 3, Takeover.TOKEN, Takeover.OFF)),
    Row(30, "handshake_timeout", (SECOND // 2, 2 * SECOND)),
    Row(30, "members_max", (1, 2, 3)),
    Row(25, "texts_per_second_max", (1, 3)),
    Row(15, "unentered_rooms_per_ip_max", (1, 2)),
    Row(15, "connections_per_ip_max", (1, 2)),
    Row(10, "connections_max", (1, 2)),
    Row(10, "sessions_per_ip_max", (1, 2)),
    Row(10, "sessions_max", (1, 2, 4)),
    Row(10, "rooms_max", (1, 2)),
    Row(10, "rooms_per_ip_max", (1, 2)),
    Row(10, "ipv6_prefix", (1, 32, 48, 128)),
    Row(10, "request_bytes_max", (64, 80, 120)),
    Row(10, "password_tries_max", (1, 2)),
)
"""Every limit is set low now and then; a limit of one or two is reached by a handful of users."""


def draw_limits(dice: Dice, *, has_passwords: bool) -> Limits:
    """The settings that a server starts with."""
    chosen = {row.name: dice.one_of(row.values) for row in ROWS if dice.chance(row.percent)}
    if has_passwords and dice.chance(70):
        chosen["password_tries_max"] = 1
    return Limits().with_settings(chosen)


def draw_changes(dice: Dice) -> tuple[tuple[str, Value], ...]:
    """Settings that change while the server runs: one to three, to a low value or to the default."""
    changes: dict[str, Value] = {}
    for _ in range(dice.between(1, 3)):
        row = dice.one_of(ROWS)
        changes[row.name] = dice.one_of((*row.values, getattr(Limits(), row.name)))
    return tuple(changes.items())


def _set_delay(dice: Dice, link: LinkSettings) -> LinkSettings:
    least, most = dice.one_of(((1, 1), (1, 5), (5, 50), (1, 500), (100, 120)))
    exponential = Exponential(most * MS, least * MS)
    return replace(link, delay=exponential if dice.chance(20) else Span(least * MS, most * MS))


def _set_loss(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, loss=Loss(dice.one_of((1, 5, 30)) * PPM // 100))


def _set_bursts(_dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, loss=Loss(PPM, Burst(2 * PPM // 100, 20 * PPM // 100)))


def _set_duplicates(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, duplicate_ppm=dice.one_of((1, 10, 50)) * PPM // 100)


def _set_reordering(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, reorder=Reorder(dice.one_of((5, 30)) * PPM // 100, dice.one_of((5, 200)) * MS))


def _set_corruption(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, corrupt_ppm=dice.one_of((1, 20)) * PPM // 100)


def _set_mtu(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, mtu_bytes=dice.one_of((45, 60, 500)))


def _set_rate(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, rate_bps=dice.one_of((8_000, 64_000)), queue_bytes=dice.one_of((200, 2000)))


def _set_segments(dice: Dice, link: LinkSettings) -> LinkSettings:
    return replace(link, segment=ByteSpan(1, dice.one_of((1, 7, 40))))


LINK_ROWS: tuple[tuple[int, Callable[[Dice, LinkSettings], LinkSettings]], ...] = (
    (100, _set_delay), (50, _set_loss), (20, _set_bursts), (30, _set_duplicates), (30, _set_reordering),
    (20, _set_corruption), (10, _set_mtu), (10, _set_rate), (20, _set_segments),
)  # fmt: skip
"""In how many percent of the scenarios links have which trouble."""


def draw_link_settings(dice: Dice) -> LinkSettings:
    """What the links are like: a preset, or a mix of troubles."""
    if dice.chance(25):
        return ORDINARY.patched(PRESETS[dice.one_of(tuple(PRESETS))])
    settings = ORDINARY
    for percent, change in LINK_ROWS:
        if dice.chance(percent):
            settings = change(dice, settings)
    return settings
