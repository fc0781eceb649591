"""What has to be true of a cluster, whatever happens to its nodes and links. Knows what they put out, not why.

At most one owner relays (R-OWN-1, R-OWN-2): once an owner has relayed, none with a smaller fencing number does, and a
fencing number has one owner. A gateway sends out nothing of an owner before one that it has heard (R-OWN-4). A
hand-over loses no session (R-OWN-7): each is at the next owner, or has ended there or before.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcrp.sim.checks.results import CheckResults
from tcrp.spec.names import Property


class ClusterChecks:
    """Watches all nodes of one run."""

    def __init__(self, results: CheckResults) -> None:
        self._results = results
        self._owner: dict[bytes, tuple[int, str]] = {}  # by room: the latest that relayed
        self._heard: dict[tuple[str, bytes], int] = {}  # by gateway and room: the highest fencing number
        self._moving: dict[bytes, set[bytes]] = {}  # by room: the tokens of those whose room is being handed over

    def relays(self, node: str, room: bytes, fence: int) -> None:
        """The engine of a node relays in a room that it owns."""
        before, who = self._owner.get(room, (0, node))
        is_right = fence > before or (fence, node) == (before, who)
        self._results.judge(
            Property.ONE_OWNER_RELAYS, is_right, "{} relays in {} as owner {}, after {} as owner {}",
            node, _word(room), fence, who, before,
        )  # fmt: skip
        if is_right:
            self._owner[room] = fence, node

    def sends_out(self, gateway: str, room: bytes, fence: int) -> None:
        """A gateway sends its clients what an owner relays."""
        before = self._heard.get((gateway, room), 0)
        self._results.judge(
            Property.NO_STALE_OUTPUT, fence >= before, "{} sends out what owner {} of {} relays, after {}",
            gateway, fence, _word(room), before,
        )  # fmt: skip
        self._heard[gateway, room] = max(before, fence)

    def hands_over(self, room: bytes, tokens: Iterable[bytes]) -> None:
        """An owner gives a room away with these sessions."""
        self._moving[room] = set(tokens)

    def ended(self, token: bytes) -> None:
        """A session has ended by the protocol."""
        for tokens in self._moving.values():
            tokens.discard(token)

    def is_lost(self, room: bytes) -> None:
        """Its owner could not give a room away: it has crashed, or lost its lease. It goes on from its snapshot."""
        self._moving.pop(room, None)

    def goes_on(self, node: str, room: bytes, tokens: Iterable[bytes]) -> None:
        """A node owns a room, with these sessions."""
        if (moving := self._moving.pop(room, None)) is not None:
            lost = len(moving.difference(tokens))
            self._results.judge(
                Property.HANDOVER_LOSES_NO_SESSION, not lost,
                "{} sessions of {} did not come to {} when it was handed over", lost, _word(room), node,
            )  # fmt: skip

    def finish(self) -> None:
        """The run is over: no room is on its way."""
        for room, tokens in self._moving.items():
            self._results.judge(
                Property.HANDOVER_LOSES_NO_SESSION, not tokens, "{} was handed over with {} sessions, and came nowhere",
                _word(room), len(tokens),
            )  # fmt: skip


def _word(room: bytes) -> str:
    return room.decode("utf-8", "replace")
