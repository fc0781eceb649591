"""Silence, one's own and the server's: when a client must speak, and when its server counts as silent (R-IDLE-1).

The contract. The engine says what happens: `began` once, then `spoke`, `asked`, `said`, `heard` and
`answered`. It arms a deadline at `next_us`, and when that is due it asks `finds_silence` first and
`must_speak` then. Nothing here depends on how much the user types: a server is asked once an interval
whoever speaks, and counts as silent two intervals after the last that came from it.

The question is the keep-alive itself, an empty text: a server that was asked for answers in the request
answers it with an empty datagram, and no server does anything else with it. Only a server that has
answered once can be found silent; a client whose dialect cannot ask never finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tcrp.spec.frozen import Frozen

KEEP_ALIVES_PER_IDLE_TIMEOUT: Final = 5
"""How often a silent client says that it is there while the server would wait for it: four may be lost."""
ASKED_PER_INTERVAL: Final = 4
"""How often a server that is silent for one keep-alive interval is asked within the next."""
SILENT_INTERVALS: Final = 2
"""After so many keep-alive intervals without a word, a server that answered before counts as silent."""
KEEP_ALIVE_US_MIN: Final = 100_000
"""The shortest interval, whatever a server tells or a client has learned."""
UNTOLD_KEEP_ALIVE_US: Final = 10_000_000
"""The interval that chat-client and bots use where a server cannot tell how much silence it tolerates."""
UNHEARD_TEXTS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class LivenessState(Frozen):
    """What is known of both silences, as a value. Moments are counted back; 0 where none matters."""

    idle_timeout_us: int
    interval_us: int
    spoke_ago_us: int
    heard_ago_us: int
    asked_ago_us: int
    is_answered: bool
    knows_silence: bool
    unheard: tuple[str, ...]


class Liveness:
    """`interval_us`: between two keep-alives. `can_ask`: the request asks for answers to them."""

    __slots__ = (
        "asked_us", "can_ask", "heard_us", "idle_timeout_us", "interval_us", "is_answered", "knows_silence", "spoke_us",
        "unheard",
    )  # fmt: skip

    def __init__(self, idle_timeout_us: int, interval_us: int | None, *, can_ask: bool, now_us: int) -> None:
        self.can_ask = can_ask
        self.idle_timeout_us = idle_timeout_us
        self.interval_us = interval_us if interval_us is not None else keep_alive_us(idle_timeout_us)
        self.is_answered = False  # this server answers keep-alives
        self.knows_silence = False  # that the server is silent has been said
        self.unheard: list[str] = []  # texts said since the last sign of life, the latest of them
        self.began(now_us)

    # --- what happens ----------------------------------------------------------------------------

    def began(self, now_us: int) -> None:
        """The token has arrived: the server speaks, and the client is there."""
        self.spoke_us = self.heard_us = self.asked_us = now_us

    def told(self, idle_timeout_us: int) -> None:
        """The server says how much silence it tolerates. A shorter interval that was set stays."""
        is_default = self.interval_us == keep_alive_us(self.idle_timeout_us)
        fits_us = keep_alive_us(idle_timeout_us)
        self.interval_us = fits_us if is_default else min(self.interval_us, fits_us)
        self.idle_timeout_us = idle_timeout_us

    def said(self, text: str) -> None:
        """A text was sent. Nobody knows whether anybody heard it until the server speaks again."""
        if len(self.unheard) == UNHEARD_TEXTS_MAX:
            del self.unheard[0]
        self.unheard.append(text)

    def heard(self, now_us: int) -> None:
        """The server gave a sign of life."""
        self.heard_us = now_us
        self.unheard.clear()

    def answered(self, now_us: int) -> None:
        """The server answered a question: it answers them, so that its silence means something."""
        self.is_answered = True
        self.heard(now_us)

    # --- what follows ----------------------------------------------------------------------------

    @property
    def idles_us(self) -> int:
        """When the client's own silence ends its session."""
        return self.spoke_us + self.idle_timeout_us

    def finds_silence(self, now_us: int) -> bool:
        """Whether the server is found silent now: once for each silence."""
        if now_us < self._silent_us:
            self.knows_silence = False
            return False
        if not self.is_answered or self.knows_silence:
            return False
        self.knows_silence = True
        return True

    def must_speak(self, now_us: int) -> bool:
        """Whether a keep-alive is due."""
        return now_us >= self._speaks_us

    @property
    def next_us(self) -> int:
        """When there is something to do next."""
        if self.is_answered and not self.knows_silence:
            return min(self._speaks_us, self._silent_us)
        return self._speaks_us

    @property
    def _silent_us(self) -> int:
        return self.heard_us + SILENT_INTERVALS * self.interval_us

    @property
    def _speaks_us(self) -> int:
        """When the next keep-alive is due: after the own silence, or because the server is to be asked."""
        keeps_us = self.spoke_us + self.interval_us
        if not self.can_ask or self.knows_silence:
            return keeps_us
        if not self.is_answered:
            return min(keeps_us, self.asked_us + self.interval_us)
        asks_us = max(self.heard_us + self.interval_us, self.asked_us + self.interval_us // ASKED_PER_INTERVAL)
        return min(keeps_us, asks_us)

    # --- as a value ------------------------------------------------------------------------------

    def freeze(self, now_us: int, *, is_living: bool, keeps_alive: bool) -> LivenessState:
        """Its state at `now_us`."""
        return LivenessState(
            idle_timeout_us=self.idle_timeout_us,
            interval_us=self.interval_us,
            spoke_ago_us=now_us - self.spoke_us if is_living else 0,
            heard_ago_us=now_us - self.heard_us if keeps_alive else 0,
            asked_ago_us=now_us - self.asked_us if keeps_alive else 0,
            is_answered=self.is_answered,
            knows_silence=self.knows_silence,
            unheard=tuple(self.unheard),
        )

    def thaw(self, state: LivenessState, now_us: int) -> None:
        """Go on from a state that was frozen."""
        self.idle_timeout_us, self.interval_us = state.idle_timeout_us, state.interval_us
        self.spoke_us = now_us - state.spoke_ago_us
        self.heard_us = now_us - state.heard_ago_us
        self.asked_us = now_us - state.asked_ago_us
        self.is_answered, self.knows_silence = state.is_answered, state.knows_silence
        self.unheard = list(state.unheard)


def keep_alive_us(idle_timeout_us: int) -> int:
    """The interval that fits a server which ends a session after this much silence."""
    return max(idle_timeout_us // KEEP_ALIVES_PER_IDLE_TIMEOUT, KEEP_ALIVE_US_MIN)


def learned_keep_alive_us(interval_us: int, silence_us: int) -> int:
    """The interval after a server has ended a session for a silence that was shorter than expected.

    The silence is about the server's timeout, or less where datagrams were lost; at most half of what failed.
    """
    return max(min(interval_us // 2, keep_alive_us(silence_us)), KEEP_ALIVE_US_MIN)
