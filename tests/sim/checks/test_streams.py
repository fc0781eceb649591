"""What an end of a connection reads, compared with what the other sent: byte for byte, and then its end."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Address
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.streams import StreamChecks
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import PacketKind, Property

CLOSE, RESET, STREAM = PacketKind.CLOSE, PacketKind.RESET, PacketKind.STREAM
Piece = bytes | PacketKind


class Wire:
    """A connection whose pieces are handed to the checks by hand."""

    def __init__(self) -> None:
        run = Run(read_scenario_text("claim: a\nusers: {ann: {}}\nscript:\n  - {at: 0s, ann: {create: lobby}}\n"))
        self.results = CheckResults(run.world, frozenset())
        self.checks = StreamChecks(self.results)
        self.origin = Origin("test", 0)
        address = Address("10.0.0.1", 1)
        ann = run.hosts.users["ann"]
        self.connection = Connection(run.tcp, "ann#1", ann, run.server, address, self.origin, 0)

    def sends(self, *pieces: Piece, down: bool = False) -> Wire:
        for piece in pieces:
            what, data = (STREAM, piece) if isinstance(piece, bytes) else (piece, b"")
            self.checks.sent(self.connection.down if down else self.connection.up, what, data)
        return self

    def reads(self, *pieces: Piece, down: bool = False) -> bool:
        """Whether that is what was sent."""
        pipe = self.connection.down if down else self.connection.up
        for piece in pieces:
            what, data = (STREAM, piece) if isinstance(piece, bytes) else (piece, b"")
            address = self.connection.client_address
            packet = Packet(self.origin, pipe.link, what, data, address, address, proto="tcp")
            self.checks.read(self.connection, pipe, packet)
        assert self.results.judged[Property.STREAMS_KEEP_ORDER]
        return self.results.violation is None


@pytest.mark.parametrize(
    "pieces", [(b"abcdef", CLOSE), (b"a", b"bcd", b"ef", CLOSE), (b"abc",), (b"ab", RESET), (b"", b"abc")]
)
def test_bytes_may_come_in_other_pieces_and_a_reset_at_any_moment(pieces: tuple[Piece, ...]) -> None:
    assert Wire().sends(b"abc", b"def", CLOSE).reads(*pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"def", b"abc"),
        (b"abc", b"abc"),
        (b"abd",),
        (b"bcdef",),
        (b"abcdefg",),
        (b"abcde", CLOSE),
        (CLOSE, b"abcdef"),
    ],
)
def test_other_bytes_or_another_order_are_found(pieces: tuple[Piece, ...]) -> None:
    assert not Wire().sends(b"abc", b"def", CLOSE).reads(*pieces)


def test_an_end_that_nobody_sent_is_found() -> None:
    assert not Wire().sends(b"abc").reads(b"abc", CLOSE)


def test_bytes_behind_the_end_are_found_though_they_were_sent() -> None:
    assert not Wire().sends(b"abc", CLOSE, b"d").reads(b"abc", CLOSE, b"d")


def test_each_direction_is_a_stream_of_its_own() -> None:
    wire = Wire().sends(b"up").sends(b"down", down=True)
    assert wire.reads(b"down", down=True)
    assert wire.reads(b"up")
    assert not wire.reads(b"up")
    assert wire.results.violation is not None
    assert wire.results.violation.what == (
        "server read stream after 2 bytes of ann#1, which are not the bytes sent there"
    )


def test_a_connection_that_is_forgotten_begins_anew() -> None:
    wire = Wire().sends(b"abc").sends(b"x", down=True)
    assert wire.reads(b"ab")
    wire.checks.forget(wire.connection)
    assert wire.sends(b"z").reads(b"z")
    assert not wire.reads(b"x", down=True)
