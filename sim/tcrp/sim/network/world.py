"""The world of a simulation: virtual time, a heap of events, and the network between hosts.

Decides when events happen and whether packets arrive. Does not know what hosts do with them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from tcrp.engine.outputs import Address, Relay
from tcrp.sim.network.draws import LOW_32
from tcrp.sim.network.links import CORRUPTED, DUPLICATED, Link, Network
from tcrp.sim.network.packets import Chain, Packet, next_of_kind
from tcrp.sim.scenario.model import DROP, DUPLICATE, SetFate
from tcrp.spec.names import PacketKind
from tcrp.trace.recorder import Cause
from tcrp.trace.records import FaultRecord, Kind, PacketRecord
from tcrp.trace.trace import Trace

_SEND, _ARRIVE = Kind.SEND, Kind.ARRIVE  # before Python 3.12 the lookup of an enum member is slow
FIRST_DYNAMIC = 1 << 20
"""Script steps have smaller numbers, so that they come first among events of one time, in file order."""


class DatagramHost(Protocol):
    """A host with a UDP socket."""

    id: str

    def receive_datagram(self, packet: Packet) -> None: ...


class World:
    """Time is integer microseconds from the start. Without a trace no records are made."""

    def __init__(self, network: Network, trace: Trace | None) -> None:
        self.now_us = 0
        self.network = network
        self.trace = trace
        self.sockets: dict[Address, DatagramHost] = {}  # the present receiver at each address
        self._owners: dict[Address, str] = {}  # the latest receiver: packets to the address use its link
        self.busy = 0  # pending foreground events
        self.arrivals = 0
        self.fates: dict[str, SetFate] = {}  # what the script has decided, by the packet's name
        self.decided: set[SetFate] = set()  # those of them that had a packet
        self.on_send: Callable[[Packet], None] | None = None  # is told of packets as they are recorded as sent
        self.events: list[tuple[int, int, int, Callable[[Any], None] | None, Any]] = []  # a heap; None: it arrives
        self._sequence = FIRST_DYNAMIC
        self._routes: dict[str, dict[Address, Link]] = {}  # by source and target

    # --- time ------------------------------------------------------------------------------------

    def at(
        self, when_us: int, action: Callable[[Any], None], subject: Any, *, foreground: bool = True, order: int = 0
    ) -> None:
        """Schedule `action(subject)` at `when_us`. Events of one time run by `order`, then as they were scheduled.

        The run goes on as long as there are `foreground` events.
        """
        assert when_us >= self.now_us, "time does not go backwards"
        if not order:
            order = self._sequence = self._sequence + 1
        share = 1 if foreground else 0
        self.busy += share
        heappush(self.events, (when_us, order, share, action, subject))

    def step(self) -> None:
        """Run the next event."""
        self.now_us, _, share, action, subject = heappop(self.events)
        if self.trace is not None:
            self.trace.now_us = self.now_us
        self.busy -= share
        if action is None:
            self._arrive(subject)
        else:
            action(subject)

    # --- datagrams -------------------------------------------------------------------------------

    def open_socket(self, address: Address, host: DatagramHost) -> None:
        """Deliver datagrams to `address` to `host` from now on."""
        self.sockets[address] = host
        self._owners[address] = host.id
        for routes in self._routes.values():
            routes.pop(address, None)

    def link_to(self, source: str, target: Address) -> Link:
        """The link from `source` to the host that is, or last was, at an address."""
        routes = self._routes.setdefault(source, {})
        link = routes.get(target)
        if link is None:
            link = routes[target] = self.network.between(source, self._owners.get(target, target.ip))
        return link

    def send_datagram(
        self, link: Link, what: PacketKind, data: bytes, source: Address, target: Address, parent: Chain
    ) -> None:
        """Send one datagram over `link`; loss and delay are drawn now."""
        self._dispatch(Packet(parent, link, what, data, source, target, nth=next_of_kind(parent, what, link)))

    def address_of(self, host: str, port: int) -> Address:
        """Where a host has a socket of that port."""
        return next(address for address, id in self._owners.items() if id == host and address.port == port)

    def owner_of(self, address: Address) -> str:
        """Who has, or last had, a socket at an address; empty, if nobody ever had."""
        return self._owners.get(address, "")

    def send_in_order(self, packet: Packet, after_us: int) -> int:
        """Send a message that arrives once or never, and not before `after_us`: what comes of it overtakes nothing.

        Returns when it arrives; `after_us`, if it is lost.
        """
        link, now_us = packet.link, self.now_us
        if self.trace is not None:
            self.record_packet(_SEND, packet, link.source, packet.parent.record)
        fate = self.fates.get(packet.packet) if self.fates else None
        if fate is not None:
            self.record_fate(packet, fate)
        if fate is not None and (fate.fate == DROP or fate.arrives_us == ()):
            self.drop(packet, "fate")
        elif link.is_cut:
            self.drop(packet, "cut")
        elif (reason := link.refuses(packet.key, len(packet.data), now_us)) is not None:
            self.drop(packet, reason.value)
        else:
            transit_us = link.transit_us(packet.key, now_us)
            if fate is not None:
                transit_us = fate.arrives_us[0] if fate.arrives_us else transit_us + (fate.delay_us or 0)
            after_us = max(now_us + transit_us, after_us)
            self.at(after_us, self._arrive, packet)
        return after_us

    def fan_out(self, source: str, address: Address, relay: Relay, parent: Chain) -> None:
        """Send the datagram of `relay` to each of its targets, in order."""
        what, data = relay.what, relay.data
        is_relay = what is PacketKind.RELAY
        routes = self._routes.setdefault(source, {})
        for target in relay.targets:
            link = routes.get(target) or self.link_to(source, target)
            nth = 1 if is_relay else next_of_kind(parent, what, link)
            self._dispatch(Packet(parent, link, what, data, address, target, "udp", nth))

    def _dispatch(self, packet: Packet) -> None:
        link = packet.link
        if self.trace is not None:
            self.record_packet(_SEND, packet, link.source, packet.parent.record)
        if self.fates and (fate := self.fates.get(packet.packet)) is not None:
            self._dispatch_as_decided(packet, link, fate)
        elif link.is_cut:
            self.drop(packet, "cut")
        elif not link.is_plain:
            self._dispatch_closely(packet, link)
        elif (transit_us := link.plainly_us(packet.word >> 32 & LOW_32, packet.word & LOW_32)) is None:
            self.drop(packet, "loss")
        else:  # `at`, inlined for speed
            order = self._sequence = self._sequence + 1
            self.busy += 1
            heappush(self.events, (self.now_us + transit_us, order, 1, None, packet))

    def _dispatch_as_decided(self, packet: Packet, link: Link, fate: SetFate) -> None:
        """Send a packet about which the script has decided."""
        self.record_fate(packet, fate)
        if fate.fate == DROP or fate.arrives_us == ():
            self.drop(packet, "fate")
            return
        if link.is_cut:
            self.drop(packet, "cut")
            return
        if fate.arrives_us is not None:
            self.at(self.now_us + fate.arrives_us[0], self._arrive, packet)
            for transit_us in fate.arrives_us[1:]:
                self.at(self.now_us + transit_us, self._arrive, self._copy(packet))
            return
        self._dispatch_closely(packet, link, fate.delay_us or 0)
        if fate.fate == DUPLICATE:
            self._dispatch_copy(packet, link)

    def record_fate(self, packet: Packet, fate: SetFate) -> None:
        """Record that the script decides about a packet."""
        self.decided.add(fate)
        packet.link.has_fates = True
        self.record_fault("network", "fate", packet.link.name, Cause(packet.record))

    def _dispatch_closely(self, packet: Packet, link: Link, extra_us: int = 0) -> None:
        """Send over a link that is not plain, or with more delay than the link has."""
        now_us = self.now_us
        fate = link.refuses(packet.key, len(packet.data), now_us)
        if fate is not None:
            self.drop(packet, fate.value)
            return
        extras = link.extras(packet.key)
        if extras & CORRUPTED and packet.data:
            packet.data, packet.note = link.corrupted(packet.key, packet.data), "corrupted"
        self.at(now_us + extra_us + link.transit_us(packet.key, now_us, extras), self._arrive, packet)
        if extras & DUPLICATED:
            self._dispatch_copy(packet, link)

    def _dispatch_copy(self, packet: Packet, link: Link) -> None:
        copy = self._copy(packet)
        self.at(self.now_us + link.transit_us(copy.key, self.now_us), self._arrive, copy)

    @staticmethod
    def _copy(packet: Packet) -> Packet:
        copy = Packet(packet, packet.link, packet.what, packet.data, packet.source, packet.target)
        copy.record, copy.note = packet.record, "duplicate"
        return copy

    def release(self, network: list[Link]) -> None:
        """Deliver the datagrams that these links held, in order. Called when they are open again."""
        for link in network:
            parked, link.parked = link.parked, []
            for packet in parked:
                self.at(self.now_us, self._arrive, packet)

    def _arrive(self, packet: Packet) -> None:
        if packet.link.is_cut:
            self.drop(packet, "cut")
            return
        if packet.link.is_held:
            packet.link.parked.append(packet)
            return
        host = self.sockets.get(packet.target)
        if host is None:
            self.drop(packet, "nobody there")
            return
        self.arrivals += 1
        if self.trace is not None:
            self.record_packet(_ARRIVE, packet, packet.link.target, packet.record, packet.note)
        host.receive_datagram(packet)

    # --- trace ------------------------------------------------------------------------------------

    def record_packet(self, kind: Kind, packet: Packet, actor: str, cause: int, why: str = "") -> None:
        """Record what happened to a packet. The record becomes the cause of what follows from the packet."""
        trace = self.trace
        if trace is None:
            return
        packet.record = trace.add(
            PacketRecord(
                actor=actor, bytes=len(packet.data), cause=cause, kind=kind, link=packet.link.name, n=trace.n + 1,
                packet=packet.packet, proto=packet.proto, t_us=self.now_us, what=packet.what, why=why,
            )
        )  # fmt: skip
        if kind is _SEND and self.on_send is not None:
            self.on_send(packet)

    def drop(self, packet: Packet, why: str) -> None:
        """Record that the network dropped a packet."""
        self.record_packet(Kind.DROP, packet, "network", packet.record, why)

    def record_fault(self, actor: str, what: str, why: str, cause: Cause) -> None:
        """Record an injected fault."""
        trace = self.trace
        if trace is not None:
            cause.record = trace.add(
                FaultRecord(actor=actor, cause=cause.record, n=trace.n + 1, t_us=self.now_us, what=what, why=why)
            )
