"""`chat-sim run` and `coverage`: one scenario with its steps, or several with a summary."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from tcrp.cli.console import console_for, print_table
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OurFault, OutputLost, UsageError, complain
from tcrp.cli.report import digest_line, print_verdict, replay_command
from tcrp.cli.steps import View, steps_table
from tcrp.cli.summary import summary
from tcrp.cli.trace_headers import open_trace, scenario_header
from tcrp.sim.coverage import REFUSED, ROWS, SHOWN_OTHERWISE, Coverage
from tcrp.sim.evaluate import seconds
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.errors import ScenarioError, nearest, one_of
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.scenario.servers import BUCKET
from tcrp.sim.swarm.failures import failure_by
from tcrp.spec.names import Rule
from tcrp.trace.records import Record

if TYPE_CHECKING:
    from rich.progress import Progress

PROGRAM = "chat-sim"


def run_one(
    file: Path, seed: int | None, trace: TextIO | None, view: View, *, page: Path | None = None, is_strict: bool = False
) -> int:
    """Run one scenario; print its steps, its verdict and, last, its digest."""
    try:
        scenario = read_scenario(file)
    except ScenarioError as error:
        complain(PROGRAM, str(error))
        return CANNOT
    verdict = _run(scenario, seed, trace, view, page=page, is_strict=is_strict)
    return HOLDS if _passes(verdict, is_strict=is_strict) else DOES_NOT_HOLD


def play(run: Run) -> Verdict:
    """The verdict of a run. Raises `OurFault` if anything but the output fails."""
    try:
        return run.go()
    except (OSError, OutputLost):
        raise  # of a listener that writes
    except Exception as error:
        failure = failure_by(error)
        raise OurFault(
            f"{run.scenario.path}: tcrp itself has failed at {seconds(run.world.now_us)}: {failure.kind}: "
            f"{failure.what}. This is no fault of the scenario.\n"
            f"  replay: {replay_command(run.scenario, run.seed)}\n"
            f"  shorten: chat-sim shrink {shlex.quote(run.scenario.path)}"
        ) from error


def _passes(verdict: Verdict, *, is_strict: bool) -> bool:
    return verdict.holds and not (is_strict and verdict.claims_nothing)


def _run(
    scenario: Scenario,
    seed: int | None,
    trace: TextIO | None,
    view: View,
    *,
    page: Path | None = None,
    is_strict: bool = False,
) -> Verdict:
    records: list[Record] = []
    listeners: list[Callable[[Record], None]] = []
    if trace is not None:
        listeners.append(_writer(trace))
        trace.write(_header(scenario, seed) + "\n")
    view = replace(view, only=_actors(view, scenario))
    if view.format in ("table", "summary") or page is not None:
        listeners.append(records.append)
    if view.format == "jsonl":
        print(_header(scenario, seed))
        listeners.append(_printer)
    try:
        verdict = play(Run(scenario, seed=seed, listeners=listeners))
    except OurFault:
        if view.format == "table":  # what happened until then
            print_table(console_for(), steps_table(view.rows(records), console_for(), view.rows_max))
        raise
    # With jsonl the report goes to stderr, so that stdout holds only the trace.
    console = console_for("stderr" if view.format == "jsonl" else "stdout")
    if view.format == "table":
        print_table(console, steps_table(view.rows(records), console, view.rows_max))
    elif view.format == "summary":
        for line in summary(records, scenario):
            console.print(line)
    print_verdict(console, verdict, is_strict=is_strict)
    if page is not None:
        _write_page(page, verdict, records)
        console.print(Text(f"page: {page}"))
    console.print(digest_line([verdict.digest]), style="dim")
    return verdict


def _write_page(page: Path, verdict: Verdict, records: list[Record]) -> None:
    from tcrp.cli.pages import write_page  # a run without a page draws none

    write_page(page, verdict, records)


def _actors(view: View, scenario: Scenario) -> tuple[str, ...]:
    """Whose rows are shown, with the members of a crowd for its name. Raises `UsageError`."""
    machines = (*scenario.servers, BUCKET) if scenario.servers else ("server",)
    members: dict[str, list[str]] = {each: [each] for each in (*machines, "network")}
    for user in scenario.users:
        for name in filter(None, (user.crowd, user.id)):
            members.setdefault(name, []).append(user.id)
    for name in view.only:
        if name not in members:
            raise UsageError(f"--only: nobody is called {name!r}; there are {one_of(members)}{nearest(name, members)}")
    return tuple(id for name in view.only for id in members[name])


def _writer(file: TextIO) -> Callable[[Record], None]:
    def write(record: Record) -> None:
        file.write(record.line())
        file.write("\n")

    return write


def _printer(record: Record) -> None:
    print(record.line())


def _header(scenario: Scenario, seed: int | None) -> str:
    return scenario_header(scenario, scenario.seed if seed is None else seed).line()


# --- several -------------------------------------------------------------------------------------


def run_several(
    files: list[Path],
    seed: int | None,
    folder: Path | None,
    view: View,
    *,
    pages: Path | None = None,
    is_strict: bool = False,
) -> int:
    """Run scenarios one after another; print what fails, a summary, and the digest of all."""
    console = console_for()
    verdicts: list[tuple[Path, Verdict | None]] = []
    with _progress(len(files)) as progress:
        task = progress.add_task("", total=len(files))
        for file in files:
            progress.update(task, description=file.stem)
            verdicts.append((file, _run_among_several(file, seed, folder, view, pages, is_strict=is_strict)))
            progress.advance(task)
    failed = [
        (file, verdict)
        for file, verdict in verdicts
        if verdict is not None and not _passes(verdict, is_strict=is_strict)
    ]
    if view.format == "quiet":
        for file, verdict in failed:
            if verdict is not None:
                print_verdict(console, verdict, is_strict=is_strict)
                if pages is not None:
                    console.print(Text(f"  page: {pages / f'{file.stem}.html'}"))
    unread = sum(verdict is None for _, verdict in verdicts)
    report = console_for("stderr") if view.format == "jsonl" else console
    print_table(report, _summary(verdicts, is_narrow=report.width < 100, is_strict=is_strict))
    held = len(verdicts) - len(failed) - unread
    report.print(f"{held} hold, {len(failed)} do not, {unread} cannot be run")
    if nothing := sum(verdict is not None and verdict.claims_nothing for _, verdict in verdicts):
        claims = "claims" if nothing == 1 else "claim"
        report.print(Text(f"{nothing} of them {claims} nothing: there is no `expect:`", "yellow"))
    report.print(digest_line([verdict.digest for _, verdict in verdicts if verdict is not None]), style="dim")
    return CANNOT if unread else DOES_NOT_HOLD if failed else HOLDS


def _run_among_several(
    file: Path,
    seed: int | None,
    folder: Path | None,
    view: View,
    pages: Path | None,
    *,
    is_strict: bool = False,
) -> Verdict | None:
    try:
        scenario = read_scenario(file)
    except ScenarioError as error:
        complain(PROGRAM, str(error))
        return None
    with open_trace(folder / f"{file.stem}.jsonl" if folder is not None else None) as trace:
        page = pages / f"{file.stem}.html" if pages is not None else None
        if view.format != "quiet":
            return _run(scenario, seed, trace, view, page=page, is_strict=is_strict)
        records: list[Record] = []
        listeners = [records.append] if page is not None else []
        if trace is not None:
            trace.write(_header(scenario, seed) + "\n")
            listeners.append(_writer(trace))
        verdict = play(Run(scenario, seed=seed, listeners=listeners))
        if page is not None:
            _write_page(page, verdict, records)
        return verdict


def _progress(total: int) -> Progress:
    # Late: a single run shows none.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = console_for("stderr")
    return Progress(
        TextColumn("{task.description}", justify="left"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or total < 2,
    )


def _summary(verdicts: list[tuple[Path, Verdict | None]], *, is_narrow: bool, is_strict: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name, justify in (("", "left"), ("scenario", "left"), ("virtual time", "right"), ("records", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    if not is_narrow:
        table.add_column("digest", no_wrap=True)
    for file, verdict in verdicts:
        if verdict is None:
            table.add_row(Text("?", "red"), file.stem, "cannot be run")
            continue
        sign = Text("✔", "green") if _passes(verdict, is_strict=is_strict) else Text("✗", "red")
        digest = [] if is_narrow else [Text(verdict.digest[:12], "dim")]
        table.add_row(sign, file.stem, seconds(verdict.ended_us), str(verdict.records), *digest)
    return table


# --- coverage ------------------------------------------------------------------------------------


def print_coverage(files: list[Path]) -> int:
    """Run scenarios and print which rows, rules and refused pairs they exercise."""
    coverage = Coverage()
    result = HOLDS
    with _progress(len(files)) as progress:
        task = progress.add_task("", total=len(files))
        for file in files:
            progress.update(task, description=file.stem)
            try:
                scenario = read_scenario(file)
            except ScenarioError as error:
                complain(PROGRAM, str(error))
                return CANNOT
            verdict = play(Run(scenario, listeners=[coverage.hear]))
            coverage.add_judged(verdict)
            if not verdict.holds:
                complain(PROGRAM, f"{file}: the claim does not hold")
                result = DOES_NOT_HOLD
            progress.advance(task)
    missing = _print_counts(coverage)
    return DOES_NOT_HOLD if missing else result


def _print_counts(coverage: Coverage) -> bool:
    console = console_for()
    rows = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("machine", "state", "event", "times"):
        rows.add_column(name, justify="right" if name == "times" else "left", no_wrap=True)
    for pair in ROWS:
        times = coverage.rows[pair]
        rows.add_row(*pair, Text(str(times), "" if times else "bold red"))
    print_table(console, rows)
    refusals = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("refused in", "state", "event", "times"):
        refusals.add_column(name, justify="right" if name == "times" else "left", no_wrap=True)
    for pair in REFUSED:
        if times := coverage.refused[pair]:
            refusals.add_row(*pair, str(times))
    print_table(console, refusals)
    rules = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("rule", "times", ""):
        rules.add_column(name, justify="right" if name == "times" else "left", no_wrap=True)
    for rule in Rule:
        times = coverage.rules[rule]
        otherwise = f"shown by {SHOWN_OTHERWISE[rule]}" if rule in SHOWN_OTHERWISE else ""
        rules.add_row(rule, Text(str(times), "" if times or otherwise else "bold red"), Text(otherwise, "dim"))
    print_table(console, rules)
    missing_rows, missing_rules = coverage.missing_rows(), coverage.missing_rules(SHOWN_OTHERWISE)
    refused = sum(bool(coverage.refused[pair]) for pair in REFUSED)
    console.print(
        f"rows {len(ROWS) - len(missing_rows)} of {len(ROWS)}, "
        f"rules {sum(bool(coverage.rules[rule]) for rule in Rule)} of {len(Rule)}, "
        f"refused pairs {refused} of {len(REFUSED)}"
    )
    for pair in missing_rows:
        console.print(Text(f"no scenario exercises {pair[0]} {pair[1]} --{pair[2]}-->", "bold red"))
    for rule in missing_rules:
        console.print(Text(f"no scenario exercises {rule}", "bold red"))
    return bool(missing_rows or missing_rules)
