"""What stands in the bucket: what is written is read again, and what another application has written is nothing."""

from __future__ import annotations

import pytest

from tcrp.cluster.keys import OWNER, LeaseValue, OwnerValue, key_of, read_lease, read_owner, room_of, write

LEASE = LeaseValue("kin", "a.life.1", is_renewed=True)
GIVEN = OwnerValue("kin", "a.life.1", 7, is_listed=False, is_given=True)


def test_what_is_written_is_read_again() -> None:
    assert read_lease(write(LEASE)) == LEASE
    assert read_owner(write(GIVEN)) == GIVEN
    assert write(GIVEN) == b'["kin", "a.life.1", 7, false, true]'


@pytest.mark.parametrize("room", [b"lobby", b"", bytes(range(256)), "長い部屋".encode()])
def test_a_key_names_its_room(room: bytes) -> None:
    key = key_of(OWNER, room)
    assert room_of(key) == room
    assert key.isascii()
    assert not set(key[len(OWNER) :]) - set("0123456789abcdef")


@pytest.mark.parametrize("key", ["owner.xyz", "owner.6", "state.6162", "node.a"])
def test_a_key_of_something_else_names_none(key: str) -> None:
    assert room_of(key) is None


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"junk", b"\xff", b"{}", b"7", b"[]", b"[" * 100_000, b'["kin"]', b'["kin", "a", 1]',
        b'["kin", 7, true]', b'["kin", "a", 7, true]', b'["kin", "a", "7", true, true]', b'["kin", "a", 7, true, 1]',
        b'[null, "a", 7, true, true]',
    ],
)  # fmt: skip
def test_what_has_another_form_is_nothing(value: bytes | None) -> None:
    assert read_lease(value) is None
    assert read_owner(value) is None


def test_a_lease_is_no_owner() -> None:
    assert read_owner(write(LEASE)) is None
    assert read_lease(write(GIVEN)) is None
