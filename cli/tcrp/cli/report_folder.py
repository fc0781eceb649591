"""`chat-sim report`: one page, and JUnit XML, about everything in a folder.

Scenarios are run; traces are read; of bundles of swarms, and of files of results (`tcrp-results/1`), it is said what
they say. A scenario's page is written beside the report if its claim does not hold.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tcrp.cli.exits import DOES_NOT_HOLD, HOLDS, OutputLost, UsageError
from tcrp.cli.failure_artifacts import PAGE, README, SCENARIO, TRACE
from tcrp.cli.output import utf8_stdout
from tcrp.cli.pages import write_page
from tcrp.cli.report import replay_command
from tcrp.cli.results import Results, read_results
from tcrp.cli.runs import play
from tcrp.cli.show import write_file
from tcrp.sim.coverage import REFUSED, ROWS, SHOWN_OTHERWISE, Coverage
from tcrp.sim.run import Run
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.reader import TraceError, read_trace
from tcrp.trace.records import Record
from tcrp.trace.trace import Digest
from tcrp.view.report import Case, Figure, Outcome, Report, junit, report_page

HTML, XML, PAGES = "report.html", "report.xml", "report-pages"


@dataclass(slots=True)
class _Gathered:
    folder: Path
    pages: Path
    cases: list[Case] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    is_covered: bool = False


def report_folder(name: str, html: str | None, xml: str | None) -> int:
    """Write the report of a folder. 1: something in it failed. Raises `UsageError` and `OutputLost`."""
    folder = Path(name)
    if not folder.is_dir():
        fault = "a file; a report is of a folder" if folder.exists() else "there is no such folder"
        raise UsageError(f"{name}: {fault}")
    page = Path(html) if html is not None else folder / HTML
    beside = Path(xml) if xml is not None else page.with_suffix(".xml")
    if beside.resolve() == page.resolve():
        raise UsageError(f"{page}: the page and the JUnit XML need two files; name the other with --junit FILE")
    gathered = _Gathered(folder, page.parent / PAGES)
    for path in _inside(folder):
        _add(path, gathered)
    if not gathered.cases:
        raise UsageError(f"{name}: there is nothing to report: no scenario, trace, bundle or file of results")
    coverage = gathered.coverage
    report = Report(
        folder.resolve().name,
        gathered.cases,
        gathered.figures,
        {(str(m), s, e): n for (m, s, e), n in coverage.rows.items()} if gathered.is_covered else {},
        {(str(m), s, e): n for (m, s, e), n in coverage.refused.items()},
        {str(rule): times for rule, times in coverage.rules.items()},
        {str(rule): how for rule, how in SHOWN_OTHERWISE.items()},
    )
    write_file(page, [report_page(report)])
    write_file(beside, [junit(report)])
    bad = [case for case in gathered.cases if case.is_bad]
    utf8_stdout()
    for case in bad:
        print(f"✗ {case.name}: {case.detail[0] if case.detail else case.outcome}")
    print(f"{len(gathered.cases) - len(bad)} of {len(gathered.cases)} passed")
    print(f"report: {page}\nJUnit: {beside}")
    return DOES_NOT_HOLD if bad else HOLDS


def _inside(folder: Path) -> Iterator[Path]:
    """Files, and folders that are bundles, in the order of their names; nothing within a bundle."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if (path / README).is_file() and (path / SCENARIO).is_file():
                yield path
            elif path.name != PAGES and not path.is_symlink():
                yield from _inside(path)
        else:
            yield path


def _add(path: Path, gathered: _Gathered) -> None:
    name = str(path.relative_to(gathered.folder))
    try:
        if path.is_dir():
            gathered.cases.append(_bundle(path, name))
        elif path.suffix in (".yaml", ".yml"):
            gathered.cases.append(_scenario(path, name, gathered))
        elif path.suffix == ".jsonl":
            gathered.cases.append(_trace(path, name, gathered))
        elif path.suffix == ".json":
            _results(path, name, gathered)
    except OSError as error:
        gathered.cases.append(Case(name, "file", Outcome.CANNOT, (f"cannot be read: {error.strerror}",)))


