"""TCP in the simulation: bytes in order, late, in pieces, held up or broken off, and never lost."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Address
from tcrp.sim.network.links import Network
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.tcp import RESENT_AFTER_US, SWEEP_LEAST, Connection, Pipe, Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import (
    DROP,
    DUPLICATE,
    ByteSpan,
    LinkId,
    LinkPatch,
    LinkSettings,
    NetworkSettings,
    SetFate,
    Span,
)
from tcrp.spec.names import PacketKind
from tcrp.trace.records import Kind, PacketRecord, Record
from tcrp.trace.trace import Trace

ADDRESS = Address("10.0.0.1", 40_000)
UP, DOWN = LinkId("bob", "server"), LinkId("server", "bob")


class End:
    """One end: keeps what happens to its connections, and when."""

    def __init__(self, world: World, id: str) -> None:
        self.world = world
        self.id = id
        self.got: list[tuple[int, str, bytes]] = []
        self.packets: list[Packet] = []

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        self.got.append((self.world.now_us, str(packet.what), packet.data))
        self.packets.append(packet)

    @property
    def data(self) -> bytes:
        return b"".join(data for _, _, data in self.got)


class Line:
    """Bob's connections to a server."""

    def __init__(self, **settings: object) -> None:
        self.records: list[Record] = []
        trace = Trace()
        trace.listeners.append(self.records.append)
        default = LinkSettings(**{"delay": Span(30, 30), **settings})  # type: ignore[arg-type]
        self.world = World(Network(NetworkSettings(default)), trace)
        self.tcp = Tcp(self.world)
        self.bob, self.server = End(self.world, "bob"), End(self.world, "server")
        self.origin = Origin("bob.create#1", 7)

    def connects(self) -> Connection:
        return self.tcp.connect(self.bob, self.server, ADDRESS, self.origin)

    def settles(self) -> None:
        while self.world.events:
            self.world.step()

    def heals(self, *links: LinkId) -> None:
        self.tcp.heal(self.world.network.heal(links))


def test_a_connection_is_named_by_its_client_and_its_number_and_opens_at_the_server() -> None:
    line = Line()
    first, second = line.connects(), line.connects()
    assert (first.stream, second.stream) == ("bob#1", "bob#2")
    line.settles()
    assert line.server.got == [(30, "open", b"")] * 2
    assert line.bob.got == []
    assert (first.client_address, first.origin) == (ADDRESS, line.origin)
    assert line.server.packets[0].source == ADDRESS
    assert line.server.packets[0].target.port == 9002  # the first listener's


def test_bytes_go_up_to_the_server_and_down_to_the_client() -> None:
    line = Line()
    connection = line.connects()
    connection.send_up(PacketKind.REQUEST, b"please", line.origin)
    connection.send_down(PacketKind.ANSWER, b"yes", line.origin)
    line.settles()
    assert line.server.got == [(30, "open", b""), (30, "request", b"please")]
    assert line.bob.got == [(30, "answer", b"yes")]
    records = [each for each in line.records if isinstance(each, PacketRecord)]
    assert {each.proto for each in records} == {"tcp"}
    assert [(each.kind, each.actor, each.what) for each in records] == [
        (Kind.SEND, "bob", "open"), (Kind.SEND, "bob", "request"), (Kind.SEND, "server", "answer"),
        (Kind.ARRIVE, "server", "open"), (Kind.ARRIVE, "server", "request"), (Kind.ARRIVE, "bob", "answer"),
    ]  # fmt: skip
    assert [each.cause for each in records] == [0, 0, 0, 1, 2, 3]


def test_nothing_overtakes_on_one_connection_however_delays_differ() -> None:
    line = Line(delay=Span(1, 10_000))
    connection = line.connects()
    for number in range(50):
        connection.send_up(PacketKind.STREAM, bytes((number,)), line.origin)
    line.settles()
    assert line.server.data == bytes(range(50))
    times = [when_us for when_us, _, _ in line.server.got]
    assert times == sorted(times)
    assert len(set(times)) > 2


def test_without_a_delay_bytes_arrive_at_once() -> None:
    line = Line(delay=Span(0, 0))
    line.connects()
    line.settles()
    assert line.server.got == [(0, "open", b"")]


def test_directions_do_not_wait_for_each_other() -> None:
    line = Line()
    line.world.network.set([UP], LinkPatch(delay=Span(500, 500)))
    connection = line.connects()
    connection.send_down(PacketKind.ANSWER, b"yes", line.origin)
    line.settles()
    assert [when_us for when_us, _, _ in line.bob.got + line.server.got] == [30, 500]


def test_a_stream_in_pieces_arrives_whole_with_a_name_for_each_piece() -> None:
    line = Line(segment=ByteSpan(1, 3))
    connection = line.connects()
    connection.send_up(PacketKind.REQUEST, bytes(range(30)), line.origin)
    line.settles()
    pieces = [each for each in line.server.packets if each.what is PacketKind.REQUEST]
    assert b"".join(each.data for each in pieces) == bytes(range(30))
    assert len(pieces) >= 10
    assert [each.nth for each in pieces] == list(range(1, len(pieces) + 1))


