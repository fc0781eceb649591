"""The bucket of a simulated cluster: keys with revisions, compare-and-set, and expiry. Knows no rooms and no leases.

A node reaches it by a connection of the simulated TCP: over a link that is cut nothing is lost, but waits, as in a
connection to NATS that has not timed out. One JSON list a line, there and back. Its keys are on disk: a crash breaks
connections off and loses what was asked meanwhile, no key.
"""

from __future__ import annotations

import json
from typing import Any

from tcrp.sim.hosts.host import Host
from tcrp.sim.network.packets import Chain, Origin, Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import Crash, Pause, ServerAction, Start
from tcrp.sim.scenario.servers import BUCKET
from tcrp.spec.names import PacketKind

UNWATCHED = "state."
EXPIRING = "node."


def line(*what: Any) -> bytes:
    """A message to or from the bucket; bytes in it are written as Latin-1."""
    return json.dumps([each.decode("latin-1") if isinstance(each, bytes) else each for each in what]).encode() + b"\n"


class Lines:
    """What has come of a connection: whole lines are read, the rest is kept."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> list[list[Any]]:
        """The lines that are complete with these bytes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(each) for each in whole]


class Bucket(Host):
    """The machine that holds the keys. A process's key is gone when it was not written for `expires_us`."""

    def __init__(self, world: World, expires_us: int) -> None:
        super().__init__(world, BUCKET)
        self.expires_us = expires_us
        self.keys: dict[str, tuple[bytes, int]] = {}
        self.revision = 0
        self.is_up = True
        # By stream, in the order in which they came: of two of one node the older is there until its end has come.
        self._watchers: dict[str, Connection] = {}
        self._lines: dict[str, Lines] = {}  # by stream

    def next_deadline_us(self) -> int | None:
        return None

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for."""
        return True

    def act(self, action: ServerAction, origin: Origin) -> None:
        """Take a step of the script."""
        match action:
            case Crash(restart_us):
                self._crash(restart_us, origin)
            case Start():
                self._start(origin)
            case Pause(for_us):
                self.pause(for_us, origin)
            case _:
                raise AssertionError("the reader knows the verbs of the bucket")

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        """A node connects, asks, or is gone."""
        if self.is_paused:
            self.hold(self._connection_event_later, (connection, packet))
            return
        if not self.is_up:
            connection.server_is_done = True
            connection.send_down(PacketKind.RESET, b"", packet)
            return
        match packet.what:
            case PacketKind.OPEN:
                self._watchers[connection.stream] = connection
                self._lines[connection.stream] = Lines()
                for key, (value, revision) in sorted(self.keys.items(), key=lambda each: each[1][1]):
                    if not key.startswith(UNWATCHED):
                        self._say(connection, packet, "entry", key, value, revision)
                self._say(connection, packet, "shown")
            case PacketKind.RESET:
                connection.server_is_done = True
                self._lines.pop(connection.stream, None)
                self._watchers.pop(connection.stream, None)
            case _:
                for asked in self._lines[connection.stream].read(packet.data):
                    self._answer(connection, packet, *asked)

    def _connection_event_later(self, event: tuple[Connection, Packet]) -> None:
        self.connection_event(*event)

    def _crash(self, restart_us: int | None, origin: Origin) -> None:
        self.world.record_fault(self.id, "crash", "its keys are on disk", origin)
        self.is_up = False
        self.forget_held()
        for connection in self._watchers.values():
            connection.server_is_done = True
            connection.send_down(PacketKind.RESET, b"", origin)
        self._watchers.clear()
        self._lines.clear()
        if restart_us is not None:
            self.world.at(self.world.now_us + restart_us, self._start, origin)

    def _start(self, origin: Origin) -> None:
        if not self.is_up:
            self.world.record_fault(self.id, "start", "", origin)
            self.is_up = True

    def _answer(self, connection: Connection, cause: Packet, verb: str, *what: Any) -> None:
        if verb == "put":
            ask, key, value, revision = what
            is_done = self.keys.get(key, (b"", 0))[1] == revision
            if is_done:
                self._write(key, value.encode("latin-1"), cause)
            self._say(connection, cause, "answer", ask, self.revision if is_done else None, "")
        elif verb == "get":
            ask, key = what
            found = self.keys.get(key)
            value, revision = found if found is not None else (b"", None)
            self._say(connection, cause, "answer", ask, revision, value)
        else:
            key, revision = what
            if key in self.keys and revision in (0, self.keys[key][1]):
                self._write(key, None, cause)

    def _write(self, key: str, value: bytes | None, cause: Chain) -> None:
        self.revision += 1
        if value is None:
            del self.keys[key]
        else:
            self.keys[key] = value, self.revision
            if key.startswith(EXPIRING):
                when_us = self.world.now_us + self.expires_us
                self.world.at(when_us, self._expire, (key, self.revision, cause), foreground=False)
        if not key.startswith(UNWATCHED):
            for connection in self._watchers.values():
                self._say(connection, cause, "entry", key, value, self.revision)

    def _expire(self, written: tuple[str, int, Chain]) -> None:
        key, revision, cause = written
        if self.keys.get(key, (b"", 0))[1] == revision:
            self._write(key, None, cause)

    @staticmethod
    def _say(connection: Connection, cause: Chain, *what: Any) -> None:
        connection.send_down(PacketKind.SHOWN, line(*what), cause)
