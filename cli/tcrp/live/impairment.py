"""The network of a scenario for a proxy: the same settings as in the simulator, with its own draws."""

from __future__ import annotations

from tcrp.sim.hosts.server import SERVER
from tcrp.sim.network.draws import key_of, mix
from tcrp.sim.network.links import Link, Network


class UserImpairment:
    """Loss and delay of one user's packets. On a cut link streams wait and datagrams are lost."""

    def __init__(self, network: Network, user: str, seed: int) -> None:
        self._up = network.between(user, SERVER)
        self._down = network.between(SERVER, user)
        self._key = key_of(seed, "sockets", user)
        self._packets = 0

    def datagram(self, size: int, *, up: bool) -> float | None:
        """The delay of the next datagram in seconds, or None if it is lost or too large."""
        link, key = self._next(up)
        if link.is_cut or link.refuses(key, size, 0) is not None:
            return None
        return link.delay_us(key) / 1_000_000

    def segment(self, *, up: bool) -> float | None:
        """The delay of the next bytes in seconds, or None while the link is cut."""
        link, key = self._next(up)
        return None if link.is_cut else link.delay_us(key) / 1_000_000

    def _next(self, up: bool) -> tuple[Link, int]:
        self._packets += 1
        link = self._up if up else self._down
        return link, mix(self._key ^ link.key ^ self._packets)
