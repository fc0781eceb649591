"""`chat-sim show` as a user types it, and what it says to mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tcrp.cli import show as show_module
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OUTPUT_LOST
from tcrp.cli.sim import main
from tcrp.view.picture import Picture

ROOT = Path(__file__).parents[2]
CUT = str(ROOT / "examples" / "cut.yaml")


def show(*words: object) -> int:
    return main(["show", *map(str, words)])


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("trace") / "cut.jsonl"
    main(["run", CUT, "--format", "quiet", "--trace", str(file)])
    return file


@pytest.mark.parametrize(
    ("format", "begins"),
    [
        ("html", "<!doctype html>"),
        ("svg", "<svg "),
        ("mermaid", "sequenceDiagram"),
        ("text", "a text sent"),
        ("json", "{"),
    ],
)
def test_a_scenario_is_run_and_shown(format: str, begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(CUT, "--format", format) == HOLDS
    assert capsys.readouterr().out.startswith(begins)


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("cut.html", b"<!doctype html>"),
        ("cut.htm", b"<!doctype html>"),
        ("cut.SVG", b"<svg "),
        ("cut.mmd", b"sequenceDiagram"),
        ("cut.txt", b"a text sent"),
        ("cut.json", b"{"),
        ("cut.pcapng", b"\x0a\x0d\x0d\x0a"),
    ],
)
def test_the_ending_of_a_file_says_its_format(file: str, begins: bytes, tmp_path: Path) -> None:
    assert show(CUT, "-o", tmp_path / file) == HOLDS
    assert (tmp_path / file).read_bytes().startswith(begins)


@pytest.mark.parametrize("file", ["cut.png", "cut.pcap", "cut.", "cut"])
def test_a_file_whose_ending_says_no_format_is_not_written(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(CUT, "-o", tmp_path / file) == CANNOT
    assert "no format has this ending; those that have one are .html, .htm, .svg, " in capsys.readouterr().err
    assert not (tmp_path / file).exists()


def test_a_format_that_is_named_stands_above_the_ending(tmp_path: Path) -> None:
    assert show(CUT, "--format", "text", "-o", tmp_path / "cut.html") == HOLDS
    assert (tmp_path / "cut.html").read_bytes().startswith(b"a text sent")


def test_a_trace_is_shown_as_its_run_is(trace: Path, tmp_path: Path) -> None:
    for source in (trace, CUT):
        assert show(source, "--format", "json", "-o", tmp_path / "data.json") == HOLDS
        data = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
        assert data["schema"] == "tcrp-picture/1"
        assert len(data["records"]) > 60
        assert [packet["why"] for packet in data["packets"] if packet["fate"] == "lost"] == ["cut"]


def test_a_part_of_a_trace_is_shown(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(trace, "--format", "text", "--from", "90", "--to", "92") == HOLDS
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if " s" in line and ": " in line and line[0] == "9"] == [
        "90",
        "91",
        "92",
    ]


def test_a_bundle_shows_its_trace_its_failure_and_its_scenario(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trace.jsonl").write_bytes(trace.read_bytes())
    (tmp_path / "scenario.yaml").write_text("claim: x\n", encoding="utf-8")
    (tmp_path / "README.txt").write_text(
        "relay-at-most-once: bob read it twice\n\nreplay: chat-sim run x\n", encoding="utf-8"
    )
    assert show(tmp_path, "--format", "text") == HOLDS
    said = capsys.readouterr().out
    assert "✗ does not hold." in said
    assert "relay-at-most-once: bob read it twice." in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: no complete line"),
        (b'{"schema":"tcrp-trace/2","mode":"simulated"}\n', "'tcrp-trace/2'; this version reads 'tcrp-trace/1'"),
        (b"hello\n", "not JSON"),
        (b"\xff\xfe\x00\n", "not UTF-8"),
        (None, "the last line is cut off"),
    ],
)
def test_what_is_no_whole_trace_is_refused_with_its_place(
    content: bytes | None, message: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(trace.read_bytes()[:-20] if content is None else content)
    assert show(file, "-o", tmp_path / "x.html") == CANNOT
    said = capsys.readouterr().err
    assert message in said
    assert "bad.jsonl:" in said
    assert "Traceback" not in said
    assert not (tmp_path / "x.html").exists()
    if content is None:
        assert "What comes before can be shown: --to 94" in said
        assert show(file, "-o", tmp_path / "x.html", "--to", "94") == HOLDS


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["absent.jsonl"], CANNOT, "there is no such file"),
        (["{trace}", "--from", "500"], CANNOT, "there is no record 500; the last one is "),
        (["{trace}", "--from", "9", "--to", "3"], CANNOT, "--from 9 is behind --to 3"),
        (["{trace}", "--seed", "7"], CANNOT, "--seed 7 is for scenarios"),
        (["{trace}", "-o", "{tmp}/absent/x.html"], OUTPUT_LOST, "absent/x.html: cannot be written"),
        ([CUT, "--format", "pcapng", "--from", "3", "-o", "x"], CANNOT, "--from and --to do not work"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], code: int, message: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [word.replace("{tmp}", str(tmp_path)).replace("{trace}", str(trace)) for word in words]
    assert show(*named) == code
    assert message in capsys.readouterr().err


def test_a_trace_that_is_too_long_is_refused_before_it_takes_the_memory(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(show_module.RECORDS_MAX, "html", 50)
    read = 0

    def counted(self: object, record: object) -> None:
        nonlocal read
        read += 1
        add(self, record)  # type: ignore[arg-type]

    add = Picture.add
    monkeypatch.setattr(Picture, "add", counted)
    assert show(trace, "-o", tmp_path / "x.html") == CANNOT
    assert (
        "more than 50 records, which is too many for --format html. Choose a part: --from 1 --to 50"
        in capsys.readouterr().err
    )
    assert read == 51
    assert show(trace, "-o", tmp_path / "x.html", "--from", "40", "--to", "60") == HOLDS


def test_a_page_is_not_written_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert show(CUT) == CANNOT
    assert "name a file with -o FILE" in capsys.readouterr().err


# --- run --html ----------------------------------------------------------------------------------

FALSE = "claim: nobody comes\nscript:\n  - {at: 0s, alice: {create: lobby}}\nexpect:\n  - {alice: {state: anonymous}}\n"


def test_a_failed_run_says_where_its_page_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "false.yaml").write_text(FALSE, encoding="utf-8")
    page = tmp_path / "false.html"
    assert main(["run", str(tmp_path / "false.yaml"), "--html", str(page)]) == DOES_NOT_HOLD
    assert f"page: {page}" in "".join(capsys.readouterr().out.splitlines())
    written = page.read_text(encoding="utf-8")
    assert "✗ does not hold" in written
    assert "expected {alice: {state: anonymous}}" in written


def test_several_runs_have_a_page_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "false.yaml").write_text(FALSE, encoding="utf-8")
    (tmp_path / "cut.yaml").write_bytes(Path(CUT).read_bytes())
    assert main(["run", str(tmp_path), "--html", str(tmp_path / "pages")]) == DOES_NOT_HOLD
    assert sorted(each.name for each in (tmp_path / "pages").iterdir()) == ["cut.html", "false.html"]
    said = "".join(capsys.readouterr().out.splitlines())
    assert f"page: {tmp_path / 'pages' / 'false.html'}" in said
    assert "cut.html" not in said, "only what failed"


def test_a_page_that_cannot_be_written_is_lost_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", CUT, "--html", str(tmp_path / "absent" / "x.html")]) == OUTPUT_LOST
    assert "x.html: the page cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_run_without_a_page_draws_none() -> None:
    code = "import sys; from tcrp.cli.sim import main; main(sys.argv[1:]); sys.exit('tcrp.view.html' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "run", CUT, "--format", "quiet"], check=False).returncode == 0
