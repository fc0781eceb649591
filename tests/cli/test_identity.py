"""Which tcrp this is: what two installations must agree in to find the same, and what does not matter."""

from __future__ import annotations

from pathlib import Path

import pytest

import tcrp
from tcrp.cli.identity import PACKAGES, PARTS, difference, identity


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation."""
    for package in (*PACKAGES, "spec/dialects", "view", "engine/__pycache__"):
        (tmp_path / package).mkdir(exist_ok=True)
    for file in ("engine/rooms.py", "spec/dialects/text.toml", "spec/dialects/__init__.py"):
        (tmp_path / file).write_text("x = 1\n")
    monkeypatch.setattr(tcrp, "__path__", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("engine/rooms.py", {"source"}),
        ("engine/more.py", {"source"}),
        ("spec/dialects/text.toml", {"dialect files"}),
        ("spec/dialects/mine.toml", {"dialect files"}),
        ("engine/notes.toml", set()),
        ("engine/__pycache__/rooms.pyc", set()),
        ("view/svg.py", set()),
    ],
)
def test_it_changes_with_what_decides_a_run_and_with_nothing_else(file: str, changed: set[str], root: Path) -> None:
    before = identity()
    assert identity() == before
    (root / file).write_text("x = 2\n")
    assert {part for part, old, new in zip(PARTS, before, identity(), strict=True) if old != new} == changed


def test_a_file_that_has_another_name_is_another_source(root: Path) -> None:
    before = identity()
    (root / "engine" / "rooms.py").rename(root / "engine" / "halls.py")
    assert identity()[1] != before[1]


def test_of_two_places_the_one_that_is_imported_counts(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, other = identity(), tmp_path_factory.mktemp("other")
    (other / "engine").mkdir()
    (other / "engine" / "rooms.py").write_text("x = 2\n")
    monkeypatch.setattr(tcrp, "__path__", [str(root), str(other)])
    assert identity() == before
    monkeypatch.setattr(tcrp, "__path__", [str(other), str(root)])
    assert identity()[1] != before[1]


def test_two_installations_differ_by_version_source_or_dialect_files() -> None:
    ours = ("1.0", "a", "b")
    assert difference(ours, ours) == ""
    assert difference(("1.1", "x", "y"), ours) == "tcrp 1.1, not 1.0"
    assert difference(("1.0", "x", "b"), ours) == "other source of tcrp 1.0"
    assert difference(("1.0", "x", "y"), ours) == "other source and dialect files of tcrp 1.0"
