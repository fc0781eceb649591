"""The clock of a host: world time with a skew and a drift. It never goes backwards."""

from __future__ import annotations

PPM = 1_000_000


class HostClock:
    """Converts world time to the host's local time and back. All times are microseconds."""

    __slots__ = ("_base_local_us", "_base_us", "_drift_ppm", "_last_us", "is_right")

    def __init__(self) -> None:
        self.is_right = True  # never disturbed: local time is world time
        self._base_us = 0
        self._base_local_us = 0
        self._drift_ppm = 0
        self._last_us = 0

    def local_us(self, now_us: int) -> int:
        """The local time at `now_us`; a clock that was set back stands still until it has caught up."""
        elapsed_us = now_us - self._base_us
        shown_us = self._base_local_us + elapsed_us
        if self._drift_ppm:
            shown_us += elapsed_us * self._drift_ppm // PPM
        if shown_us > self._last_us:
            self._last_us = shown_us
        return self._last_us

    def world_us(self, local_us: int) -> int:
        """The first world time at which the host's clock shows at least `local_us`."""
        ahead_us = local_us - self._base_local_us
        if not self._drift_ppm:
            return self._base_us + ahead_us
        rate = PPM + self._drift_ppm
        return self._base_us - (-ahead_us * PPM // rate)

    def disturb(self, now_us: int, skew_us: int, drift_ppm: int) -> None:
        """Advance the clock by `skew_us` and let it gain `drift_ppm` microseconds a second."""
        self._last_us = self.local_us(now_us)
        self.is_right = False
        elapsed_us = now_us - self._base_us
        self._base_local_us += elapsed_us + elapsed_us * self._drift_ppm // PPM + skew_us
        self._base_us = now_us
        self._drift_ppm = drift_ppm
