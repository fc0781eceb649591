"""What stands beside a picture: of a run that was judged, and of a trace that nobody has judged."""

from __future__ import annotations

import pytest

from tcrp.cli.findings import CLAIMS_NOTHING, DOES_NOT_HOLD, HOLDS, about_run, about_trace
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.header import Header, Mode
from tcrp.trace.records import Record
from tcrp.view.about import About

SCRIPT = """
claim: <b>bob</b> hears alice
users: {bob: {dialect: text}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, alice: {say: やあ}}
"""


def of(source: str) -> tuple[About, list[Record]]:
    records: list[Record] = []
    verdict = Run(read_scenario_text(source, "a folder/x.yaml"), seed=7, listeners=[records.append]).go()
    return about_run(verdict, records, source), records


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ("", CLAIMS_NOTHING),
        ("expect: [{bob: {sees: [やあ]}}]", HOLDS),
        ("expect: [{bob: {sees: [bye]}}]", DOES_NOT_HOLD),
    ],
)
def test_the_verdict_is_one_of_three(expect: str, verdict: str) -> None:
    about, records = of(SCRIPT + expect)
    assert (about.verdict, about.holds) == (verdict, verdict is not DOES_NOT_HOLD)
    assert about.subtitle.startswith(f"x.yaml · {len(records)} records, ")
    assert about.subtitle.endswith(" of virtual time, seed 7")
    assert about.notes[0] == "replay: chat-sim run 'a folder/x.yaml' --seed 7"
    assert "やあ" in about.texts.values()


def test_each_expectation_that_is_not_met_is_a_finding_with_its_line_and_the_nearest() -> None:
    about, _ = of(SCRIPT + "expect:\n  - {bob: {sees: [bye]}}\n  - {server: {rooms: 2}}\n")
    assert [each.what.partition(":")[0] for each in about.findings] == ["line 9", "line 10"]
    assert all(each.parts[0][0] == "nearest:" for each in about.findings)


def test_a_step_that_is_never_taken_is_a_finding_of_its_own() -> None:
    never = "  - {when: {room: lobby, state: closing}, alice: leave}\nuntil: 3s\n"
    about, _ = of(f"{SCRIPT}{never}expect: [{{bob: {{sees: [やあ]}}}}]\n")
    [finding] = about.findings
    assert finding.what.startswith("line 8: ")
    assert not about.holds


def test_a_text_that_was_lost_says_what_became_of_it_and_where() -> None:
    about, records = of(
        SCRIPT.replace("script:\n", "script:\n  - {at: 1500ms, network: {cut: [server, bob]}}\n")
        + "expect: [{bob: {sees: [やあ]}}]\n"
    )
    [finding] = about.findings
    assert finding.parts[-1][0] == "fate:"
    assert "cut" in finding.parts[-1][1]
    assert records[finding.n - 1].n == finding.n


@pytest.mark.parametrize(
    ("readme", "findings", "notes"),
    [
        ("", [], ()),
        ("relays: twice\n\nreplay: x\nseed: 7\n", ["relays: twice"], ("replay: x", "seed: 7")),
        ("alone", ["alone"], ()),
    ],
)
def test_of_a_trace_the_failure_is_the_first_line_of_the_bundles_readme(
    readme: str, findings: list[str], notes: tuple[str, ...]
) -> None:
    about = about_trace(Header(mode=Mode.SIMULATED, seed=7), "trace.jsonl", readme=readme)
    assert ([each.what for each in about.findings], about.notes) == (findings, notes)
    assert (about.holds, about.verdict) == ((False, DOES_NOT_HOLD) if findings else (True, ""))
    assert about.subtitle == f"seed 7 · {Mode.SIMULATED}"