def _scenario(path: Path, name: str, gathered: _Gathered) -> Case:
    try:
        scenario = read_scenario(path)
    except ScenarioError as error:
        return Case(name, "scenario", Outcome.CANNOT, (str(error),))
    records: list[Record] = []
    began = time.perf_counter()
    verdict = play(Run(scenario, listeners=[gathered.coverage.hear, records.append]))
    seconds = time.perf_counter() - began
    gathered.coverage.add_judged(verdict)
    gathered.is_covered = True
    if verdict.holds:
        outcome = Outcome.CLAIMS_NOTHING if verdict.claims_nothing else Outcome.HOLDS
        return Case(name, "scenario", outcome, (), seconds, verdict.records, verdict.digest)
    detail = [scenario.claim]
    if verdict.violation is not None:
        detail.append(f"property {verdict.violation.property}: {verdict.violation.what}")
    detail += [f"expected {miss.expectation.text}; nearest: {miss.nearest}" for miss in verdict.misses]
    detail += [f"never taken: {step.id}" for step in verdict.never_taken]
    detail.append(f"replay: {replay_command(scenario, verdict.seed)}")
    try:
        gathered.pages.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputLost(f"{gathered.pages}: cannot be created as a folder for pages: {error.strerror}") from None
    page = gathered.pages / f"{name.replace('/', '-')}.html"
    write_page(page, verdict, records)
    link = f"{PAGES}/{page.name}"
    return Case(name, "scenario", Outcome.FAILS, tuple(detail), seconds, verdict.records, verdict.digest, link)


def _trace(path: Path, name: str, gathered: _Gathered) -> Case:
    digest, count, coverage = Digest(), 0, Coverage()
    try:
        _, records = read_trace(path)
        for record in records:
            digest(record)
            coverage.hear(record)
            count += 1
    except TraceError as error:
        return Case(name, "trace", Outcome.CANNOT, (str(error),))
    gathered.coverage.add(coverage)
    gathered.is_covered = True
    return Case(name, "trace", Outcome.READ, (), None, count, digest.hexdigest())


def _bundle(path: Path, name: str) -> Case:
    lines = [line for line in (path / README).read_text(encoding="utf-8", errors="replace").splitlines() if line]
    link = f"{name}/{PAGE}" if (path / PAGE).is_file() else ""
    trace = path / TRACE
    records = max(sum(1 for _ in trace.open("rb")) - 1, 0) if trace.is_file() else 0
    return Case(name, "failure of a swarm", Outcome.FAILS, tuple(lines), None, records, "", link)


def _results(path: Path, name: str, gathered: _Gathered) -> None:
    try:
        results = read_results(path)
    except ValueError as error:
        gathered.cases.append(Case(name, "results", Outcome.CANNOT, (str(error),)))
        return
    if results is None:
        return
    outcome = Outcome.FAILS if results.failures else Outcome.HOLDS
    gathered.cases.append(
        Case(f"{name}: {results.title}", results.kind, outcome, results.failures, results.seconds, results.records)
    )
    where = ", ".join((results.machine or {}).values())
    gathered.figures += [Figure(results.title, what, value, unit, where) for what, value, unit in results.figures]
    _add_counts(results, gathered)


def _add_counts(results: Results, gathered: _Gathered) -> None:
    coverage = gathered.coverage
    pairs = {" ".join(map(str, pair)): pair for pair in (*ROWS, *REFUSED)}
    for counts, into in ((results.rows, coverage.rows), (results.refused, coverage.refused)):
        for key, times in (counts or {}).items():
            gathered.is_covered = True
            if (pair := pairs.get(key)) is not None:  # another version may have had other rows
                into[pair] += times
    for rule, times in (results.rules or {}).items():
        for known in coverage.rules:
            if known == rule:
                coverage.rules[known] += times
