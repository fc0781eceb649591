"""A cluster in memory, for tests: real nodes, a bucket with compare-and-set, and time as an argument.

A message takes a millisecond, as does what the bucket says and shows. `stop` takes a process's time away, `crash`
ends it, `cut` takes the bucket and the others from it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from tcrp.cluster.node import ClusterNode, NodeConfig
from tcrp.cluster.outputs import (
    Answer,
    ClusterStepped,
    Delete,
    Entry,
    Get,
    Happened,
    NodeOutput,
    Put,
    SendMessage,
    What,
)
from tcrp.engine.codec import Codec, codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, CloseStream, FinishStream, Relay, SendDatagram, SendFrame
from tcrp.engine.server import ServerConfig
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation, PacketKind

MS = 1000
SECOND = 1_000_000
LEASE_US = 2 * SECOND
LEASE = LEASE_US / SECOND
FOUND_OUT = LEASE * 1.01 + 0.2
"""After so many seconds the rooms of a process that is gone are elsewhere, at the latest."""


class Cluster:
    """Some processes, by name, and their bucket. Settings of limits are given by name."""

    def __init__(self, *names: str, listener: ListenerConfig | None = None, **settings: Any) -> None:
        self.now_us = 0
        self.listener = listener or ListenerConfig()  # of each process
        self.limits = Limits().with_settings(settings)
        self.keys: dict[str, tuple[bytes, int]] = {}
        self.revision = 0
        self.is_up = True
        self.nodes: dict[str, Process] = {}
        self.users: dict[Address, User] = {}
        self.happened: list[tuple[str, Happened]] = []
        self.relays: list[tuple[int, str, bytes]] = []  # what any process relayed to its own clients, and when
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._lives = itertools.count(1)
        self._hosts = itertools.count(1)
        for name in names:
            self.begin(name)
        self.passes(0.1)

    def begin(self, name: str, *, kin: str = "") -> Process:
        """A process of that name begins; one that there was is no more."""
        process = self.nodes[name] = Process(self, name, f"life{next(self._lives)}", kin)
        for key, (value, revision) in sorted(self.keys.items(), key=lambda each: each[1][1]):
            if not key.startswith("state."):
                process.does(process.node.bucket_changed(Entry(key, value, revision), self.now_us))
        process.does(process.node.start(self.now_us))
        return process

    def user(self, name: str, at: str, dialect: str = "text", ip: str = "") -> User:
        """A peer of the process `at`, with an IP address of its own."""
        number = next(self._hosts)
        return User(self, name, at, codec(dialect), Address(ip or f"10.0.0.{number}", 40000 + number))

    def later(self, delay_us: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_us + delay_us, next(self._sequence), do))

    def passes(self, seconds: float) -> None:
        """Time passes, and everything that is due in it happens."""
        until_us = self.now_us + round(seconds * SECOND)
        while True:
            deadlines = [each.deadline_us() for each in self.nodes.values()]
            times = [each for each in deadlines if each is not None]
            if self._events:
                times.append(self._events[0][0])
            if not times or max(min(times), self.now_us) > until_us:
                break
            self.now_us = max(min(times), self.now_us)
            if self._events and self._events[0][0] <= self.now_us:
                heapq.heappop(self._events)[2]()
                continue
            for each in list(self.nodes.values()):
                deadline_us = each.deadline_us()
                if deadline_us is not None and deadline_us <= self.now_us:
                    each.woke_us = self.now_us
                    each.does(each.node.handle_timeout(self.now_us))
        self.now_us = until_us

    def owner_of(self, room: str) -> list[str]:
        """The processes that hold themselves to be the room's owner and have their time."""
        return [name for name, each in self.nodes.items() if each.runs and each.node.ownership.owns(room.encode())]

    def told(self, what: What) -> list[Happened]:
        """What operators were told of that kind."""
        return [each for _, each in self.happened if each.what is what]

    # --- the bucket ------------------------------------------------------------------------------

    def put(self, process: Process, put: Put) -> None:
        if not self.is_up or process.is_cut:
            return
        _, revision = self.keys.get(put.key, (b"", 0))
        answer = Answer(None)
        if revision == put.revision:
            self.revision += 1
            self.keys[put.key] = put.value, self.revision
            answer = Answer(self.revision)
            self.show(Entry(put.key, put.value, self.revision))
        self.later(MS, lambda: process.hears(lambda now_us: process.node.bucket_answered(put.ask, answer, now_us)))

    def get(self, process: Process, get: Get) -> None:
        if not self.is_up or process.is_cut:
            return
        found = self.keys.get(get.key)
        answer = Answer(found[1], found[0]) if found is not None else Answer(None)
        self.later(MS, lambda: process.hears(lambda now_us: process.node.bucket_answered(get.ask, answer, now_us)))

    def delete(self, process: Process, delete: Delete) -> None:
        found = self.keys.get(delete.key)
        if self.is_up and not process.is_cut and found is not None and delete.revision in (0, found[1]):
            self.revision += 1
            del self.keys[delete.key]
            self.show(Entry(delete.key, None, self.revision))

    def show(self, entry: Entry) -> None:
        if not entry.key.startswith("state."):
            for each in list(self.nodes.values()):
                each.is_shown(entry)

    def fails(self) -> None:
        """The bucket cannot be reached any more."""
        self.is_up = False
        for each in list(self.nodes.values()):
            each.does(each.node.connected(False, self.now_us))

    def is_back(self) -> None:
        """It can again."""
        self.is_up = True
        for each in list(self.nodes.values()):
            each.comes_back()
            each.does(each.node.connected(True, self.now_us))


