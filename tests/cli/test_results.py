"""Files of results: written and read back whole, and told from files of another kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcrp.cli import results as results_module
from tcrp.cli.exits import OutputLost
from tcrp.cli.results import Results, read_results, write_results

ALL = Results(
    "日本 <b>", "swarm", 1.5, 3, 7, ("one", "two"), (("events", 2.0, "1/s"),), {"a b c": 1}, {"d": 2}, {"R-X": 0},
    {"machine": "x86_64"},
)  # fmt: skip


@pytest.mark.parametrize("results", [ALL, Results("x", "benchmark", 0.0)])
def test_what_is_written_is_read_back(results: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "r.json", results)
    assert read_results(tmp_path / "r.json") == results


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": 3}', '{"schema": "tcrp-trace/1"}', "[" * 100_000])
def test_a_file_of_another_kind_is_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    assert read_results(tmp_path / "r.json") is None


def test_a_file_that_is_not_utf8_or_too_long_is_passed_over_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    file.write_bytes(b'"\xff"')
    assert read_results(file) is None
    write_results(file, ALL)
    monkeypatch.setattr(results_module, "BYTES_MAX", file.stat().st_size)
    assert read_results(file) == ALL
    monkeypatch.setattr(results_module, "BYTES_MAX", file.stat().st_size - 1)
    assert read_results(file) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "tcrp-results/2"}, "of another version; this one reads tcrp-results/1"),
        ({"rows": {"a": 1.5}}, "a count is a whole number"),
        ({"rows": {"a": True}}, "a count is a whole number"),
        ({"machine": {"cores": 2}}, "what is said of the machine is text"),
        ({"figures": [["a", "fast", "s"]]}, "could not convert"),
        ({"extra": 1}, "unexpected keyword argument"),
    ],
)
def test_what_cannot_be_understood_is_said_with_the_reason(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "r.json"
    write_results(file, ALL)
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_results(file)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputLost, match="the results cannot be written: Is a directory"):
        write_results(tmp_path, ALL)
