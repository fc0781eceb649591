"""What a picture says beside what it draws: from the verdict of a run, or from what a trace says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tcrp.cli.report import replay_command, waited
from tcrp.sim.evaluate import seconds
from tcrp.sim.fate import fate_of, texts_said
from tcrp.sim.run import Verdict
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.spec.properties import CLAIMS
from tcrp.trace.header import Header
from tcrp.trace.plural import counted
from tcrp.trace.records import Record
from tcrp.view.about import About, Finding

HOLDS, DOES_NOT_HOLD, CLAIMS_NOTHING = "✔ holds", "✗ does not hold", "claims nothing"


def about_run(verdict: Verdict, records: Sequence[Record], source: str) -> About:
    """Of a run that has been judged. `records` are those of the run, `source` is the scenario's file."""
    scenario = verdict.scenario
    said = f"{counted(verdict.records, 'record')}, {seconds(verdict.ended_us)} of virtual time, seed {verdict.seed}"
    return About(
        title=scenario.claim,
        subtitle=f"{Path(scenario.path).name} · {said}",
        verdict=DOES_NOT_HOLD if not verdict.holds else CLAIMS_NOTHING if verdict.claims_nothing else HOLDS,
        holds=verdict.holds,
        findings=tuple(_findings(verdict, records)),
        source=source,
        notes=(f"replay: {replay_command(scenario, verdict.seed)}", f"digest sha256:{verdict.digest}"),
        texts={root: text for _, root, text in texts_said(scenario)},
        meanings=DROP_REASONS,
    )


def _findings(verdict: Verdict, records: Sequence[Record]) -> list[Finding]:
    found: list[Finding] = []
    if (violation := verdict.violation) is not None:
        claim = CLAIMS[violation.property].sentence
        where = (f"at {seconds(violation.t_us)}:", violation.what)
        found.append(Finding(f"property {violation.property}: {claim}", (where,), violation.n))
    found += [Finding(f"line {step.place.line}: {waited(step)}") for step in verdict.never_taken]
    for miss in verdict.misses:
        parts = [("nearest:", miss.nearest)]
        fate = fate_of(miss, verdict.scenario, records)
        if fate is not None:
            parts.append(("fate:", fate.what))
        what = f"line {miss.expectation.place.line}: expected {miss.expectation.text}"
        found.append(Finding(what, tuple(parts), fate.n if fate is not None and fate.n else miss.n))
    return found


def about_trace(header: Header, name: str, *, source: str = "", readme: str = "") -> About:
    """Of a trace that nobody has judged; `readme` is what the bundle of a failure says, its first line the failure."""
    ran = [header.scenario or "", f"seed {header.seed}" if header.seed is not None else "", str(header.mode)]
    failure, _, notes = readme.partition("\n")
    return About(
        title=name,
        subtitle=" · ".join(each for each in ran if each),
        verdict=DOES_NOT_HOLD if failure else "",
        holds=not failure,
        findings=(Finding(failure),) if failure else (),
        source=source,
        notes=tuple(line for line in notes.splitlines() if line),
        meanings=DROP_REASONS,
    )
