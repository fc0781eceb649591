"""Captures as packets: link layers, fragments, what belongs to somebody else, and where a file ends too early.

What is judged of them is in `tests/judge/test_recorded.py`.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

import dpkt
import pytest

from judge.film import COOKED, ETHERNET, NULL, RAW, Film, opening
from tcrp.judge.recorded import Packet
from tcrp.live.captures import PCAP, PCAPNG, PORTS_NAMED, CannotRead, Capture, is_capture


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return opening().written(tmp_path / "a.pcap")


def packets(path: Path, tcp: int = 9002, udp: int = 9003) -> list[Packet]:
    return list(Capture(path, tcp, udp).packets())


@pytest.mark.parametrize("head", [*PCAP, PCAPNG])
def test_a_capture_is_known_by_how_it_begins(head: bytes) -> None:
    assert is_capture(head + b"more")
    assert not is_capture(head[:3])
    assert not is_capture(b"\0" + head)


@pytest.mark.parametrize("link", [ETHERNET, NULL, RAW, COOKED])
@pytest.mark.parametrize("ng", [False, True])
def test_packets_are_the_same_whatever_is_around_them(link: int, ng: bool, path: Path, tmp_path: Path) -> None:
    film = opening()
    found = packets(film.written(tmp_path / "b", link=link, ng=ng))
    assert [each._replace(at_us=0) for each in found] == [each._replace(at_us=0) for each in packets(path)]


def test_a_datagram_in_fragments_is_one_packet_in_whatever_order_they_come(tmp_path: Path) -> None:
    film = Film()
    film.says("ann", "x" * 3000)
    film.frames.reverse()
    [packet] = packets(film.written(tmp_path / "a.pcap"))
    assert packet.data.endswith(b"x" * 3000)
    assert not packet.is_tcp
    film.frames.pop()
    assert packets(film.written(tmp_path / "b.pcap")) == []


def test_who_gives_other_ports_is_told_which_there_are_the_busiest_first(path: Path) -> None:
    capture = Capture(path, 1, 2)
    assert list(capture.packets()) == []
    assert capture.packets_seen == len(packets(path))
    names = capture.ports_named().split(", ")
    assert sorted(names) == ["TCP 9002", "UDP 9003"]
    assert capture.ports[names[0]] >= capture.ports[names[1]]
    capture.ports = {f"UDP {number}": number for number in range(PORTS_NAMED + 1)}
    assert capture.ports_named().split(", ")[0] == f"UDP {PORTS_NAMED}"
    assert len(capture.ports_named().split(", ")) == PORTS_NAMED


@pytest.mark.parametrize("ng", [False, True])
def test_wherever_a_capture_is_cut_it_is_read_so_far_and_said_to_be_cut(ng: bool, tmp_path: Path) -> None:
    whole = opening().written(tmp_path / "a", ng=ng)
    data, all_of_it = whole.read_bytes(), packets(whole)
    cut = tmp_path / "cut"
    for size in range(40, len(data), 37):
        cut.write_bytes(data[:size])
        capture = Capture(cut, 9002, 9003)
        try:
            found = list(capture.packets())
        except CannotRead:  # in the header
            assert size < 200
            continue
        assert found == all_of_it[: len(found)]
        assert (capture.cut is None) == (cut.stat().st_size in _ends_of_packets(data, ng=ng))


def _ends_of_packets(data: bytes, *, ng: bool) -> set[int]:
    at, ends = (0 if ng else 24), set[int]()
    while at < len(data):
        at += int.from_bytes(data[at + 4 : at + 8], sys.byteorder) if ng else 16 + int.from_bytes(
            data[at + 8 : at + 12], sys.byteorder)  # fmt: skip
        ends.add(at)
    return ends | ({24} if not ng else set())


def test_bytes_that_are_changed_at_random_never_raise_anything_else(path: Path, tmp_path: Path) -> None:
    data, chance, broken = path.read_bytes(), random.Random(8), tmp_path / "broken"  # noqa: S311
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 8)):
            changed[chance.randrange(4, len(changed))] = chance.randrange(256)
        broken.write_bytes(changed)
        with contextlib.suppress(CannotRead):
            packets(broken)


def test_packets_of_which_only_the_beginning_was_captured_are_not_judged(tmp_path: Path) -> None:
    film = Film()
    film.says("ann", "hello")
    [(_, ip)] = film.frames
    for missing in (0, 1):
        with (tmp_path / "a.pcap").open("wb") as file:
            writer = dpkt.pcap.Writer(file, linktype=RAW)
            writer.writepkt(bytes(ip)[: len(bytes(ip)) - missing], 0)
            writer.close()
        if missing:
            with pytest.raises(CannotRead, match=r"packet 1 is not captured whole, but \d+ of \d+ bytes"):
                packets(tmp_path / "a.pcap")
        else:
            assert len(packets(tmp_path / "a.pcap")) == 1


@pytest.mark.parametrize("data", [b"", PCAPNG, PCAP[1], PCAP[0] + b"\0" * 19])
def test_a_header_that_is_not_whole_cannot_be_read(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(CannotRead, match="ends in its header"):
        packets(path)


def test_without_the_library_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dpkt", None)
    with pytest.raises(CannotRead, match="reading captures needs dpkt, which is not installed: pip install dpkt"):
        packets(path)
