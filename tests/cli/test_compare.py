"""Where two traces part, and whether a run is the same twice."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from msgspec.structs import replace

import made_records as made
from tcrp.cli.compare import CAUSES_SHOWN, COMMON_SHOWN, determinism, diff, read_records
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OUTPUT_LOST, UsageError
from tcrp.trace.header import Header, Mode
from tcrp.trace.records import Record
from trace_samples import RECORDS, numbered

Said = pytest.CaptureFixture[str]


def written(path: Path, records: list[Record]) -> str:
    path.write_text("".join(f"{each.line()}\n" for each in (Header(mode=Mode.SIMULATED), *records)), encoding="utf-8")
    return str(path)


def chain(length: int, what: str = "cut") -> list[Record]:
    """Records of which each is the cause of the next."""
    return numbered([made.fault(actor="network", t_us=5, what=what, why="日本")] * length)


def test_two_traces_without_records_are_the_same(tmp_path: Path, capsys: Said) -> None:
    a, b = written(tmp_path / "a", []), written(tmp_path / "b", [])
    assert diff(a, b) == diff(a, a) == HOLDS
    assert capsys.readouterr().out == "the same 0 records\n" * 2


def test_traces_that_differ_from_the_first_record_on_have_nothing_in_common_to_show(
    tmp_path: Path, capsys: Said
) -> None:
    assert diff(written(tmp_path / "a", chain(1)), written(tmp_path / "b", chain(1, "heal"))) == DOES_NOT_HOLD
    said = capsys.readouterr().out
    assert said.startswith("the same up to record 0; then they part:\n")
    assert "they differ in: what\n" in said


def test_the_latest_common_records_and_the_nearest_causes_are_shown(tmp_path: Path, capsys: Said) -> None:
    same = chain(20)
    other = replace(same[-1], what="heal")
    assert diff(written(tmp_path / "a", same), written(tmp_path / "b", [*same[:-1], other])) == DOES_NOT_HOLD
    table, *told = capsys.readouterr().out.split("what led there in ")
    assert [line.split()[0] for line in table.splitlines()[2:-1]] == [*map(str, range(20 - COMMON_SHOWN, 21))]
    for each in told:
        assert len(each.splitlines()) == 1 + CAUSES_SHOWN
        assert "19  " in each


def test_records_of_two_kinds_are_shown_and_no_field_compared(tmp_path: Path, capsys: Said) -> None:
    a, b = (numbered([record]) for record in (RECORDS[0], RECORDS[8]))
    assert diff(written(tmp_path / "a", a), written(tmp_path / "b", b)) == DOES_NOT_HOLD
    assert "they differ in" not in capsys.readouterr().out


def test_a_file_that_is_missing_or_points_ahead_is_a_mistake_with_its_name(tmp_path: Path) -> None:
    good = written(tmp_path / "good", chain(2))
    with pytest.raises(UsageError, match="missing: cannot be read: No such file"):
        diff(good, str(tmp_path / "missing"))
    ahead = written(tmp_path / "ahead", [replace(chain(1)[0], cause=7)])
    with pytest.raises(UsageError, match=r"as it is called:2:28: cause is 7"):
        list(read_records(ahead, "as it is called"))


def test_a_scenario_is_no_trace_and_can_become_one(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("claim: nothing\n")
    with pytest.raises(UsageError, match=rf"{scenario}: not a trace; chat-sim run {scenario} --trace FILE writes one"):
        list(read_records(str(scenario), str(scenario)))


def test_a_scenario_that_cannot_be_read_is_not_compared(tmp_path: Path, capsys: Said) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("claim: x\nscirpt: []\n")
    assert determinism([wrong]) == CANNOT
    assert capsys.readouterr().err.startswith(f"chat-sim: {wrong}:2:1: unknown key 'scirpt'")


def test_a_run_whose_trace_is_lost_is_not_compared_either(tmp_path: Path, capsys: Said) -> None:
    file = tmp_path / "right.yaml"
    file.write_text("claim: x\nscript:\n  - {at: 0s, alice: {create: lobby}}\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))  # as if the disk were full; processes inherit it
    try:
        assert determinism([file]) == OUTPUT_LOST
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write the trace: File too large" in capsys.readouterr().err
