"""The page says where the code enforces each rule, and is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.enforcement import (
    NOT_IN_CODE,
    ByConstruction,
    EnforcementError,
    Place,
    check,
    find_places,
    places_in,
)
from tools.protocol_document import DOCUMENT, document, main

from tcrp.sim.swarm.sometimes import Sometimes
from tcrp.spec.limits import CONSTANTS, SETTINGS
from tcrp.spec.names import Rule
from tcrp.spec.properties import CLAIMS

ROOT = Path(__file__).parents[2]
PLACED = {rule: (Place("engine/tcrp/engine/server.py", "f"),) for rule in Rule}


def places(source: str) -> list[tuple[Rule, str]]:
    return [(rule, place.name) for rule, place in places_in(source, "engine/tcrp/engine/server.py")]


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / DOCUMENT).read_text(encoding="utf-8") == document(find_places(ROOT), ROOT)


def test_the_code_enforces_every_rule_or_its_absence_has_a_reason() -> None:
    check(find_places(ROOT))


def test_a_rule_is_enforced_where_code_uses_it() -> None:
    source = """
TABLE = {"left": Rule.EXIT_1}
ROWS: dict[str, names.Rule] = {"idled": names.Rule.IDLE_1}

def refuse():
    def inner():
        raise Refused(Rule.TCP_2)

class Server:
    default = Rule.LIM_1

    async def relay(self, rule=Rule.REL_1):
        self.drop(Rule.UDP_2)
"""
    assert places(source) == [
        (Rule.EXIT_1, "TABLE"),
        (Rule.IDLE_1, "ROWS"),
        (Rule.TCP_2, "refuse"),
        (Rule.LIM_1, "Server"),
        (Rule.REL_1, "Server.relay"),
        (Rule.UDP_2, "Server.relay"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "x = 1  # R-END-1, Rule.END_1",
        'def f():\n    """Tells an ended session (R-END-1, Rule.END_1)."""',
        'WHY = "R-END-1"',
        "def f(rule):\n    return rule is Rule.END_1",
        "def f(rule):\n    match rule:\n        case Rule.END_1: pass",
        "NAMES = list(Rule), Rule.nonsense, Other.END_1",
    ],
)
def test_comments_texts_and_comparisons_enforce_nothing(source: str) -> None:
    assert places(source) == []


def test_a_rule_without_a_place_or_a_reason_is_named() -> None:
    check(PLACED, {})
    with pytest.raises(EnforcementError, match=r"no code uses Rule\.UDP_4, Rule\.SHOW_1: name the rule"):
        check(PLACED | {Rule.UDP_4: (), Rule.SHOW_1: ()}, {})


def test_a_reason_for_a_rule_that_has_a_place_is_rejected() -> None:
    reasons = {Rule.REL_2: ByConstruction("the order is kept")}
    check(PLACED | {Rule.REL_2: ()}, reasons)
    with pytest.raises(EnforcementError, match=r"code uses Rule\.REL_2 \(engine/tcrp/engine/server\.py\): remove it"):
        check(PLACED, reasons)


def test_a_property_that_checks_a_rule_claims_it() -> None:
    for rule, reason in NOT_IN_CODE.items():
        assert reason.checked_by is None or rule in CLAIMS[reason.checked_by].rules


def copy_of_the_sources(folder: Path) -> Path:
    for path in (path for name in ("spec", "engine") for path in (ROOT / name).rglob("*.py")):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_a_stale_page_is_reported_with_its_first_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy_of_the_sources(tmp_path))
    assert main(["write"]) == 0
    assert main(["check"]) == 0
    page = tmp_path / DOCUMENT
    page.write_text(page.read_text(encoding="utf-8").replace("# The protocol", "# A protocol"), encoding="utf-8")
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert "-# A protocol" in said
    assert "make document" in said
    assert main(["rewrite"]) == 2


def test_a_page_is_not_written_while_a_rule_has_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy_of_the_sources(tmp_path))
    for path in tmp_path.rglob("*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace("Rule.REL_3", "'R-REL-3'"), encoding="utf-8")
    assert main(["write"]) == 1
    assert "no code uses Rule.REL_3" in capsys.readouterr().err
    assert not (tmp_path / DOCUMENT).exists()


def test_the_page_lists_every_setting_constant_and_property() -> None:
    page = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    constants = [name.removesuffix("_US").lower() for name in CONSTANTS]
    assert [name for name in (*SETTINGS, *constants, *CLAIMS) if f"| `{name}` |" not in page] == []


def test_what_a_swarm_must_meet_is_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sometimes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(Sometimes)
