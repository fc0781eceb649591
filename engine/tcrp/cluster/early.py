"""Messages of processes whose leases have not been shown yet: the bucket may be slower than they are.

Knows no lease and no room.
"""

from __future__ import annotations

from collections import deque

from tcrp.cluster.messages import Message

EARLY_MAX = 256
"""So many messages wait; the oldest give way."""


class Early:
    """Each message waits for so long at most."""

    def __init__(self, wait_us: int) -> None:
        self._wait_us = wait_us
        self._waiting: deque[tuple[int, Message]] = deque(maxlen=EARLY_MAX)

    def keep(self, message: Message, now_us: int) -> None:
        """Its sender is not known yet, and perhaps never will be."""
        self._waiting.append((now_us, message))

    def take(self, sender: str, now_us: int) -> list[Message]:
        """The messages of a sender that is known now, in the order in which they came."""
        self._waiting = deque((each for each in self._waiting if now_us - each[0] <= self._wait_us), EARLY_MAX)
        taken = [message for _, message in self._waiting if message.sender == sender]
        self._waiting = deque((each for each in self._waiting if each[1].sender != sender), EARLY_MAX)
        return taken
