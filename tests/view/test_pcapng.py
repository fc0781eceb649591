"""Captures made from runs, as tshark reads them: no packet is malformed, and nothing that happened is missing."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace

import made_records
from captures import capture, fields, tshark
from tcrp.cli.sources import play_for_a_look
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Deadline, PacketKind, Rule, SessionEvent, SessionState
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import Kind, PacketRecord, Record
from tcrp.view.ethernet import SEGMENT_BYTES_MAX
from tcrp.view.pcapng import COMMENTS_MAX, Capture, NothingToShow, Payload, write_pcapng

ROOT = Path(__file__).parents[2]
WRONG = (
    "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 "
    "|| tcp.analysis.flags || _ws.expert.severity >= 0x800000"
)
CUT = """\
claim: the second text is lost
users: {bob: {dialect: text}}
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, alice: {say: "one"}}
  - {at: 3s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 3500ms, alice: {say: "two"}}
"""


@pytest.mark.parametrize(
    "name",
    [
        "the-story",
        "requests-cut-into-single-bytes-are-understood",  # segments
        "one-address-cannot-take-all-rooms",  # IPv6
        "traffic-over-a-limit-is-dropped-and-counted",
        "a-port-that-changes-is-followed",
        "a-handover-loses-no-session",  # several servers
        "messages-between-servers-may-be-lost-and-delayed",
    ],
)
def test_tshark_finds_nothing_wrong_with_the_capture_of_a_scenario(name: str, tmp_path: Path) -> None:
    scenario = (ROOT / "sim" / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
    path = capture(scenario, tmp_path)
    # The heuristics of other protocols would guess at texts and random bytes.
    assert tshark(path, "--disable-heuristic", "rtcp_udp", "-Y", WRONG) == []
    statuses = {status for row in fields(path, "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status")
                for status in row}  # fmt: skip
    assert statuses <= {"1", ""}  # all were verified, and all are good


def test_every_connection_begins_with_a_handshake_and_ends_with_both_fins(tmp_path: Path) -> None:
    path = capture(CUT, tmp_path)
    rows = fields(path, "tcp.stream", "tcp.flags", where="tcp")
    for stream in ("0", "1"):
        flags = [int(flag, 16) for number, flag in rows if number == stream]
        assert flags[:3] == [0x02, 0x12, 0x10]  # SYN, SYN and ACK, ACK
        assert [flag & 1 for flag in flags].count(1) == 2
        assert flags[-1] == 0x10
    assert len({number for number, _ in rows}) == 2


def test_payloads_and_names_are_in_the_capture(tmp_path: Path) -> None:
    path = capture(CUT, tmp_path)
    relays = fields(path, "udp.payload", "ip.dst_host", where="udp.srcport == 9003", options=("-N", "n"))
    assert (b"alice: one".hex(), "bob") in relays


def test_servers_of_a_cluster_have_addresses_of_their_own_and_the_bucket_is_told_of_in_comments(tmp_path: Path) -> None:
    scenario = (ROOT / "sim" / "scenarios" / "a-handover-loses-no-session.yaml").read_text(encoding="utf-8")
    path = capture(scenario, tmp_path)
    data = path.read_bytes()
    for number, server in enumerate("abc", 1):
        assert bytes((10, 255, 255, number)) + server.encode() + b"\0" in data  # the list of names
    talks = set(map(tuple, fields(path, "ip.src", "ip.dst", "udp.srcport", "udp.dstport")))
    assert ("10.255.255.2", "10.255.255.1", "4222", "4222") in talks
    assert b"bucket" in data
    assert {ip for talk in talks for ip in talk[:2]} == {
        f"10.{net}.{at}" for net in ("0.0", "255.255") for at in (1, 2, 3)
    }


def test_a_drop_is_a_comment_on_the_packet_that_was_dropped_and_a_step_on_the_one_that_led_to_it(
    tmp_path: Path,
) -> None:
    path = capture(CUT, tmp_path)
    rows = fields(path, "udp.payload", "frame.comment", where="udp")
    [lost] = [comments for data, comments in rows if data == b"alice: two".hex()]
    assert "network: drops relay from server to bob (udp, 10 bytes, cut)" in lost
    [said] = [comments for data, comments in rows if data.endswith(b"one".hex()) and "relays" not in comments
              and "spoke" in comments]  # fmt: skip
    assert "alice: session alice@lobby stays in-room (spoke, R-IDLE-1)" in said  # what led to it, at the same moment
    assert "server: room lobby stays open (relayed, R-REL-1)" in said
    everything = "\n".join(comments for _, comments in rows)
    assert "network: fault: cut (server>bob)" in everything
    assert "network: fault: heal (server>bob)" in everything


def test_every_record_but_a_sending_is_a_comment_somewhere() -> None:
    played = play_for_a_look(read_scenario_text(CUT, "test.yaml"), None)
    made = Capture(played.header)
    for record in played.records:
        made.add(record)
    made.finish()
    commented = sorted(int(each.split()[0][1:]) for frame in made.frames for each in frame.comments)
    sent = [each.n for each in played.records if each.kind is Kind.SEND]
    assert commented == sorted(set(range(1, len(played.records) + 1)) - set(sent))


def test_without_bytes_the_capture_is_one_of_headers_only(tmp_path: Path) -> None:
    path = capture(CUT, tmp_path, with_bytes=False)
    assert tshark(path, "-Y", "_ws.malformed || tcp.analysis.flags") == []
    rows = fields(path, "frame.len", "frame.cap_len", "udp.length", where="udp && ip.dst == 10.0.0.1")
    assert ("52", "42", "18") in rows  # `alice: one`


# --- what no scenario of the tests shows -------------------------------------------------------------

HEADER = Header(Mode.SIMULATED, cast={"bob": CastMember("bob", "text"), "cat": CastMember("cat", "text", "10.0.0.1")})


def packet(kind: Kind, what: PacketKind, name: str, size: int = 0, link: str = "bob>server") -> PacketRecord:
    """A record of a packet of TCP."""
    source, _, target = link.partition(">")
    return made_records.packet(
        actor=target if kind is Kind.ARRIVE else source,
        bytes=size,
        kind=kind,
        link=link,
        n=0,
        packet=name,
        proto="tcp",
        what=what,
    )


def captured(*records: Record) -> Capture:
    """The capture of these records, a millisecond apart and without causes."""
    made = Capture(HEADER)
    for n, record in enumerate(records, 1):
        made.add(replace(record, n=n, t_us=n * 1000))
    made.finish()
    return made


OPENING = (
    packet(Kind.SEND, PacketKind.OPEN, "bob.join@0s/open"),
    packet(Kind.ARRIVE, PacketKind.OPEN, "bob.join@0s/open"),
    packet(Kind.SEND, PacketKind.OPENED, "bob.join@0s/open/opened", link="server>bob"),
    packet(Kind.ARRIVE, PacketKind.OPENED, "bob.join@0s/open/opened", link="server>bob"),
)


def flags_of(made: Capture) -> list[int]:
    return [frame.frame.data[47] for frame in made.frames]


def test_what_does_not_fit_into_one_segment_is_sent_in_several() -> None:
    size = 2 * SEGMENT_BYTES_MAX + 1
    made = captured(*OPENING, packet(Kind.SEND, PacketKind.REQUEST, "bob.join@0s/open/opened/request", size))
    assert [each.frame.size - 54 for each in made.frames[3:]] == [SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX, 1]
    numbers = [int.from_bytes(each.frame.data[38:42], "big") for each in made.frames[3:]]
    assert (numbers[1] - numbers[0]) % 2**32 == (numbers[2] - numbers[1]) % 2**32 == SEGMENT_BYTES_MAX


def test_a_reset_by_the_scenario_is_seen_from_both_ends_and_only_once() -> None:
    fault = made_records.fault(actor="network", n=0, what="reset", why="all>server, server>bob")
    made = captured(*OPENING, fault, fault)
    assert flags_of(made) == [0x02, 0x12, 0x10, 0x14, 0x14]
    other = captured(*OPENING, made_records.fault(actor="network", n=0, what="reset", why="cat>server"))
    assert flags_of(other) == [0x02, 0x12, 0x10]


def test_a_second_end_of_the_same_stream_is_no_second_fin() -> None:
    name = "bob.join@0s/open/opened/close"
    close = packet(Kind.SEND, PacketKind.CLOSE, name, link="server>bob")
    arrives = packet(Kind.ARRIVE, PacketKind.CLOSE, name, link="server>bob")
    made = captured(*OPENING, close, close, arrives, arrives)
    assert flags_of(made) == [0x02, 0x12, 0x10, 0x11, 0x10]  # nor is it acknowledged twice


def test_users_of_one_address_have_ports_of_their_own() -> None:
    made = captured(
        packet(Kind.SEND, PacketKind.OPEN, "bob.join@0s/open"),
        packet(Kind.SEND, PacketKind.OPEN, "cat.join@0s/open", link="cat>server"),
    )
    assert len({each.frame.data[34:36] for each in made.frames}) == 2


def test_one_packet_has_so_many_comments_and_no_more() -> None:
    step = made_records.step(
        cause=1,
        event=SessionEvent.RELAYED,
        from_=SessionState.IN_ROOM,
        id="x",
        n=0,
        rule=Rule.REL_1,
        to=SessionState.IN_ROOM,
    )
    made = captured(packet(Kind.SEND, PacketKind.OPEN, "bob.join@0s/open"), *[step] * (COMMENTS_MAX + 2))
    assert (len(made.frames[0].comments), made.frames[0].unsaid) == (COMMENTS_MAX, 2)


def test_what_a_timer_brings_about_is_not_said_on_the_packet_that_set_it() -> None:
    made = Capture(HEADER)
    opening = packet(Kind.SEND, PacketKind.OPEN, "bob.join@0s/open")
    made.add(replace(opening, n=1))
    made.add(replace(opening, n=2, t_us=5, packet="cat.join@0s/open", link="cat>server"))
    made.add(made_records.timer(cause=1, n=3, rule=Rule.TCP_5, t_us=9, what=Deadline.HANDSHAKE))
    made.finish()
    assert [len(each.comments) for each in made.frames] == [0, 1]


def test_a_trace_without_packets_is_no_capture() -> None:
    with pytest.raises(NothingToShow):
        write_pcapng(HEADER, [made_records.fault(what="crash")], BytesIO())


def test_listeners_have_ports_of_their_own(tmp_path: Path) -> None:
    scenario = (ROOT / "sim" / "scenarios" / "members-of-all-listeners-share-a-room.yaml").read_text(encoding="utf-8")
    path = capture(scenario, tmp_path)
    ports = {row[0] for row in fields(path, "tcp.dstport", where="tcp.flags == 0x002")}
    assert ports == {"9002", "9004", "9006", "9008", "9010"}
    sources = fields(path, "ip.src", "udp.srcport", where="ip.dst != 10.255.255.254 && udp")
    assert {ip for ip, _ in sources} == {"10.255.255.254"}
    assert {port for _, port in sources} <= {"9003", "9005", "9007", "9009", "9011"}
    assert len(set(sources)) > 1


def test_addresses_of_payloads_are_those_of_the_packet() -> None:
    made = Capture(HEADER, {1: Payload(b"hi", ("10.0.0.77", 5555), ("10.255.255.254", 9003))})
    made.add(replace(packet(Kind.SEND, PacketKind.SAY, "bob.say@0s/say", 2), n=1, proto="udp"))
    [only] = made.frames
    assert only.frame.data[26:30] == bytes((10, 0, 0, 77))
    assert only.frame.data[6:12] != only.frame.data[:6]