def test_a_piece_of_one_byte_is_sent_whole() -> None:
    line = Line(segment=ByteSpan(1, 1))
    connection = line.connects()
    connection.send_up(PacketKind.TRAILER, b"x", line.origin)
    connection.send_up(PacketKind.TRAILER, b"yz", line.origin)
    line.settles()
    assert [data for _, what, data in line.server.got if what == "trailer"] == [b"x", b"y", b"z"]
    assert [each.nth for each in line.server.packets if each.what is PacketKind.TRAILER] == [1, 2, 3]


@pytest.mark.parametrize("on", ["cut", "hold", "stall"])
def test_what_a_stop_holds_up_goes_on_in_its_order_when_it_is_over(on: str) -> None:
    line = Line()
    network = line.world.network
    connection = line.connects()
    line.settles()
    connection.send_up(PacketKind.STREAM, b"a", line.origin)  # on its way when the stop comes
    fault = getattr(network, on)([UP])
    connection.send_up(PacketKind.STREAM, b"b", line.origin)
    connection.send_up(PacketKind.STREAM, b"c", line.origin)
    line.settles()
    assert line.server.data == b""
    line.world.at(1000, lambda _: line.tcp.heal(network.end(fault)), None)
    line.settles()
    assert line.server.got[1:] == [(1030, "stream", b"a"), (1030, "stream", b"b"), (1030, "stream", b"c")]


@pytest.mark.parametrize("on", ["cut", "hold", "stall"])
def test_what_a_stop_holds_up_is_not_overtaken_by_what_is_still_on_its_way(on: str) -> None:
    line = Line(delay=Span(30, 30))
    network = line.world.network
    connection = line.connects()
    line.settles()
    began_us = line.world.now_us
    connection.send_up(PacketKind.STREAM, b"a", line.origin)
    network.set([UP], LinkPatch(delay=Span(100, 100)))
    connection.send_up(PacketKind.STREAM, b"b", line.origin)  # arrives after the stop, which only holds up the first
    faults: list[int] = []
    line.world.at(began_us + 20, lambda _: faults.append(getattr(network, on)([UP])), None)
    line.world.at(began_us + 40, lambda _: line.tcp.heal(network.end(faults[0])), None)
    line.settles()
    assert line.server.data == b"ab"
    assert [each[0] for each in line.server.got[1:]] == [began_us + 140] * 2


def test_what_is_sent_behind_something_held_up_waits_with_it() -> None:
    """The link is open again, but its connection has not been told yet."""
    line = Line()
    connection = line.connects()
    line.settles()
    line.world.network.cut([UP])
    connection.send_up(PacketKind.STREAM, b"a", line.origin)
    healed = line.world.network.heal([UP])
    connection.send_up(PacketKind.STREAM, b"b", line.origin)
    line.settles()
    assert line.server.data == b""
    line.tcp.heal(healed)
    line.settles()
    assert line.server.data == b"ab"


def test_a_heal_frees_the_link_that_it_names_and_no_other() -> None:
    line = Line()
    connection = line.connects()
    line.settles()
    line.world.network.cut([UP, DOWN])
    connection.send_up(PacketKind.STREAM, b"up", line.origin)
    connection.send_down(PacketKind.STREAM, b"down", line.origin)
    line.heals(UP)
    assert len(line.world.events) == 1
    line.settles()
    assert (line.server.data, line.bob.data) == (b"up", b"")
    line.heals(DOWN)
    line.settles()
    assert line.bob.data == b"down"


def test_a_link_that_is_stopped_twice_goes_on_when_both_are_over() -> None:
    line = Line()
    connection = line.connects()
    line.settles()
    line.world.network.cut([UP])
    stall = line.world.network.stall([UP])
    connection.send_up(PacketKind.STREAM, b"a", line.origin)
    line.heals(UP)
    assert line.world.events == []
    assert line.server.data == b""
    line.tcp.heal(line.world.network.end(stall))
    line.settles()
    assert line.server.data == b"a"


def test_an_end_that_is_done_hears_nothing_more_and_the_other_still_does() -> None:
    line = Line()
    connection = line.connects()
    line.settles()
    connection.server_is_done = True
    assert connection.is_done is False
    connection.send_up(PacketKind.STREAM, b"a", line.origin)
    connection.send_down(PacketKind.STREAM, b"b", line.origin)
    line.settles()
    assert (line.server.data, line.bob.data) == (b"", b"b")
    connection.client_is_done = True
    assert connection.is_done is True
    connection.send_down(PacketKind.STREAM, b"c", line.origin)
    line.settles()
    assert line.bob.data == b"b"


def test_a_reset_breaks_off_both_ends_at_once() -> None:
    line = Line()
    line.connects()
    line.settles()
    broken = Origin("network.reset#1", 7)
    broken.record = 9
    line.tcp.reset((UP,), broken)
    assert [(what, data) for _, what, data in line.server.got] == [("open", b""), ("reset", b"")]
    assert [(what, data) for _, what, data in line.bob.got] == [("reset", b"")]
    resets = [line.server.packets[-1], line.bob.packets[-1]]
    assert [(each.record, each.nth) for each in resets] == [(9, 1), (9, 1)]


