"""Fingerprints of states: 64 bits each, the same in every process, and how likely two states share one."""

from __future__ import annotations

import marshal
from hashlib import blake2b
from math import expm1
from typing import Any

BITS = 64

# Later versions of the format write one reference for two equal parts that are the same object: equal values
# would then have different bytes.
_MARSHAL_VERSION = 2


def fingerprint(value: Any) -> int:
    """64 bits of a value made of tuples, frozensets of one element at most, integers, bytes and texts.

    Raises `ValueError` for other values.
    """
    return int.from_bytes(blake2b(marshal.dumps(value, _MARSHAL_VERSION), digest_size=BITS // 8).digest(), "little")


def collision_odds(states: int) -> float:
    """How likely it is that two of so many states shared a fingerprint, so that one was not visited."""
    return -expm1(-states * (states - 1) / 2 ** (BITS + 1))