class Process:
    """One node and what its driver does."""

    def __init__(self, world: Cluster, name: str, life: str, kin: str) -> None:
        numbers = itertools.count(1)
        config = NodeConfig(ServerConfig(world.limits, (world.listener,)), name, life, kin, LEASE_US)
        self.node = ClusterNode(config, new_token=lambda: b"%s%016x" % (life.rjust(16, "0").encode(), next(numbers)))
        self.world = world
        self.name = name
        self.runs = True
        self.is_cut = False
        self.steps: list[str] = []
        self.streams: dict[Any, User] = {}
        self.missed: list[Callable[[], None]] = []
        self.woke_us = -1

    def deadline_us(self) -> int | None:
        deadline_us = self.node.next_deadline_us() if self.runs else None
        # What is due at once and was just done comes in the next millisecond: it waits for an answer.
        return deadline_us if deadline_us is None or deadline_us > self.woke_us else self.woke_us + MS

    def hears(self, what: Callable[[int], list[NodeOutput]]) -> None:
        """Something comes in, now or when the process goes on."""
        if self.world.nodes.get(self.name) is not self:
            return
        if self.runs:
            self.does(what(self.world.now_us))
        else:
            self.missed.append(lambda: self.hears(what))

    def comes_back(self) -> None:
        """It reaches the bucket again, and is shown all of it, as by a new watcher."""
        self.is_cut = False
        world = self.world
        for key, (value, revision) in sorted(world.keys.items(), key=lambda each: each[1][1]):
            if not key.startswith("state."):
                self.is_shown(Entry(key, value, revision))
        gone = [f"node.{name}" for name in self.node.lease.seen]
        gone += [f"owner.{room.hex()}" for room in self.node.ownership.rooms]
        for key in gone:
            if key not in world.keys:
                self.is_shown(Entry(key, None, world.revision + 1))

    def forgets_the_others(self) -> None:
        """It has not seen the others' renewals for too long."""
        self.node.lease.seen.clear()

    def is_shown(self, entry: Entry) -> None:
        if not self.is_cut:
            self.world.later(MS, lambda: self.hears(lambda now_us: self.node.bucket_changed(entry, now_us)))

    def crash(self) -> None:
        """As by kill -9."""
        del self.world.nodes[self.name]
        self.runs = False

    def stop(self) -> None:
        """As by SIGSTOP."""
        self.runs = False

    def go_on(self) -> None:
        """As by SIGCONT: what came meanwhile comes now, and then the timers."""
        self.runs = True
        missed, self.missed = self.missed, []
        for each in missed:
            each()

    def does(self, outputs: list[NodeOutput]) -> None:
        world = self.world
        for output in outputs:
            match output:
                case Put():
                    world.put(self, output)
                case Get():
                    world.get(self, output)
                case Delete():
                    world.delete(self, output)
                case SendMessage(to, data):
                    if not self.is_cut:
                        world.later(MS, lambda to=to, data=data: self._deliver(to, data))  # type: ignore[misc]
                case ClusterStepped():
                    self.steps.append(output.event)
                case Happened():
                    world.happened.append((self.name, output))
                case SendFrame(stream, data, _):
                    self.streams[stream].heard += data
                case FinishStream(stream):
                    self.streams[stream].is_finished = True
                case CloseStream(stream):
                    self.streams.pop(stream).is_closed = True
                case SendDatagram(data, address, what, _):
                    assert address is not None, "a server's datagram has an address"
                    self._sends(data, address, what)
                case Relay(data, targets, what, _):
                    for target in targets:
                        self._sends(data, target, what)
                case _:
                    pass

    def _sends(self, data: bytes, target: Address, what: PacketKind) -> None:
        if what is PacketKind.RELAY:
            self.world.relays.append((self.world.now_us, self.name, data))
        if (user := self.world.users.get(target)) is not None:
            user.sees.append(data.decode())

    def _deliver(self, to: str, data: bytes) -> None:
        for each in self.world.nodes.values():
            if each.node.lease.address == to and not each.is_cut:
                each.hears(partial(each.node.receive_message, data))
                return


