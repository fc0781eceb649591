"""A room in bytes: there and back at another process, and refused with a reason if it is anything else."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation import Chat
from tcrp.cluster import snapshots
from tcrp.cluster.snapshots import NotRead, fence_of, read, with_fence, write
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address
from tcrp.engine.state import ServerState
from tcrp.spec.names import Operation

GATEWAYS = [("a", 0), ("b", 0), ("b", 1)]  # by this process's numbers of listeners


def room_of_everything() -> ServerState:
    """A room with members of two dialects, one who has ended, one who is joining, and all that is counted in it."""
    chat = Chat(texts_per_second_max=3, linger=30_000_000)
    alice = chat.user("alice", "json").creates("lobby", "sesame")
    carol = chat.user("carol", "json-endpoint").joins("lobby", "sesame")
    chat.user("bob", "json-endpoint").joins("lobby", "sesame")
    chat.user("erin", "json").joins("lobby", "guess")
    alice.says("hi")
    carol.sends(b"\xff")
    chat.server.remove("carol", "lobby", chat.now_us)
    dave = chat.peer()
    wait = codec("json").write_request(Operation.JOIN, b"lobby", "dave", "sesame", "10.9.0.1", 5000)
    dave.sends(wait, wake=False)
    state = chat.server.freeze_room(b"lobby")
    assert state.sessions
    assert state.ended
    assert state.handshakes
    assert state.timers
    assert state.rooms[0].wrong_passwords
    [handshake] = state.handshakes
    timers = tuple(replace(each, subject=17) if each.subject == handshake.stream else each for each in state.timers)
    return replace(state, handshakes=(replace(handshake, stream=17),), timers=timers)  # as a process numbers streams


A, B, C = "a.1f.1", "b.2f.1", "c.3f.4"
STATE = room_of_everything()
SAVED = write(STATE, 7, GATEWAYS.__getitem__, A)


def numbered(gateway: str, number: int) -> int:
    return GATEWAYS.index((gateway, number))


def test_a_room_is_read_as_it_was_written() -> None:
    assert read(SAVED, numbered, A) == STATE


def test_a_process_knows_its_streams_under_each_of_its_leases_and_none_of_another_life() -> None:
    [stream] = [each.stream for each in STATE.handshakes]
    assert read(SAVED, numbered, "a.1f.2").handshakes[0].stream == stream
    assert read(SAVED, numbered, "a.4f.1").handshakes[0].stream == (A, stream)


def test_another_process_numbers_listeners_and_streams_in_its_own_way() -> None:
    elsewhere = read(SAVED, lambda gateway, number: 10 * "ab".index(gateway) + number + 5, B)
    assert {each.listener for each in elsewhere.sessions} == {5}
    assert {listener for room in elsewhere.rooms for _, listener, _ in room.fanout_groups} == {5}
    [handshake] = elsewhere.handshakes
    assert handshake.stream == (A, STATE.handshakes[0].stream)
    of_streams = {each.subject for each in elsewhere.timers if each.kind in snapshots.STREAM_DEADLINES}
    assert of_streams == {handshake.stream}
    saved = write(elsewhere, 8, lambda listener: ("a", listener - 5), B)
    assert read(saved, numbered, A) == STATE


def test_a_foreign_stream_keeps_its_gateway() -> None:
    foreign = replace(STATE, handshakes=(replace(STATE.handshakes[0], stream=(C, 9)),), timers=())
    saved = write(foreign, 7, GATEWAYS.__getitem__, A)
    assert read(saved, numbered, A).handshakes[0].stream == (C, 9)
    assert read(saved, numbered, C).handshakes[0].stream == 9


def test_addresses_are_addresses_again() -> None:
    found = [each.address for each in read(SAVED, numbered, A).sessions if each.address is not None]
    assert found
    assert all(isinstance(each, Address) for each in found)


# --- the fencing number --------------------------------------------------------------------------


@pytest.mark.parametrize("fence", [0, 1, 10**18])
def test_a_fencing_number_is_changed_without_reading_the_state(fence: int) -> None:
    again = with_fence(SAVED, fence)
    assert (fence_of(SAVED), fence_of(again)) == (7, fence)
    assert read(again, numbered, A) == STATE


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"junk", b"junk\n", b"f" * 16 + b"\n", b"f" * 16 + b" -1\n", b"f" * 16 + b" 1 2\n",
     b"f" * 15 + b" 1\n", b"f" * 16 + b" " + b"9" * 20 + b"\n", b"f" * 16 + b" 7"],
)  # fmt: skip
def test_what_is_no_snapshot_has_no_fencing_number_and_stays_as_it_is(data: bytes) -> None:
    assert (fence_of(data), with_fence(data, 9)) == (0, data)
    with pytest.raises(NotRead, match="no snapshot"):
        read(data, numbered, A)


def test_that_of_another_version_is_known_all_the_same() -> None:
    other = b"f" * 16 + SAVED[16:]
    assert (fence_of(other), fence_of(with_fence(other, 9))) == (7, 9)
    with pytest.raises(NotRead, match=r"of another version \(f{16}; this one is [0-9a-f]{16}\)"):
        read(other, numbered, A)


# --- what is damaged -----------------------------------------------------------------------------


def test_every_cut_is_refused() -> None:
    for at in range(0, len(SAVED), 7):
        with pytest.raises(NotRead):
            read(SAVED[:at], numbered, A)


@given(st.integers(0, len(SAVED) - 1), st.integers(1, 255))
def test_every_changed_byte_is_refused_or_was_of_the_fencing_number(at: int, by: int) -> None:
    changed = SAVED[:at] + bytes(((SAVED[at] + by) % 256,)) + SAVED[at + 1 :]
    try:
        state = read(changed, numbered, A)
    except NotRead:
        return
    assert state == STATE


PARTS = json.loads(zlib.decompress(SAVED.partition(b"\n")[2]))


@pytest.mark.parametrize("parts", [None, 7, {}, [], PARTS[:-1], [*PARTS, 0], [[["x"]], *PARTS[1:]], [7] * len(PARTS)])
def test_values_of_another_shape_are_refused(parts: object) -> None:
    body = zlib.compress(json.dumps(parts).encode())
    with pytest.raises(NotRead, match="cannot be read"):
        read(SAVED.partition(b"\n")[0] + b"\n" + body, numbered, A)
