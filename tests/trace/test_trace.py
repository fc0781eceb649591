"""Records are numbered, handed to listeners, and digested in their order."""

from __future__ import annotations

import hashlib

import pytest

import made_records as made
from tcrp.trace.trace import RECORDS_AT_ONCE, Digest, Trace


def test_records_are_numbered_and_digested_in_order() -> None:
    trace, digest = Trace(), Digest()
    trace.listeners.append(digest)
    empty = digest.hexdigest()
    assert trace.add(made.fault(what="crash")) == 1
    assert digest.hexdigest() != empty
    with pytest.raises(AssertionError, match="numbered in the order"):
        trace.add(made.fault(n=7, what="crash"))


@pytest.mark.parametrize("count", [0, 1, RECORDS_AT_ONCE, RECORDS_AT_ONCE + 1])
def test_the_digest_is_that_of_the_lines_however_many_there_are(count: int) -> None:
    digest = Digest()
    lines = hashlib.sha256()
    for n in range(1, count + 1):
        record = made.fault(n=n, t_us=n, what="crash", why="日本\n")
        digest(record)
        lines.update(f"{record.line()}\n".encode())
    assert digest.hexdigest() == digest.hexdigest() == lines.hexdigest()
