"""The generated page is up to date, and the sentences in it are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.spec.document import DOCUMENT, document, find_enforced, main
from tcrp.spec.names import DEADLINE_RULES, Deadline, Property, Rule
from tcrp.spec.properties import CLAIMS
from tcrp.spec.render import TABLES, dot, mermaid
from tcrp.spec.rules import SENTENCES

ROOT = Path(__file__).parents[2]


def test_every_rule_has_a_sentence_every_property_a_claim_every_deadline_a_rule() -> None:
    assert set(SENTENCES) == set(Rule)
    assert set(CLAIMS) == set(Property)
    assert set(DEADLINE_RULES) == set(Deadline)


def test_every_rule_is_enforced_somewhere() -> None:
    assert [rule for rule, files in find_enforced(ROOT).items() if not files] == []


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / DOCUMENT).read_text(encoding="utf-8") == document(find_enforced(ROOT))


def test_a_stale_page_is_reported_with_its_first_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["write"]) == 0
    assert main(["check"]) == 0
    page = tmp_path / DOCUMENT
    page.write_text(page.read_text(encoding="utf-8").replace("# The protocol", "# A protocol"), encoding="utf-8")
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert "-# A protocol" in said
    assert "make document" in said
    assert main(["rewrite"]) == 2


@pytest.mark.parametrize("table", TABLES.values(), ids=map(str, TABLES))
def test_diagrams_draw_every_row(table: object) -> None:
    for (state, event), row in table.rows.items():  # type: ignore[attr-defined]
        source, target = str(state).replace("-", "_"), str(row.to).replace("-", "_")
        drawn = [line for line in mermaid(table).splitlines() if line.strip().startswith(f"{source} --> {target} :")]  # type: ignore[arg-type]
        assert len(drawn) == 1
        assert str(event) in drawn[0].partition(" : ")[2].split(", ")
        arrows = [line for line in dot(table).splitlines() if f'"{state}" -> "{row.to}"' in line]  # type: ignore[arg-type]
        assert len(arrows) == 1
        assert str(event) in arrows[0].partition('"')[2].partition('label="')[2].rstrip('"];').split("\\n")
