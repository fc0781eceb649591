"""The table of which programs can talk says what the conversations of these tests show."""

from __future__ import annotations

from pathlib import Path

from interop.which_programs import CANNOT, FORMS, HEAD, count, rows

ROOT = Path(__file__).parents[2]


def test_the_table_in_the_document_is_the_one_that_the_tests_make() -> None:
    text = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
    assert count() in text
    assert "\n".join([*HEAD, *rows()]) in text, "run: PYTHONPATH=tests python -m interop.which_programs"


def test_every_capture_is_in_the_table() -> None:
    vectors = ROOT / "spec" / "vectors"
    captured = {path.stem for path in (*vectors.glob("*.json"), *(vectors / "wire").glob("*.txt"))}
    assert captured | {"text"} == {*FORMS, *CANNOT}
