"""Writes the pages of runs beside what else is written of them: `run --html`, and in the bundles of failures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tcrp.cli.exits import OutputLost
from tcrp.cli.findings import DOES_NOT_HOLD, about_run
from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.fate import texts_said
from tcrp.sim.run import Verdict
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.swarm.failures import Failure
from tcrp.trace.records import Record
from tcrp.view.about import About, Finding
from tcrp.view.html import page
from tcrp.view.picture import picture_of

RECORDS_MAX = 300_000
"""Longer runs have their last records in the page: what has failed is there."""


def write_page(path: Path, verdict: Verdict, records: Sequence[Record]) -> None:
    """The page of a run. Raises `OutputLost`."""
    scenario = verdict.scenario
    try:
        source = Path(scenario.path).read_text(encoding="utf-8")
    except OSError:
        source = ""
    try:
        _write(path, about_run(verdict, records, source), scenario, verdict.seed, records)
    except OSError as error:
        raise OutputLost(f"{path}: the page cannot be written: {error.strerror}") from None


def write_failure_page(
    path: Path, scenario: Scenario, failure: Failure, verdict: Verdict | None, records: Sequence[Record], source: str
) -> None:
    """The page of a failure that a swarm has found, whose run may not have ended. Raises `OSError`.

    `records` may begin late in a long run.
    """
    if verdict is not None and not verdict.holds and verdict.records == len(records):
        about = about_run(verdict, records, source)
    else:
        finding = Finding(failure.kind, (("", failure.what),), records[-1].n if records else 0)
        texts = {root: text for _, root, text in texts_said(scenario)}
        about = About(
            scenario.claim, f"seed {scenario.seed}", DOES_NOT_HOLD, False, (finding,), source, texts=texts,
            meanings=DROP_REASONS,
        )  # fmt: skip
    _write(path, about, scenario, scenario.seed, records)


def _write(path: Path, about: About, scenario: Scenario, seed: int, records: Sequence[Record]) -> None:
    first = max(records[0].n, records[-1].n - RECORDS_MAX + 1) if records else 1
    drawn = picture_of(scenario_header(scenario, seed), records, first=first)
    path.write_text(page(drawn, about), encoding="utf-8", newline="\n")
