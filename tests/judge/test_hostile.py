"""Hostile probes: a server that follows the rules bears them, and each that does not is found by the datagram."""

from __future__ import annotations

import pytest

from judge.memory_ground import MemoryGround, broken, found, outcomes
from planting import Planted
from tcrp.engine.outputs import Address, Relay, SendDatagram, StreamId
from tcrp.engine.server import Outputs
from tcrp.judge.hostile import PROBES
from tcrp.judge.probe import Probe
from tcrp.judge.verdicts import Outcome
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import PacketKind, Rule

BY_NAME = {each.name: each for each in PROBES}


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_our_server_breaks_nothing_in_any_dialect(probe: Probe, dialect: str) -> None:
    findings = found(probe, MemoryGround(dialects=[dialect]), dialect)
    assert {each.outcome for each in findings} == {Outcome.HOLDS}
    assert {each.rule for each in findings} == set(probe.rules)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "after an empty datagram"),
        (b"\x05", "after a single byte"),
        (b"\xff\xff", "after two bytes, which promise more"),
        (b"\x00\x01\xff", "after a token of one byte"),
        (b"\xc8\xc8short", "after lengths beyond the end"),
        (b"\x00\x00hello", "after no room and no token"),
        (bytes(4096), "after 4096 zero bytes"),
    ],
)
def test_a_server_that_dies_of_a_malformed_datagram_is_found_with_it(data: bytes, what: str) -> None:
    class Dies(Planted):
        is_dead = False

        def receive_datagram(self, heard: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            self.is_dead = self.is_dead or heard == data
            return [] if self.is_dead else super().receive_datagram(heard, source, now_us, listener)

    said = broken(found(BY_NAME["malformed datagrams"], MemoryGround(Dies)))
    assert said == {Rule.UDP_3: f"{what}, nothing is relayed any more"}


def test_an_answer_to_a_malformed_datagram_is_found() -> None:
    class Answers(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            if len(data) < 2:
                return [SendDatagram(b"what?", source, PacketKind.NOTICE)]
            return super().receive_datagram(data, source, now_us, listener)

    said = broken(found(BY_NAME["malformed datagrams"], MemoryGround(Answers)))
    assert said == {Rule.UDP_3: "an empty datagram is answered: b'what?'"}


@pytest.mark.parametrize(("most", "outcome"), [(2, Outcome.BROKEN), (3, Outcome.HOLDS), (12, Outcome.BROKEN)])
def test_a_session_ends_by_rejected_datagrams_at_the_third_and_not_before(most: int, outcome: Outcome) -> None:
    """`most`: how many the server bears."""

    class Bears(Planted):
        rejected = 0

        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            if b"elsewhere" not in data:
                self.rejected = 0
                return super().receive_datagram(data, source, now_us, listener)
            self.rejected += 1
            outputs: Outputs = []
            if self.rejected == most:
                for _ in range(3):
                    outputs += super().receive_datagram(data, source, now_us, listener)
            return outputs

    assert outcomes(found(BY_NAME["rejected in a row"], MemoryGround(Bears))) == {Rule.IDLE_2: outcome}


def test_an_oversized_datagram_that_is_relayed_is_found() -> None:
    class Relays(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            if len(data) <= 4096:
                return super().receive_datagram(data, source, now_us, listener)
            others = [each.address for each in self.engine.freeze().sessions if each.address not in (None, source)]
            text = b"ann: " + data[data.index(b"oversize") :]
            return [Relay(text[:4094], [each for each in others if each is not None], PacketKind.RELAY)]

    said = broken(found(BY_NAME["oversize datagram"], MemoryGround(Relays)))
    assert said == {Rule.UDP_1: "a datagram of more than 4096 bytes is relayed, in 4094"}


def test_a_request_of_which_the_server_dies_is_found_with_it() -> None:
    class Dies(Planted):
        is_dead = False

        def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
            self.is_dead = self.is_dead or b"HTTP" in data
            return [] if self.is_dead else super().receive_stream(stream, data, now_us)

    said = broken(found(BY_NAME["rubbish over TCP"], MemoryGround(Dies)))
    assert list(said) == [Rule.LIM_1]
    assert said[Rule.LIM_1].startswith("after a request with HTTP, others are not served")


def test_a_server_that_takes_no_connection_after_rubbish_is_found() -> None:
    grounds: list[MemoryGround] = []

    class Dies(Planted):
        def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
            grounds[0].is_dead = grounds[0].is_dead or data[1:2] == b"\x09"
            return super().receive_stream(stream, data, now_us)

    grounds.append(MemoryGround(Dies))
    said = broken(found(BY_NAME["rubbish over TCP"], grounds[0]))
    assert list(said) == [Rule.LIM_1]
    assert said[Rule.LIM_1].startswith("after a request with operation 9, others are not served: no connection")


def test_a_flood_of_which_all_is_dropped_harms_nobody_and_one_that_deafens_is_open() -> None:
    class Deafened(Planted):
        heard = 0

        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            self.heard += b"flood" in data
            return [] if self.heard else super().receive_datagram(data, source, now_us, listener)

    [finding] = found(BY_NAME["flood"], MemoryGround(Deafened))
    assert (finding.outcome, finding.inconclusive) == (Outcome.NOT_TESTED, True)
