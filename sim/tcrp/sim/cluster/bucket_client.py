"""How a server of a simulated cluster speaks with the bucket: as the driver on real sockets does with NATS.

Shows the node every key when it has connected, and each change. It finds the connection lost when that is reset, or
when nothing has come for `PATIENCE_US`; tells the node so, and tries again until the bucket answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tcrp.cluster.outputs import Answer, Entry
from tcrp.engine.outputs import Address
from tcrp.sim.cluster.bucket import Bucket, Lines, line
from tcrp.sim.network.packets import Chain, Packet
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import PacketKind

if TYPE_CHECKING:
    from tcrp.sim.cluster.node import NodeHost

PATIENCE_US = 6 * SECOND_US
"""Two pings, two seconds apart, were not answered."""
AGAIN_US = SECOND_US


class BucketClient:
    """One server's connection to the bucket, at any time at most one."""

    def __init__(self, host: NodeHost, tcp: Tcp, bucket: Bucket, address: Address) -> None:
        self._host = host
        self._tcp = tcp
        self._bucket = bucket
        self._address = address
        self._up: Connection | None = None
        self._lines = Lines()
        self._heard_us = 0
        self._shown: dict[str, int] = {}  # the keys that were shown, and their revisions
        self._seen: set[str] | None = None  # those since it has connected, until all were shown
        self._is_lost = False

    def connect(self, cause: Chain) -> None:
        """Open a connection. The bucket shows all its keys."""
        self._lines, self._seen = Lines(), set()
        self._heard_us = self._host.world.now_us
        self._up = self._tcp.connect(self._host, self._bucket, self._address, cause)
        self._watch(self._up)

    def close(self, cause: Chain) -> None:
        """The process ends: it knows nothing of the bucket any more."""
        self._drop(cause)
        self._shown.clear()
        self._is_lost = False

    def ask(self, cause: Chain, *what: Any) -> None:
        """Ask for something. Without a connection it is lost."""
        if self._up is not None:
            self._up.send_up(PacketKind.ASK, line(*what), cause)

    def hear(self, connection: Connection, packet: Packet) -> None:
        """The bucket has said something, or the connection is gone."""
        if connection is not self._up:
            return
        host = self._host
        if host.is_paused:
            host.hold(self._hear_later, (connection, packet))
            return
        self._heard_us = host.world.now_us
        if packet.what is PacketKind.RESET:
            self._lose(packet)
            return
        for verb, *what in self._lines.read(packet.data):
            now_us = host.local_us()
            if verb == "entry":
                key, value, revision = what
                self._show(key, value.encode("latin-1") if value is not None else None, revision, packet)
            elif verb == "answer":
                ask, revision, value = what
                answer = Answer(revision, value.encode("latin-1"))
                host.perform(host.node.bucket_answered(ask, answer, now_us), packet)
            else:
                self._all_shown(packet)

    def _hear_later(self, event: tuple[Connection, Packet]) -> None:
        self.hear(*event)

    def _show(self, key: str, value: bytes | None, revision: int, cause: Chain) -> None:
        if self._seen is not None:
            self._seen.add(key)
        if value is None:
            self._shown.pop(key, None)
        elif revision <= self._shown.get(key, 0):
            return
        else:
            self._shown[key] = revision
        host = self._host
        host.perform(host.node.bucket_changed(Entry(key, value, revision), host.local_us()), cause)

    def _all_shown(self, cause: Chain) -> None:
        seen, self._seen = self._seen or set(), None
        host = self._host
        for key in [key for key in self._shown if key not in seen]:  # gone while nobody watched
            self._show(key, None, self._shown[key] + 1, cause)
        if self._is_lost:
            self._is_lost = False
            host.world.record_fault(host.id, "bucket back", "", cause)
            host.perform(host.node.connected(True, host.local_us()), cause)
        else:
            host.perform(host.node.start(host.local_us()), cause)

    # --- a connection that is lost ---------------------------------------------------------------

    def _watch(self, connection: Connection) -> None:
        self._host.world.at(self._heard_us + PATIENCE_US, self._look, connection, foreground=False)

    def _look(self, connection: Connection) -> None:
        """See whether the bucket still says something."""
        host = self._host
        if connection is not self._up:
            return
        if host.is_paused:
            self._heard_us = host.world.now_us
        if host.world.now_us - self._heard_us < PATIENCE_US:
            self._watch(connection)
        else:
            self._lose(host.waiting_cause())

    def _lose(self, cause: Chain) -> None:
        host = self._host
        self._drop(cause)
        if not self._is_lost:
            self._is_lost = True
            host.world.record_fault(host.id, "bucket lost", "", cause)
            host.perform(host.node.connected(False, host.local_us()), cause)
        host.world.at(host.world.now_us + AGAIN_US, self._try_again, None, foreground=False)

    def _try_again(self, _: None) -> None:
        if self._up is None and self._host.engine is not None:
            self.connect(self._host.waiting_cause())

    def _drop(self, cause: Chain) -> None:
        connection, self._up = self._up, None
        if connection is not None:
            connection.client_is_done = True
            if not connection.server_is_done:
                connection.send_up(PacketKind.RESET, b"", cause)
