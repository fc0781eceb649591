"""`chat-sim report`: one page and JUnit XML about a folder, as a user and a CI system meet them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OUTPUT_LOST
from tcrp.cli.results import Results, read_results, write_results
from tcrp.cli.sim import main
from tcrp.view.report import Case, Figure, Outcome, Report, junit, report_page

CUT = Path(__file__).parents[2] / "examples" / "cut.yaml"
FALSE = "claim: nobody comes\nscript:\n  - {at: 0s, alice: {create: lobby}}\nexpect:\n  - {alice: {state: anonymous}}\n"
EVIL = "</td><script>alert(1)</script>'\"&\x07"


def full(folder: Path) -> Path:
    """A folder with one of each: what holds, what does not, what cannot be read, a trace, a bundle, results."""
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "cut.yaml").write_bytes(CUT.read_bytes())
    (folder / "false.yaml").write_text(FALSE, encoding="utf-8")
    (folder / "wrong.yaml").write_text("claims: x\n", encoding="utf-8")
    main(["run", str(CUT), "--format", "quiet", "--trace", str(folder / "cut.jsonl")])
    (folder / "torn.jsonl").write_bytes((folder / "cut.jsonl").read_bytes()[:-9])
    bundle = folder / "relay-at-most-once-seed-7"
    bundle.mkdir()
    for name, text in (
        ("README.txt", "relay-at-most-once: bob read it twice\n"),
        ("scenario.yaml", FALSE),
        ("shrunk.html", "<!doctype html>"),
    ):
        (bundle / name).write_text(text, encoding="utf-8")
    rows = {"session anonymous granted": 12_345}
    write_results(
        folder / "bench.json",
        Results("a bench", "benchmark", 2.5, figures=(("speed", 30.0, "per s"),), rows=rows, machine={"build": "pure"}),
    )
    (folder / "other.json").write_text("[1]", encoding="utf-8")
    return folder


def test_a_folder_with_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = full(tmp_path / "runs")
    assert main(["report", str(folder)]) == DOES_NOT_HOLD
    said = capsys.readouterr().out
    assert "3 of 7 passed" in said
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("✗ 4 of 7 failed", "expected {alice: {state: anonymous}}", "relay-at-most-once: bob read it twice",
                  'href="relay-at-most-once-seed-7/shrunk.html"', "torn.jsonl", "12k", "a bench", "per s",
                  "<td>pure</td>"):  # fmt: skip
        assert words in page
    [link] = re.findall(r'<a href="(report-pages/[^"]+)">page', page)
    assert "✗ does not hold" in (folder / link).read_text(encoding="utf-8")
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    suite = ElementTree.parse(folder / "report.xml").getroot()  # noqa: S314 (our own)
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "7",
        "failures": "2",
        "errors": "2",
    }
    [failure] = suite.findall("testcase[@name='false.yaml']/failure")
    assert "replay: chat-sim run" in str(failure.text)
    # a second time: its own pages are not taken for content
    assert main(["report", str(folder)]) == DOES_NOT_HOLD
    assert "3 of 7 passed" in capsys.readouterr().out


def test_a_folder_in_which_everything_holds(tmp_path: Path) -> None:
    (tmp_path / "cut.yaml").write_bytes(CUT.read_bytes())
    files = [tmp_path / "out" / name for name in ("x.html", "y.xml")]
    files[0].parent.mkdir()
    assert main(["report", str(tmp_path), "-o", str(files[0]), "--junit", str(files[1])]) == HOLDS
    assert "✔ all 1 passed" in files[0].read_text(encoding="utf-8")
    assert ElementTree.parse(files[1]).getroot().get("failures") == "0"  # noqa: S314


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["absent"], CANNOT, "absent: there is no such folder"),
        (["{tmp}/cut.yaml"], CANNOT, "cut.yaml: a file; a report is of a folder"),
        (["{tmp}", "-o", "{tmp}/x.xml"], CANNOT, "x.xml: the page and the JUnit XML need two files"),
        (
            ["{tmp}", "-o", "{tmp}/x", "--junit", "{tmp}/empty/../x"],
            CANNOT,
            "the page and the JUnit XML need two files",
        ),
        (["{tmp}/empty"], CANNOT, "there is nothing to report"),
        (["{tmp}", "-o", "{tmp}/absent/x.html"], OUTPUT_LOST, "x.html: cannot be written"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.yaml").write_bytes(CUT.read_bytes())
    assert main(["report", *(word.replace("{tmp}", str(tmp_path)) for word in words)]) == code
    assert message in capsys.readouterr().err


def test_nothing_in_a_report_is_markup() -> None:
    case = Case(EVIL, EVIL, Outcome.FAILS, (EVIL,), 1.0, 3, EVIL, EVIL)
    report = Report(EVIL, [case], [Figure(EVIL, EVIL, 1.0, EVIL)], {("session", "tokened", "left"): 0})
    page = report_page(report)
    assert "<script" not in page
    assert "</td><s" not in page
    [found] = ElementTree.fromstring(junit(report)).findall("testcase")  # noqa: S314
    assert found.get("name") == EVIL.replace("\x07", ""), "XML has no control characters"


def test_a_swarm_writes_results_that_a_report_reads(tmp_path: Path) -> None:
    results = tmp_path / "swarm.json"
    swarm = ["swarm", "--runs", "3", "--jobs", "1", "--bundles", str(tmp_path / "b"), "--results", str(results)]
    assert main(swarm) == HOLDS
    read = read_results(results)
    assert read is not None
    assert (read.runs, read.failures) == (3, ())
    assert read.rows is not None
    assert read.rows["session anonymous granted"] > 0
    assert main(["report", str(tmp_path)]) == HOLDS
    assert "3 scenarios from seed 0" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "change", [{"schema": "tcrp-results/2"}, {"figures": [1]}, {"extra": 1}, {"rows": 3}, {"rules": {"R-X": "many"}}]
)
def test_results_that_cannot_be_understood_are_an_error(change: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    write_results(file, Results("x", "benchmark", 1.0))
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    assert main(["report", str(tmp_path)]) == DOES_NOT_HOLD
    assert "r.json" in (tmp_path / "report.html").read_text(encoding="utf-8")
