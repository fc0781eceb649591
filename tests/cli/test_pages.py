"""The pages that are written beside a run: what they say of it, and of a run of which only the end is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli import pages
from tcrp.cli.exits import OutputLost
from tcrp.cli.pages import write_failure_page, write_page
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.swarm.failures import Failure
from tcrp.trace.records import Record

CUT = Path(__file__).parents[2] / "examples" / "cut.yaml"
FAILURE = Failure("ZeroDivisionError in rooms.remove", "by hand, of <b>bob</b>")
Played = tuple[Verdict, list[Record]]


def play(file: Path) -> Played:
    records: list[Record] = []
    return Run(read_scenario(file), listeners=[records.append]).go(), records


@pytest.fixture(scope="module")
def holds() -> Played:
    return play(CUT)


@pytest.fixture
def fails(tmp_path: Path) -> Played:
    file = tmp_path / "fails.yaml"
    file.write_text(CUT.read_text(encoding="utf-8").replace("count: 1", "count: 2"), encoding="utf-8")
    return play(file)


def test_a_page_has_the_claim_the_verdict_and_the_source(holds: Played, tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", *holds)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "✔ holds" in page
    assert "a text sent while bob is cut off never reaches bob" in page
    assert "can you hear me?" in page


def test_a_scenario_that_has_gone_meanwhile_leaves_the_page_without_a_source(fails: Played, tmp_path: Path) -> None:
    verdict, records = fails
    write_page(tmp_path / "with.html", verdict, records)
    Path(verdict.scenario.path).unlink()
    write_page(tmp_path / "without.html", verdict, records)
    sizes = [(tmp_path / name).stat().st_size for name in ("with.html", "without.html")]
    assert sizes[0] > sizes[1]
    assert "✗ does not hold" in (tmp_path / "without.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_lost_output_with_its_place(holds: Played, tmp_path: Path) -> None:
    with pytest.raises(OutputLost, match="the page cannot be written: Is a directory"):
        write_page(tmp_path, *holds)


def test_a_run_without_a_record_has_a_page(holds: Played, tmp_path: Path) -> None:
    write_page(tmp_path / "empty.html", holds[0], [])
    write_failure_page(tmp_path / "fault.html", holds[0].scenario, FAILURE, None, [], "")
    assert FAILURE.kind in (tmp_path / "fault.html").read_text(encoding="utf-8")


def test_what_our_own_code_raised_is_told_as_text_and_not_as_markup(holds: Played, tmp_path: Path) -> None:
    write_failure_page(tmp_path / "a.html", holds[0].scenario, FAILURE, None, holds[1], "claim: x")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert FAILURE.kind in page
    assert "<b>bob</b>" not in page


def test_a_failed_run_is_told_by_its_verdict_only_if_all_of_it_is_there(fails: Played, tmp_path: Path) -> None:
    verdict, records = fails
    for name, kept in (("whole", records), ("end", records[1:])):
        write_failure_page(tmp_path / name, verdict.scenario, FAILURE, verdict, kept, "")
    whole, end = ((tmp_path / name).read_text(encoding="utf-8") for name in ("whole", "end"))
    assert "nearest:" in whole
    assert FAILURE.kind not in whole
    assert "nearest:" not in end
    assert FAILURE.kind in end


@pytest.mark.parametrize("more", [0, 1])
def test_of_a_run_that_is_longer_than_a_page_the_first_records_are_left_out(
    holds: Played, more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, records = holds
    write_page(tmp_path / "all.html", verdict, records)
    monkeypatch.setattr(pages, "RECORDS_MAX", len(records) - more)
    write_page(tmp_path / "few.html", verdict, records)
    whole, few = ((tmp_path / name).read_bytes() for name in ("all.html", "few.html"))
    assert (whole == few) == (more == 0)
