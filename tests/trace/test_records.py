"""Trace lines are JSON with sorted keys, whatever stands in them."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from msgspec.structs import asdict

from tcrp.trace.records import Record, token_in_trace
from trace_samples import RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}")
def test_a_line_is_one_json_object_with_sorted_keys(record: Record) -> None:
    line = record.line()
    assert "\n" not in line
    read = json.loads(line)
    assert list(read) == sorted(read)
    names = {"from_": "from"}
    for field, value in asdict(record).items():
        key = names.get(field, field)
        if key in read:
            assert read[key] == value
        else:
            assert value in ("", None)


@pytest.mark.parametrize("record", get_args(Record), ids=lambda record: record.__name__)
def test_the_keys_of_every_record_are_sorted_where_all_are_written(record: type[Record]) -> None:
    assert list(record.__struct_encode_fields__) == sorted(record.__struct_encode_fields__)


def test_a_token_appears_as_eight_digits_of_its_hash() -> None:
    assert token_in_trace(b"secret") == "2bb80d53"
