"""The world: what happens when, and whether a datagram gets there."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Address, Relay
from tcrp.sim.network.links import Network
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.world import World
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import DROP, DUPLICATE, LinkId, LinkSettings, Loss, NetworkSettings, Reorder, SetFate, Span
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import PacketKind
from tcrp.trace.recorder import Cause
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record
from tcrp.trace.trace import Trace

BOB, ALICE = Address("10.0.0.1", 5000), Address("10.0.0.2", 5000)
UP = LinkId("bob", "alice")


class Inbox:
    """A host that keeps what arrives, and when."""

    def __init__(self, world: World, id: str) -> None:
        self.world = world
        self.id = id
        self.got: list[tuple[int, bytes]] = []
        self.packets: list[Packet] = []

    def receive_datagram(self, packet: Packet) -> None:
        self.got.append((self.world.now_us, packet.data))
        self.packets.append(packet)


class Wire:
    """Bob, who sends, and Alice, who keeps what arrives."""

    def __init__(self, **settings: object) -> None:
        self.records: list[Record] = []
        trace = Trace()
        trace.listeners.append(self.records.append)
        default = LinkSettings(**{"delay": Span(30, 30), **settings})  # type: ignore[arg-type]
        self.world = World(Network(NetworkSettings(default)), trace)
        self.alice = Inbox(self.world, "alice")
        self.world.open_socket(ALICE, self.alice)
        self.origin = Origin("bob.say#1", 7)

    def sends(self, data: bytes, target: Address = ALICE) -> None:
        link = self.world.link_to("bob", target)
        self.world.send_datagram(link, PacketKind.SAY, data, BOB, target, self.origin)

    def settles(self) -> None:
        while self.world.events:
            self.world.step()

    def passes(self, until_us: int) -> None:
        """Let happen what happens before that moment."""
        while self.world.events and self.world.events[0][0] < until_us:
            self.world.step()

    def seen(self) -> list[tuple[str, str, str]]:
        """What the trace says of packets: kind, actor, and why."""
        return [(str(each.kind), each.actor, each.why) for each in self.records if isinstance(each, PacketRecord)]


# --- time ------------------------------------------------------------------------------------------


def test_things_happen_in_the_order_of_their_moments_and_then_as_they_were_asked_for() -> None:
    world = World(Network(NetworkSettings()), None)
    done: list[tuple[int, str]] = []
    for when_us, what in ((20, "c"), (10, "a"), (20, "d"), (10, "b")):
        world.at(when_us, lambda each: done.append((world.now_us, each)), what)
    while world.events:
        world.step()
    assert done == [(10, "a"), (10, "b"), (20, "c"), (20, "d")]


def test_steps_of_the_script_come_first_in_their_moment_in_the_order_of_the_file() -> None:
    world = World(Network(NetworkSettings()), None)
    done: list[str] = []
    world.at(10, done.append, "asked for first")
    world.at(10, done.append, "second in the file", order=2)
    world.at(10, done.append, "first in the file", order=1)
    while world.events:
        world.step()
    assert done == ["first in the file", "second in the file", "asked for first"]


def test_only_what_is_in_the_foreground_keeps_a_run_going() -> None:
    world = World(Network(NetworkSettings()), None)
    world.at(10, lambda _: None, None)
    world.at(20, lambda _: None, None, foreground=False)
    assert world.busy == 1
    world.step()
    assert (world.busy, len(world.events)) == (0, 1)
    world.step()
    assert world.busy == 0


def test_time_does_not_go_backwards() -> None:
    world = World(Network(NetworkSettings()), None)
    world.at(10, lambda _: None, None)
    world.step()
    world.at(10, lambda _: None, None)  # now is not the past
    with pytest.raises(AssertionError, match="time does not go backwards"):
        world.at(9, lambda _: None, None)


def test_the_trace_has_the_worlds_time() -> None:
    wire = Wire()
    wire.world.at(10, lambda _: wire.sends(b"hi"), None)
    wire.settles()
    assert [(each.kind, each.t_us) for each in wire.records] == [(Kind.SEND, 10), (Kind.ARRIVE, 40)]
    assert wire.world.trace is not None
    assert wire.world.trace.now_us == 40  # and so has what others record


# --- datagrams -------------------------------------------------------------------------------------


def test_a_datagram_arrives_after_its_delay() -> None:
    wire = Wire()
    wire.sends(b"hi")
    assert wire.world.busy == 1
    wire.settles()
    assert wire.alice.got == [(30, b"hi")]
    assert (wire.world.busy, wire.world.arrivals) == (0, 1)
    assert wire.seen() == [("send", "bob", ""), ("arrive", "alice", "")]


def test_a_datagrams_delay_is_drawn_with_all_the_lower_bits_of_its_key() -> None:
    wire = Wire(delay=Span(0, 2**32 - 1))  # as many moments as 32 bits have values
    for each in range(20):
        wire.sends(b"%d" % each)
    wire.settles()
    assert [when_us for when_us, _ in wire.alice.got] == [packet.key % 2**32 for packet in wire.alice.packets]
    assert {packet.key % 2 for packet in wire.alice.packets} == {0, 1}


def test_the_upper_bits_of_a_key_decide_whether_a_datagram_is_lost() -> None:
    wire = Wire(loss=Loss(500_000))
    sent: list[Packet] = []
    wire.world.on_send = sent.append
    for each in range(40):
        wire.sends(b"%d" % each)
    wire.settles()
    assert wire.alice.packets == [packet for packet in sent if packet.key >> 63]
    assert 0 < len(wire.alice.packets) < 40


def test_a_record_of_a_packet_has_the_one_before_as_its_cause() -> None:
    wire = Wire()
    wire.origin.record = 0
    wire.sends(b"hi")
    wire.settles()
    send, arrive = wire.records
    assert isinstance(send, PacketRecord)
    assert isinstance(arrive, PacketRecord)
    assert (send.cause, arrive.cause) == (0, send.n)
    assert (send.link, send.packet, send.bytes, send.what, send.proto) == (
        "bob>alice",
        "bob.say#1/say",
        2,
        "say",
        "udp",
    )
    assert wire.alice.packets[0].record == arrive.n


def test_without_a_trace_the_same_happens_and_no_record_is_made() -> None:
    world = World(Network(NetworkSettings(LinkSettings(delay=Span(30, 30)))), None)
    alice = Inbox(world, "alice")
    world.open_socket(ALICE, alice)
    origin = Origin("x", 7)
    world.send_datagram(world.link_to("bob", ALICE), PacketKind.SAY, b"hi", BOB, ALICE, origin)
    world.record_fault("network", "cut", "", origin)
    world.step()
    assert alice.got == [(30, b"hi")]
    assert (world.arrivals, origin.record) == (1, 0)
    nowhere = Address("10.9.9.9", 1)
    world.send_datagram(world.link_to("bob", nowhere), PacketKind.SAY, b"hi", BOB, nowhere, origin)
    world.step()
    assert (world.arrivals, alice.got) == (1, [(30, b"hi")])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"loss": Loss(1_000_000)}, "loss"),
        ({"loss": Loss(1_000_000), "duplicate_ppm": 1}, "loss"),
        ({"mtu_bytes": 1}, "mtu"),
    ],
)
def test_a_datagram_that_is_not_taken_is_dropped_with_its_reason(settings: dict[str, object], why: str) -> None:
    wire = Wire(**settings)
    wire.sends(b"hi")
    wire.settles()
    assert wire.alice.got == []
    assert wire.seen() == [("send", "bob", ""), ("drop", "network", why)]


def cuts(wire: Wire) -> None:
    wire.world.network.cut([UP])


def test_a_datagram_that_finds_the_queue_full_is_dropped() -> None:
    wire = Wire(rate_bps=8, queue_bytes=1)
    wire.sends(b"hi")
    wire.sends(b"ho")
    wire.settles()
    assert wire.alice.got == [(2_000_030, b"hi")]
    assert ("drop", "network", "queue") in wire.seen()


def test_a_datagram_is_dropped_by_a_cut_before_it_and_by_one_that_it_meets_on_its_way() -> None:
    wire = Wire()
    wire.sends(b"one")
    wire.world.at(10, lambda _: cuts(wire), None)
    wire.world.at(20, lambda _: wire.sends(b"two"), None)
    wire.settles()
    assert wire.alice.got == []
    assert [each for each in wire.seen() if each[0] == "drop"] == [("drop", "network", "cut")] * 2
    assert [each.t_us for each in wire.records if each.kind is Kind.DROP] == [20, 30]


def test_what_a_link_holds_arrives_in_its_order_when_it_is_released() -> None:
    wire = Wire()
    wire.world.network.hold([UP])
    wire.sends(b"one")
    wire.sends(b"two")
    wire.passes(100)
    assert wire.alice.got == []
    wire.world.at(100, lambda _: wire.world.release(wire.world.network.release([UP])), None)
    wire.settles()
    assert wire.alice.got == [(100, b"one"), (100, b"two")]
    assert wire.world.network.between("bob", "alice").parked == []


def test_a_datagram_to_an_address_without_a_socket_is_dropped() -> None:
    wire = Wire()
    wire.sends(b"hi", Address("10.9.9.9", 1))
    wire.settles()
    assert wire.seen() == [("send", "bob", ""), ("drop", "network", "nobody there")]
    assert wire.world.arrivals == 0


def test_the_link_to_an_address_is_its_last_owners() -> None:
    wire = Wire()
    assert wire.world.link_to("bob", ALICE).name == "bob>alice"
    assert wire.world.link_to("bob", Address("10.9.9.9", 1)).name == "bob>10.9.9.9"
    wire.world.open_socket(ALICE, Inbox(wire.world, "carol"))
    assert wire.world.link_to("bob", ALICE).name == "bob>carol"
    wire.world.sockets.pop(ALICE)
    assert wire.world.link_to("bob", ALICE).name == "bob>carol"


def test_a_duplicate_is_a_packet_of_its_own_that_came_of_the_first() -> None:
    wire = Wire(duplicate_ppm=1_000_000, delay=Span(30, 1000))
    wire.sends(b"hi")
    wire.settles()
    assert [data for _, data in wire.alice.got] == [b"hi", b"hi"]
    assert len({when_us for when_us, _ in wire.alice.got}) == 2  # each has its own delay
    assert sorted(each.note for each in wire.alice.packets) == ["", "duplicate"]
    copy = next(each for each in wire.alice.packets if each.note)
    assert copy.packet == "bob.say#1/say/say"
    arrivals = [each for each in wire.records if isinstance(each, PacketRecord) and each.kind is Kind.ARRIVE]
    assert [each.cause for each in arrivals] == [1, 1]
    assert {each.why for each in arrivals} == {"", "duplicate"}


def test_a_corrupted_datagram_arrives_with_another_bit_and_says_so() -> None:
    wire = Wire(corrupt_ppm=1_000_000)
    wire.sends(b"hi")
    wire.sends(b"")
    wire.settles()
    [(_, data), (_, empty)] = wire.alice.got
    assert (int.from_bytes(data, "big") ^ int.from_bytes(b"hi", "big")).bit_count() == 1
    assert empty == b""
    assert [each.note for each in wire.alice.packets] == ["corrupted", ""]


def test_a_reordered_datagram_is_overtaken() -> None:
    wire = Wire(reorder=Reorder(500_000, 50_000))
    for number in range(20):
        wire.sends(bytes((number,)))
    wire.settles()
    assert {when_us for when_us, _ in wire.alice.got} == {30, 50_030}


def test_a_fan_out_sends_the_same_to_each_in_their_order() -> None:
    wire = Wire()
    carol = Address("10.0.0.3", 1)
    wire.world.open_socket(carol, Inbox(wire.world, "carol"))
    for kind in (PacketKind.RELAY, PacketKind.NOTICE, PacketKind.NOTICE):
        wire.world.fan_out("bob", BOB, Relay(b"hi", [ALICE, carol], kind), wire.origin)
    wire.settles()
    sent = [each.packet.partition("/")[2] for each in wire.records if isinstance(each, PacketRecord)][:6]
    assert sent == [
        "relay:alice", "relay:carol", "notice:alice", "notice:carol", "notice:alice#2", "notice:carol#2",
    ]  # fmt: skip
    assert wire.alice.got == [(30, b"hi")] * 3
    assert wire.alice.packets[0].source == BOB
    assert [packet.nth for packet in wire.alice.packets] == [1, 1, 2]  # of its kind to her, from which it is drawn


# --- fates that a script decides ------------------------------------------------------------------

NAME = "bob.say#1/say"
FATES = [
    (SetFate(NAME, DROP), []),
    (SetFate(NAME, arrives_us=()), []),
    (SetFate(NAME, delay_us=500), [530]),
    (SetFate(NAME, arrives_us=(7,)), [7]),
    (SetFate("another", DROP), [30]),
]


@pytest.mark.parametrize(
    ("fate", "arrives_us"),
    [*FATES, (SetFate(NAME, DUPLICATE), [30, 30]), (SetFate(NAME, arrives_us=(7, 9, 8)), [7, 8, 9])],
)
def test_a_datagram_arrives_as_the_script_decides(fate: SetFate, arrives_us: list[int]) -> None:
    wire = Wire()
    wire.world.fates[fate.packet] = fate
    wire.sends(b"hi")
    wire.settles()
    assert wire.alice.got == [(when_us, b"hi") for when_us in arrives_us]
    is_meant = fate.packet == NAME
    assert wire.world.decided == ({fate} if is_meant else set())
    assert (("drop", "network", "fate") in wire.seen()) is not bool(arrives_us)
    faults = [(each.what, each.why) for each in wire.records if isinstance(each, FaultRecord)]
    assert faults == ([("fate", "bob>alice")] if is_meant else [])
    assert wire.world.link_to("bob", ALICE).has_fates is is_meant


@pytest.mark.parametrize(
    ("fate", "arrives_us"), [*FATES, (SetFate(NAME, DUPLICATE), [30]), (SetFate(NAME, arrives_us=(7, 9)), [7])]
)
def test_a_message_in_order_arrives_as_the_script_decides(fate: SetFate, arrives_us: list[int]) -> None:
    wire = Wire()
    wire.world.fates[fate.packet] = fate
    link = wire.world.link_to("bob", ALICE)
    packet = Packet(wire.origin, link, PacketKind.SAY, b"hi", BOB, ALICE)
    after_us = wire.world.send_in_order(packet, 3)
    wire.settles()
    assert [when_us for when_us, _ in wire.alice.got] == arrives_us
    assert after_us == (arrives_us[0] if arrives_us else 3)
    assert wire.world.decided == ({fate} if fate.packet == NAME else set())
    assert wire.seen()[0] == ("send", "bob", "")
    assert (("drop", "network", "fate") in wire.seen()) is not bool(arrives_us)


@pytest.mark.parametrize("fate", [SetFate(NAME, arrives_us=(7, 8)), SetFate(NAME, delay_us=500), None])
@pytest.mark.parametrize("in_order", [True, False])
def test_a_cut_drops_what_the_script_would_let_arrive(fate: SetFate | None, in_order: bool) -> None:
    wire = Wire()
    wire.world.network.cut((UP,))
    wire.world.fates |= {NAME: fate} if fate is not None else {}
    if in_order:
        link = wire.world.link_to("bob", ALICE)
        wire.world.send_in_order(Packet(wire.origin, link, PacketKind.SAY, b"hi", BOB, ALICE), 0)
    else:
        wire.sends(b"hi")
    wire.settles()
    assert wire.alice.got == []
    assert wire.seen() == [("send", "bob", ""), ("drop", "network", "cut")]
    assert {each.t_us for each in wire.records} == {0}  # where it would have begun, not where it would have ended


def test_messages_in_order_do_not_overtake_and_are_lost_as_datagrams_are() -> None:
    wire = Wire(delay=Span(1, 10_000))
    link = wire.world.link_to("bob", ALICE)
    after_us = 0
    for number in range(20):
        packet = Packet(wire.origin, link, PacketKind.SAY, bytes((number,)), BOB, ALICE, nth=number + 1)
        arrives_us = wire.world.send_in_order(packet, after_us)
        assert arrives_us >= max(after_us, 1)
        after_us = arrives_us
    wire.settles()
    assert [data for _, data in wire.alice.got] == [bytes((number,)) for number in range(20)]
    lossy = Wire(loss=Loss(1_000_000))
    packet = Packet(lossy.origin, lossy.world.link_to("bob", ALICE), PacketKind.SAY, b"hi", BOB, ALICE)
    assert lossy.world.send_in_order(packet, 5) == 5
    assert lossy.seen() == [("send", "bob", ""), ("drop", "network", "loss")]


def test_a_host_is_found_by_its_port_and_an_address_by_its_owner() -> None:
    world = Wire().world
    for id, ip, port in (("carol", "10.0.0.3", 1), ("carol", "10.0.0.3", 2), ("dave", "10.0.0.4", 2)):
        world.open_socket(Address(ip, port), Inbox(world, id))
    assert world.address_of("carol", 2) == Address("10.0.0.3", 2)
    assert world.address_of("dave", 2) == Address("10.0.0.4", 2)
    assert world.owner_of(Address("10.0.0.4", 2)) == "dave"
    assert world.owner_of(Address("10.0.0.4", 1)) == ""


def test_who_asks_is_told_of_each_packet_that_is_sent() -> None:
    wire = Wire()
    told: list[str] = []
    wire.world.on_send = lambda packet: told.append(packet.packet)
    wire.sends(b"hi")
    assert told == [NAME]
    wire.settles()
    assert told == [NAME]  # and not of its arrival


def test_a_fault_is_written_down_and_is_the_cause_of_what_follows() -> None:
    wire = Wire()
    cause = Cause(0)
    wire.world.record_fault("network", "cut", "bob>alice", cause)
    assert cause.record == 1
    assert wire.records[0].line().endswith('"what":"cut","why":"bob>alice"}')


# --- draws are keyed -------------------------------------------------------------------------------

SCENARIO = """
claim: a noisy network
users: {{bob: {{dialect: text}}, mallory: {{attacker: true}}}}
network: {{default: {{delay: 5ms..50ms, loss: 20%, duplicate: 10%, corrupt: 5%, reorder: 20%, segment: 1..9}}}}
script:
  - {{at: 0s, alice: {{create: lobby}}}}
  - {{at: 1s, bob: {{join: lobby}}}}
  - {{every: 100ms, times: 40, at: 2s, alice: {{say: "text {{n}}"}}}}
{extra}
until: 20s
"""


def packets(extra: str) -> dict[str, tuple[str, int]]:
    """What became of each packet, by its name: arrived or dropped, and when."""
    found: dict[str, tuple[str, int]] = {}

    def hear(record: Record) -> None:
        if not isinstance(record, PacketRecord):
            return
        if record.kind is Kind.ARRIVE or (record.kind is Kind.DROP and record.actor == "network"):
            found[f"{record.kind} {record.packet} {record.link}"] = record.why, record.t_us

    Run(read_scenario_text(SCENARIO.format(extra=extra), "x.yaml"), listeners=[hear]).go()
    return found


def test_taking_a_step_out_leaves_the_fate_of_every_packet_that_it_did_not_cause() -> None:
    with_it = packets('  - {at: 2050ms, bob: {say: "in between"}}')
    without = packets("")
    assert len(without) > 150
    assert without.items() <= with_it.items()
    extra = with_it.keys() - without.keys()
    assert extra
    assert all("bob.say@" in name for name in extra)