class User:
    """A client by hand: a request over TCP, then datagrams."""

    def __init__(self, world: Cluster, name: str, at: str, speaks: Codec, address: Address) -> None:
        self.world, self.name, self.at, self.speaks, self.address = world, name, at, speaks, address
        world.users[address] = self
        self.room = ""
        self.token = b""
        self.heard = b""
        self.sees: list[str] = []
        self.is_finished = self.is_closed = False

    def sends(self, operation: Operation, room: str, password: str = "", *, cut_at: int = 0) -> int:
        """Ask, before any time passes. Returns the stream, which stays open."""
        self.room, process = room, self.world.nodes[self.at]
        stream: int = len(process.streams) + 1000 * self.address.port
        process.streams[stream] = self
        data = self.speaks.write_request(operation, room.encode(), self.name, password, "127.0.0.1", self.address.port)
        process.does(process.node.stream_opened(stream, self.address, self.world.now_us))
        for part in (data[:cut_at], data[cut_at:]) if cut_at else (data,):
            process.does(process.node.receive_stream(stream, part, self.world.now_us))
        return stream

    def breaks_off(self, stream: int) -> None:
        """Its connection is gone."""
        process = self.world.nodes[self.at]
        process.does(process.node.stream_closed(stream, self.world.now_us))

    @property
    def has_token(self) -> bool:
        """Whether it was granted one: each has the word of its owner's life in it."""
        return b"life" in self.heard

    def asks(self, operation: Operation, room: str, password: str = "", *, cut_at: int = 0) -> User:
        """Ask, and leave the answer in `heard`."""
        process, stream = self.world.nodes[self.at], self.sends(operation, room, password, cut_at=cut_at)
        self.world.passes(0.05)
        if self.is_finished:
            process.does(process.node.stream_ended(stream, self.world.now_us))
            self.world.passes(0.01)
        return self

    def is_closed_once(self, stream: int) -> bool:
        """Half-close. Whether that closes the connection, and nothing closes it again in all time that it may take."""
        world, process = self.world, self.world.nodes[self.at]
        process.does(process.node.stream_ended(stream, world.now_us))
        was_closed = self.is_closed
        process.streams[stream], self.is_closed = self, False  # another connection may have its number
        world.passes(world.limits.handshake_timeout / SECOND + LEASE * 2)
        return was_closed and not self.is_closed

    def creates(self, room: str = "lobby", password: str = "") -> User:
        """Become the host of a room, and enter."""
        return self._enters(self.asks(Operation.CREATE, room, password))

    def joins(self, room: str = "lobby", password: str = "") -> User:
        """Become a guest, and enter."""
        return self._enters(self.asks(Operation.JOIN, room, password))

    def _enters(self, _: User) -> User:
        sessions = [
            each
            for process in self.world.nodes.values()
            for each in process.node.registry.sessions.values()
            if each.name == self.name and each.room.name == self.room
        ]
        assert len(sessions) == 1, f"{self.name} has a token: {self.heard!r}"
        self.token = sessions[0].token
        assert self.token in self.heard
        self.says("")
        return self

    def says(self, text: str, at: str = "") -> None:
        """A datagram to its own process, or to another."""
        process = self.world.nodes[at or self.at]
        data = self.speaks.datagram.write(self.room.encode(), self.token, self.name, text)
        process.hears(lambda now_us: process.node.receive_datagram(data, self.address, now_us))
        self.world.passes(0.01)


def two_talk() -> tuple[Cluster, User, User]:
    """Three processes, and a room of two: alice at a, its owner, and bob at b."""
    world = Cluster("a", "b", "c")
    alice = world.user("alice", "a", "json").creates()
    bob = world.user("bob", "b").joins()
    return world, alice, bob
