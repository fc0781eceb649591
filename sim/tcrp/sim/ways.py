"""The network as it is at a moment: one `Way` for each direction between two actors.

Knows delays, losses and cuts, and who changed them; not what travels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tcrp.sim.draws import HALF, delay_us, key_of, loss_threshold
from tcrp.sim.scenario.model import Link, LinkSettings, Network, Span

EVERYONE = "all"


class Way:
    """One direction between two actors, with the settings that are in force now."""

    __slots__ = ("_delay", "_least_us", "_span_us", "is_cut", "key", "loss", "name", "source", "target")

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.name = f"{source}>{target}"
        self.key = key_of("link", source, target)
        self.is_cut = False
        self.apply(LinkSettings(delay=Span(0, 0), loss_ppm=0))

    def apply(self, settings: LinkSettings) -> None:
        """Bring `settings`, all of which are given, into force."""
        assert settings.delay is not None, "a way has every setting"
        assert settings.loss_ppm is not None, "a way has every setting"
        self._delay = settings.delay
        self.loss = loss_threshold(settings.loss_ppm)
        if isinstance(settings.delay, Span):
            self._least_us = settings.delay.least_us
            self._span_us = settings.delay.most_us - settings.delay.least_us + 1
        else:
            self._span_us = 0

    def loses(self, key: int) -> bool:
        """Whether a packet of that key is lost: its upper 32 bits against the share."""
        return key >> 32 < self.loss

    def delay_us(self, key: int) -> int:
        """How long a packet of that key takes: its lower 32 bits."""
        if self._span_us:
            return self._least_us + (self._span_us * (key & (HALF - 1)) >> 32)
        return delay_us(self._delay, key & (HALF - 1))


class Ways:
    """All ways, made when first asked for."""

    def __init__(self, network: Network) -> None:
        self._default = network.default
        self._changes: list[tuple[Link, LinkSettings]] = [(rule.link, rule.settings) for rule in network.links]
        self._cuts: list[Link] = []
        self._ways: dict[tuple[str, str], Way] = {}

    def between(self, source: str, target: str) -> Way:
        """The way from `source` to `target`."""
        way = self._ways.get((source, target))
        if way is None:
            way = self._ways[source, target] = Way(source, target)
            self._refresh(way)
        return way

    def set(self, links: Iterable[Link], settings: LinkSettings) -> None:
        """Change some settings of some links from now on."""
        self._changes += [(link, settings) for link in links]
        self._refresh_all()

    def cut(self, links: Iterable[Link]) -> None:
        """Let nothing through any more."""
        self._cuts += [link for link in links if link not in self._cuts]
        self._refresh_all()

    def heal(self, links: Iterable[Link]) -> list[Way]:
        """Take cuts back. Returns the ways that are open again."""
        healed = list(links)
        before = [way for way in self._ways.values() if way.is_cut]
        self._cuts = [cut for cut in self._cuts if not any(_covers(link, cut) for link in healed)]
        self._refresh_all()
        return [way for way in before if not way.is_cut]

    def _refresh_all(self) -> None:
        for way in self._ways.values():
            self._refresh(way)

    def _refresh(self, way: Way) -> None:
        settings = self._default
        for link, change in self._changes:
            if _matches(link, way):
                settings = replace(
                    settings,
                    delay=settings.delay if change.delay is None else change.delay,
                    loss_ppm=settings.loss_ppm if change.loss_ppm is None else change.loss_ppm,
                )
        way.apply(settings)
        way.is_cut = any(_matches(cut, way) for cut in self._cuts)


def _matches(link: Link, way: Way) -> bool:
    return link.source in (EVERYONE, way.source) and link.target in (EVERYONE, way.target)


def _covers(wide: Link, narrow: Link) -> bool:
    return wide.source in (EVERYONE, narrow.source) and wide.target in (EVERYONE, narrow.target)
