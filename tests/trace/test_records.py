"""Trace lines are JSON with sorted keys, whatever stands in them."""

from __future__ import annotations

import json

import pytest

from tcrp.spec.names import Deadline, Machine, Rule
from tcrp.trace.records import (
    Digest,
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
    Trace,
    header_line,
    token_in_trace,
)

ODD = 'a "quoted" \\ 日本\n\x07'
RECORDS: list[Record] = [
    StepRecord(1, 0, 5, ODD, Machine.SESSION, ODD, "granted", "anonymous", "tokened", Rule.TOK_1, ODD, "0123abcd", 3),
    StepRecord(1, 0, 5, "server", Machine.ROOM, "lobby", "created", "vacant", "open", Rule.ROOM_1, "", "", 1),
    RefusalRecord(1, 0, 5, ODD, Machine.SESSION, ODD, "spoke", "expired", Rule.TOK_4, ODD),
    RefusalRecord(1, 0, 5, "bob", Machine.SESSION, "bob", "spoke", "anonymous", None, "too early"),
    PacketRecord(1, 0, 5, ODD, Kind.DROP, "udp", ODD, ODD, 7, "say", ODD, Rule.TOK_3),
    PacketRecord(1, 0, 5, "bob", Kind.SEND, "tcp", "bob>server", "bob.join#1/open", 0, "open", "", None),
    TimerRecord(1, 0, 5, ODD, Deadline.IDLE, Rule.IDLE_1),
    FaultRecord(1, 0, 5, ODD, ODD, ODD),
    ShowRecord(1, 0, 5, ODD, "relay", ODD, ODD, Rule.SHOW_1),
    ShowRecord(1, 0, 5, "bob", "room_closed", "", "", None),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}")
def test_a_line_is_one_json_object_with_sorted_keys(record: Record) -> None:
    line = record.line()
    assert "\n" not in line
    read = json.loads(line)
    assert list(read) == sorted(read)
    names = {"from_": "from"}
    for field, value in record._asdict().items():
        key = names.get(field, field)
        if key in read:
            assert read[key] == value
        else:
            assert value in ("", None)


def test_records_are_numbered_and_digested_in_order() -> None:
    trace, digest = Trace(), Digest()
    trace.listeners.append(digest)
    empty = digest.hexdigest()
    assert trace.add(FaultRecord(1, 0, 0, "server", "crash", "")) == 1
    assert digest.hexdigest() != empty
    with pytest.raises(AssertionError, match="numbered in the order"):
        trace.add(FaultRecord(7, 0, 0, "server", "crash", ""))


def test_a_token_appears_as_eight_digits_of_its_hash() -> None:
    assert token_in_trace(b"secret") == "2bb80d53"


def test_the_header_is_json_too() -> None:
    assert json.loads(header_line(scenario="日本.yaml", seed=3)) == {
        "schema": "tcrp-trace/1",
        "scenario": "日本.yaml",
        "seed": 3,
    }
