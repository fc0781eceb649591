"""Writes the bundle of a failure: a folder with the scenario, its trace, the shrunk scenario, its page and a README."""

from __future__ import annotations

import shlex
from collections import deque
from pathlib import Path

from tcrp.cli.pages import RECORDS_MAX, write_failure_page
from tcrp.cli.trace_headers import scenario_header
from tcrp.engine.server import ServerEngine
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.swarm.failures import SCENARIO_SECONDS_MAX, TIMED_OUT, UNMET, Failure, failure_of
from tcrp.sim.swarm.shrink import CANDIDATE_SECONDS_MAX, Shrinker
from tcrp.trace.plural import counted
from tcrp.trace.records import Record
from tcrp.trace.trace import Digest

SCENARIO, SHRUNK, TRACE, README = "scenario.yaml", "shrunk.yaml", "trace.jsonl", "README.txt"
PAGE = "shrunk.html"


def write_bundle(
    folder: Path, scenario: Scenario, failure: Failure, make_engine: EngineFactory = ServerEngine
) -> Scenario:
    """Shrink a failing scenario and write its bundle. Returns the shrunk scenario. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCENARIO).write_text(write_scenario(scenario, [_comment(failure)]), encoding="utf-8")
    digest = Digest()
    with (folder / TRACE).open("w", encoding="utf-8", newline="\n") as trace:
        trace.write(scenario_header(scenario, scenario.seed, SCENARIO).line() + "\n")

        def write(record: Record) -> None:
            trace.write(record.line() + "\n")

        failure_of(scenario, make_engine=make_engine, listeners=[digest, write], seconds_max=_seconds_max(failure))
    shrunk = shrink_into(folder, scenario, failure, make_engine)
    readme = (
        f"{failure.kind}: {failure.what}\n\n"
        f"look at it in a browser: {folder / PAGE}\n"
        f"replay: chat-sim run {shlex.quote(str(folder / SHRUNK))}\n"
        f"the whole scenario: chat-sim run {shlex.quote(str(folder / SCENARIO))}\n"
        f"seed: {scenario.seed}\n"
        f"digest of {TRACE}: sha256:{digest.hexdigest()}\n"
    )
    (folder / README).write_text(readme, encoding="utf-8")
    return shrunk


def shrink_into(
    folder: Path, scenario: Scenario, failure: Failure, make_engine: EngineFactory = ServerEngine
) -> Scenario:
    """Write the shortest scenario that fails in the same way into `folder`. Raises `OSError`."""
    shrinker = Shrinker(failure, make_engine)
    shrunk = shrinker.shrink(scenario)
    comments = [
        _comment(failure),
        f"shrunk from {counted(len(scenario.script), 'step')} to {len(shrunk.script)} "
        f"in {counted(shrinker.runs, 'run')}",
    ]
    source = write_scenario(shrunk, comments)
    (folder / SHRUNK).write_text(source, encoding="utf-8")
    records: deque[Record] = deque(maxlen=RECORDS_MAX)
    again, verdict = failure_of(
        shrunk, make_engine=make_engine, listeners=[records.append], seconds_max=_seconds_max(failure)
    )
    write_failure_page(folder / PAGE, shrunk, again or failure, verdict, records, source)
    return shrunk


def _seconds_max(failure: Failure) -> float:
    return CANDIDATE_SECONDS_MAX if failure.kind == TIMED_OUT else SCENARIO_SECONDS_MAX


def _comment(failure: Failure) -> str:
    """What failed, on one line."""
    words = failure.kind if failure.kind.startswith(UNMET) else f"breaks {failure.kind}"
    return " ".join(f"{words}: {failure.what}".split())