def test_a_reset_spares_other_links_and_ends_that_are_done() -> None:
    line = Line()
    connection = line.connects()
    line.settles()
    line.tcp.reset((LinkId("carol", "server"),), line.origin)
    assert (len(line.server.got), len(line.bob.got)) == (1, 0)
    connection.server_is_done = True
    line.tcp.reset((LinkId("carol", "server"), LinkId("all", "server")), line.origin)
    assert (len(line.server.got), len(line.bob.got)) == (1, 1)
    connection.client_is_done = True
    line.tcp.reset((UP,), line.origin)
    assert (len(line.server.got), len(line.bob.got)) == (1, 1)


def test_connections_that_are_over_are_forgotten_and_living_ones_are_not() -> None:
    line = Line()
    living = line.connects()
    for _ in range(3 * SWEEP_LEAST):
        connection = line.connects()
        connection.client_is_done = connection.server_is_done = True
    assert len(line.tcp._connections) <= SWEEP_LEAST
    line.settles()
    line.tcp.reset((UP,), line.origin)
    assert line.server.packets[-1].what is PacketKind.RESET
    assert living in line.tcp._connections


def test_many_living_connections_are_looked_through_rarely() -> None:
    line = Line()
    for _ in range(SWEEP_LEAST - 1):
        line.connects()
    assert line.tcp._sweep_at == SWEEP_LEAST
    line.connects()
    assert line.tcp._sweep_at == 2 * SWEEP_LEAST
    for _ in range(SWEEP_LEAST):
        line.connects()
    assert line.tcp._sweep_at == 4 * SWEEP_LEAST


class Listener:
    """Is told what is sent and read, and which connections are over."""

    def __init__(self) -> None:
        self.forgotten: list[Connection] = []
        self.heard: list[tuple[str, bytes]] = []

    def sent(self, pipe: Pipe, what: PacketKind, data: bytes) -> None:
        self.heard.append((f"sent over {pipe.link.name}", data))

    def read(self, connection: Connection, pipe: Pipe, packet: Packet) -> None:
        self.heard.append((f"read by {pipe.link.target}", packet.data))

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)


def test_who_observes_is_told_of_connections_that_are_over_and_of_no_others() -> None:
    line = Line()
    line.tcp.observer = observer = Listener()
    over = [line.connects() for _ in range(SWEEP_LEAST - 1)][1:]
    for each in over:
        each.client_is_done = each.server_is_done = True
    line.connects()
    assert observer.forgotten == over


def test_who_observes_is_told_what_is_sent_and_what_an_end_that_is_not_done_reads() -> None:
    line = Line()
    line.tcp.observer = observer = Listener()
    connection = line.connects()
    connection.send_up(PacketKind.REQUEST, b"please", line.origin)
    connection.send_down(PacketKind.ANSWER, b"yes", line.origin)
    connection.client_is_done = True
    line.settles()
    assert observer.heard == [
        ("sent over bob>server", b""), ("sent over bob>server", b"please"), ("sent over server>bob", b"yes"),
        ("read by server", b""), ("read by server", b"please"),
    ]  # fmt: skip


@pytest.mark.parametrize(("listener", "port"), [(0, 9002), (1, 9004), (2, 9006)])
def test_pieces_go_between_the_clients_address_and_the_listeners_port(listener: int, port: int) -> None:
    line = Line()
    connection = line.tcp.connect(line.bob, line.server, ADDRESS, line.origin, listener)
    connection.send_down(PacketKind.ANSWER, b"yes", line.origin)
    line.settles()
    [up], [down] = line.server.packets, line.bob.packets
    assert (up.source, up.target.port) == (ADDRESS, port)
    assert (down.source.port, down.target) == (port, ADDRESS)


# --- fates that a script decides ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "arrives_us"),
    [
        (SetFate("bob.create#1/open", DROP), 30 + RESENT_AFTER_US),  # what is lost is sent again
        (SetFate("bob.create#1/open", arrives_us=()), 30 + RESENT_AFTER_US),
        (SetFate("bob.create#1/open", delay_us=500), 530),
        (SetFate("bob.create#1/open", DUPLICATE), 30),
        (SetFate("bob.create#1/open", arrives_us=(7, 9)), 7),
        (SetFate("bob.create#1/another", DROP), 30),
    ],
)
def test_a_piece_arrives_as_the_script_decides(fate: SetFate, arrives_us: int) -> None:
    line = Line()
    line.world.fates[fate.packet] = fate
    connection = line.connects()
    connection.send_up(PacketKind.REQUEST, b"please", line.origin)
    line.settles()
    assert line.server.got == [(arrives_us, "open", b""), (max(arrives_us, 30), "request", b"please")]
    assert (fate in line.world.decided) == (fate.packet == "bob.create#1/open")
