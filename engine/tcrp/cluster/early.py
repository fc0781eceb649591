"""Messages of processes whose leases have not been shown yet: the bucket may be slower than they are.

Knows no lease and no room.
"""

from __future__ import annotations

from collections.abc import Callable

from tcrp.cluster.messages import Message
from tcrp.spec.cluster_names import WAITING_MAX

EARLY_MESSAGES_MAX = WAITING_MAX
"""So many messages wait, as many as a process has ready for one room when it comes back."""


class EarlyMessages:
    """Keeps messages until their sender is known, each for `wait_us` at most."""

    def __init__(self, wait_us: int) -> None:
        self._wait_us = wait_us
        self._waiting: list[tuple[int, Message]] = []

    def keep(self, message: Message, now_us: int) -> bool:
        """Its sender is not known yet, and perhaps never will be. False: there is no room for it."""
        self._drop_old(now_us)
        if len(self._waiting) == EARLY_MESSAGES_MAX:
            return False  # not an older one: it may begin a stream whose rest waits behind it
        self._waiting.append((now_us, message))
        return True

    def take(self, is_known: Callable[[str], bool], now_us: int) -> list[Message]:
        """The messages of senders that are known now, in the order in which they came."""
        if not self._waiting:
            return []
        self._drop_old(now_us)
        known = {sender for sender in {message.sender for _, message in self._waiting} if is_known(sender)}
        taken = [message for _, message in self._waiting if message.sender in known]
        self._waiting = [each for each in self._waiting if each[1].sender not in known]
        return taken

    def _drop_old(self, now_us: int) -> None:
        if self._waiting and now_us - self._waiting[0][0] > self._wait_us:
            self._waiting = [each for each in self._waiting if now_us - each[0] <= self._wait_us]
