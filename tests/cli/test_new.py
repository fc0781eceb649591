"""`chat-sim new`: a scenario that runs at once, and where its schema is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from tcrp.cli import new as new_module
from tcrp.cli.exits import OUTPUT_LOST
from tcrp.cli.new import scenarios_folder
from tcrp.cli.sim import main

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "file"), [("mine", "mine.yaml"), ("my own.yml", "my own.yml"), ("a.b", "a.b.yaml")])
def test_the_example_runs_and_holds(name: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name]) == 0
    quoted = f"'{file}'" if " " in file else file
    assert capsys.readouterr().out == f"wrote {file}; run it with: chat-sim run {quoted}\n"
    assert f"# Run it: chat-sim run {quoted}\n" in Path(file).read_text(encoding="utf-8")
    assert main(["run", file]) == 0


def test_its_first_line_names_the_schema_for_editors() -> None:
    main(["new", "mine"])
    first = Path("mine.yaml").read_text(encoding="utf-8").splitlines()[0]
    key, _, uri = first.partition("=")
    assert key == "# yaml-language-server: $schema"
    schema = Path(unquote(urlsplit(uri).path))
    assert (schema.parent, schema.name) == (scenarios_folder(), "scenario.schema.json")
    assert schema.read_bytes() == (SCENARIOS / "scenario.schema.json").read_bytes()


def test_it_copies_a_scenario_that_comes_with_tcrp() -> None:
    assert main(["new", "mine", "--like", "the-story"]) == 0
    story = (SCENARIOS / "the-story.yaml").read_text(encoding="utf-8")
    assert Path("mine.yaml").read_text(encoding="utf-8").endswith(story)
    assert main(["run", "--format", "quiet", "mine.yaml"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mine",), "mine.yaml: there is such a file already; choose another name"),
        (("",), "a scenario needs a name, such as: chat-sim new mine"),
        (("b", "--like", "the-stroy"), "did you mean the-story?"),
        (("b", "--like", "qqqqqq"), "chat-sim new --list names them"),
    ],
)
def test_what_it_cannot_do_it_says(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    assert main(["new", *words]) == 2
    assert said in capsys.readouterr().err
    assert Path("mine.yaml").read_text(encoding="utf-8") == "mine"
    assert not Path("b.yaml").exists()


def test_a_file_that_cannot_be_written_has_the_exit_code_of_lost_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "no/where"]) == OUTPUT_LOST
    assert "no/where.yaml: cannot be written: No such file or directory" in capsys.readouterr().err


def test_it_copies_every_scenario_that_it_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--list"]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert {path.stem for path in SCENARIOS.glob("*.yaml")} | {"cut"} == set(listed)
    for name in listed:
        assert main(["new", f"my-{name}", "--like", name]) == 0
        assert main(["check-syntax", f"my-{name}.yaml"]) == 0


def test_the_list_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "--list"]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["new", "--list"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 80
    assert max(len(line) for line in narrow.splitlines() if line.startswith(" ")) <= 40
    assert narrow.split() == whole.split()


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sim" / "scenarios").mkdir(parents=True)
    for package, folder in (
        (SCENARIOS.parent / "tcrp" / "sim", SCENARIOS), (tmp_path / "sim", tmp_path / "sim" / "scenarios"),
    ):  # fmt: skip
        monkeypatch.setattr(new_module, "run", SimpleNamespace(__file__=str(package / "run.py")))
        assert scenarios_folder() == folder
