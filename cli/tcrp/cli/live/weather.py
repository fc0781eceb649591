"""A scenario's network as a proxy asks for it: the same settings, with draws of its own."""

from __future__ import annotations

from tcrp.sim.draws import key_of, mix
from tcrp.sim.server_host import SERVER
from tcrp.sim.ways import Way, Ways


class UserWeather:
    """What becomes of one user's packets. Cut streams wait; cut datagrams are lost."""

    def __init__(self, ways: Ways, user: str, seed: int) -> None:
        self._up = ways.between(user, SERVER)
        self._down = ways.between(SERVER, user)
        self._key = key_of(seed, "sockets", user)
        self._packets = 0

    def datagram(self, size: int, *, up: bool) -> float | None:
        """Seconds that the next datagram takes, or None: it is lost, or does not fit."""
        way, key = self._next(up)
        if way.is_cut or way.refuses(key, size, 0) is not None:
            return None
        return way.delay_us(key) / 1_000_000

    def segment(self, *, up: bool) -> float | None:
        """Seconds that the next bytes take, or None: the way is cut."""
        way, key = self._next(up)
        return None if way.is_cut else way.delay_us(key) / 1_000_000

    def _next(self, up: bool) -> tuple[Way, int]:
        self._packets += 1
        way = self._up if up else self._down
        return way, mix(self._key ^ way.key ^ self._packets)
