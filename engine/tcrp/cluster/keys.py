"""The bucket's keys, and what processes write into them. What is of another form was written by strangers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

NODE = "node."
"""A process's lease, by its name: `[kin, address, is_renewed]`."""
OWNER = "owner."
"""Whose a room is, by the room's name in hexadecimal: `[kin, address, fence, is_listed, is_given]`."""
STATE = "state."
"""What is saved of a room, by the room's name in hexadecimal: see `tcrp.cluster.snapshots`."""
FORM = 2
"""Counts the forms that these values have had. It is a part of `kin`."""


class LeaseValue(NamedTuple):
    """`kin` is a process's version and settings. A claim that was granted is renewed at once: `is_renewed`."""

    kin: str
    address: str
    is_renewed: bool


class OwnerValue(NamedTuple):
    """`fence` is 0 where the revision of the key is the fencing number. `is_given`: the owner before has written it."""

    kin: str
    address: str
    fence: int
    is_listed: bool
    is_given: bool


def key_of(prefix: str, room: bytes) -> str:
    """The key of a room."""
    return prefix + room.hex()


def room_of(key: str) -> bytes | None:
    """The room of an `OWNER` key, or None."""
    try:
        return bytes.fromhex(key.removeprefix(OWNER))
    except ValueError:
        return None


def write(value: LeaseValue | OwnerValue) -> bytes:
    """The bytes of a value."""
    return json.dumps(value).encode()


def read_lease(value: bytes | None) -> LeaseValue | None:
    """What stands in the key of a process, or None."""
    match _list(value):
        case [str(kin), str(address), bool(is_renewed)]:
            return LeaseValue(kin, address, is_renewed)
    return None


def read_owner(value: bytes | None) -> OwnerValue | None:
    """What stands in the key of a room, or None."""
    match _list(value):
        case [str(kin), str(address), int(fence), bool(is_listed), bool(is_given)]:
            return OwnerValue(kin, address, fence, is_listed, is_given)
    return None


def _list(value: bytes | None) -> list[Any] | None:
    try:
        found = json.loads(value or b"null")
    except (ValueError, RecursionError):  # the latter: brackets within brackets without an end
        return None
    return found if isinstance(found, list) else None
