"""`chat-sim`: parses the arguments and runs a command.

Exit code 0: the claim holds; 1: it does not; 2: the scenario cannot be read or run; 74: the output cannot be
written; 70: tcrp itself failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tcrp.cli.conform import add_conform
from tcrp.cli.dialect_arguments import add_dialect
from tcrp.cli.exits import CANNOT, HOLDS, OUR_FAULT, OurFault, OutputLost, UsageError, complain
from tcrp.cli.judge import add_judge
from tcrp.cli.output import ArgumentParser, run_program, utf8_stdout
from tcrp.cli.version import ShowVersion
from tcrp.trace.plural import counted

PROGRAM = "chat-sim"
ROWS_SHOWN = 400
SWARM_RUNS = 10_000
JOBS_PER_CORE_MAX = 16
SUFFIXES = (".yaml", ".yml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `chat-sim`."""
    return run_program(PROGRAM, lambda: _command(arguments))


def _command(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        result: int = options.command(options)
    except OurFault as fault:
        complain(PROGRAM, str(fault))
        return OUR_FAULT
    return result


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog=PROGRAM, description="Run scenarios of the chat protocol on a simulated network.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run scenarios and check their claims")
    run.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a scenario file, or a folder of them")
    run.add_argument("--seed", type=int, help="use this seed instead of the scenario's own")
    run.add_argument(
        "--trace", metavar="FILE", help="write the trace there (a folder, for several scenarios; - for stdout)"
    )
    run.add_argument(
        "--html", metavar="FILE", help="write a page with the sequence diagram there (a folder, for several scenarios)"
    )
    run.add_argument(
        "--format",
        choices=("table", "summary", "jsonl", "quiet"),
        help="what to print (table; quiet for several scenarios)",
    )
    run.add_argument("--rows", type=_rows, default=ROWS_SHOWN, metavar="N|all", help=f"rows shown ({ROWS_SHOWN})")
    run.add_argument("--strict", action="store_true", help="fail scenarios that claim nothing (no `expect:`)")
    run.add_argument(
        "--summary", action="store_const", const="summary", dest="format", help="print what happened in sentences"
    )
    run.add_argument("--only", type=_words, default=(), metavar="ACTOR,…", help="only rows of these: bob,server")
    run.add_argument(
        "--hide", type=_kinds, default=(), metavar="KIND,…", help="no rows of these kinds: keep-alive,handshake"
    )
    run.add_argument("--no-fold", action="store_true", help="each keep-alive and retransmission in a row of its own")
    run.add_argument("--sockets", action="store_true", help="run on real sockets too, and compare the steps")
    run.add_argument("--patience", metavar="TIME", help="with --sockets: skip scenarios longer than this (60s)")
    run.set_defaults(command=_run)
    show = commands.add_parser("show", help="draw a trace: as a web page, a picture, text or data")
    show.add_argument("source", metavar="SOURCE", help="a trace (- for stdin), a scenario, which is run, "
                      "or a bundle of a swarm")  # fmt: skip
    show.add_argument("--format", choices=("html", "svg", "mermaid", "text", "json", "pcapng"),
                      help="html: a page; text: sentences; pcapng: a capture, for Wireshark "
                      "(what FILE ends with; without FILE, html)")  # fmt: skip
    show.add_argument("-o", "--output", metavar="FILE", help="write it there (stdout)")
    show.add_argument("--seed", type=int, help="run the scenario with this seed instead of its own")
    show.add_argument("--from", dest="first", type=_count, default=1, metavar="N", help="begin with this record")
    show.add_argument("--to", dest="last", type=_count, metavar="N", help="end with this record")
    show.set_defaults(command=_show)
    report = commands.add_parser("report", help="write a page and JUnit XML about a folder of scenarios, traces, "
                                 "bundles and results")  # fmt: skip
    report.add_argument("folder", metavar="FOLDER", help="its scenarios are run, its traces read")
    report.add_argument("-o", "--output", metavar="FILE", help="the page (report.html in the folder)")
    report.add_argument("--junit", metavar="FILE", help="the XML (beside the page)")
    report.set_defaults(command=_report)
    new = commands.add_parser("new", help="write a commented example of a scenario")
    new.add_argument("name", metavar="NAME", nargs="?", default="", help="its file; .yaml is added")
    new.add_argument("--like", metavar="SCENARIO", help="copy this scenario, which comes with tcrp, instead")
    new.add_argument("--list", action="store_true", help="name the scenarios that come with tcrp")
    new.set_defaults(command=_new)
    spec = commands.add_parser("spec", help="show the protocol's machines")
    spec.add_argument("machine", nargs="?", choices=("session", "room", "handshake"), help="show only this one")
    spec.add_argument("--format", choices=("table", "mermaid", "dot", "wireshark", "tla"), default="table",
                      help="wireshark: a dissector; tla: the machines and a small chat in TLA+")  # fmt: skip
    spec.add_argument("--bounds", metavar="SCENARIO", help="with tla: as many users, texts and faults as its explore: "
                      "says")  # fmt: skip
    spec.add_argument("-o", "--output", metavar="FOLDER", help="with tla: write Tcrp.tla and Tcrp.cfg there")
    spec.set_defaults(command=_spec)
    step = commands.add_parser("step", help="step through a trace or the run of a scenario, on a full screen")
    step.add_argument("source", metavar="SOURCE", help="a trace, a scenario, or the bundle of a failure")
    step.add_argument("--seed", type=int, help="use this seed instead of the scenario's own")
    step.add_argument("--at", type=_count, default=1, metavar="N", help="begin at this record (1)")
    step.set_defaults(command=_step)
    explain = commands.add_parser("explain", help="say what a rule, a property or a reason in a trace means")
    explain.add_argument("names", nargs="*", metavar="NAME", help="such as R-TOK-4, limits-hold, 'no such token'; "
                         "without one, all of them")  # fmt: skip
    explain.set_defaults(command=_explain)
    check = commands.add_parser("check-syntax", help="read scenarios without running them")
    check.add_argument("scenarios", nargs="+", metavar="FILE", help="a scenario file, or a folder of them")
    check.set_defaults(command=_check_syntax)
    coverage = commands.add_parser("coverage", help="show which rows and rules scenarios exercise")
    coverage.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a scenario file, or a folder of them")
    coverage.set_defaults(command=_coverage)
    swarm = commands.add_parser("swarm", help="run random scenarios on every core; keep and shrink failures")
    swarm.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="run these under many seeds instead of random ones"
    )
    swarm.add_argument("--runs", type=_count, metavar="N", help=f"how many scenarios to run ({SWARM_RUNS})")
    swarm.add_argument("--for", dest="lasting", metavar="TIME", help="run scenarios for this long")
    swarm.add_argument("--jobs", type=_count, metavar="J", help="how many processes (one per core)")
    swarm.add_argument("--dask", metavar="ADDRESS", help="run them on the workers of this Dask scheduler: HOST:8786")
    swarm.add_argument("--seed", type=int, default=0, help="seed of the first scenario; each next one adds 1 (0)")
    swarm.add_argument("--vary", metavar="FILE", help="TOML file of knobs: users, steps, horizon, attackers …")
    swarm.add_argument(
        "--bundles",
        default="swarm-failures",
        metavar="FOLDER",
        help="folder for the bundles of failures (swarm-failures)",
    )
    swarm.add_argument(
        "--coverage", action="store_true", help="measure which branches of the server's engine they take (slower)"
    )
    swarm.add_argument(
        "--reference-every",
        type=_count,
        default=1,
        metavar="N",
        help="compare only one run in N with the reference server (1; faster)",
    )
    swarm.add_argument("--results", metavar="FILE", help="write counts and failures there, for `chat-sim report`")
    swarm.set_defaults(command=_swarm)
    explore = commands.add_parser("explore", help="visit every order of events within a scenario's bounds")
    explore.add_argument("scenario", metavar="SCENARIO", help="a scenario with a section explore:")
    explore.add_argument("--depth", type=_count, metavar="N", help="go no further than N steps from the start")
    explore.add_argument("--states", type=_count, metavar="N", help="stop after N states")
    explore.add_argument("--for", dest="lasting", metavar="TIME", help="stop after this time")
    explore.add_argument("--jobs", type=_count, metavar="J", help="how many processes (one per core)")
    explore.add_argument("--resume", metavar="FILE", help="keep there how far the search is, and go on from it")
    explore.add_argument(
        "--counterexample", metavar="FILE", default="counterexample.yaml",
        help="write there the scenario that breaks a property (counterexample.yaml)",
    )  # fmt: skip
    explore.set_defaults(command=_explore)
    shrink = commands.add_parser("shrink", help="find the shortest scenario that fails in the same way")
    shrink.add_argument("bundles", nargs="+", metavar="BUNDLE", help="a bundle of a swarm, or a scenario that fails")
    shrink.set_defaults(command=_shrink)
    determinism = commands.add_parser("determinism", help="run twice in different processes and compare the traces")
    determinism.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a scenario file, or a folder of them")
    determinism.set_defaults(command=_determinism)
    diff = commands.add_parser("diff", help="show where two traces first differ, and why")
    diff.add_argument("first", metavar="A", help="a trace")
    diff.add_argument("second", metavar="B", help="another trace")
    diff.set_defaults(command=_diff)
    add_conform(commands)
    add_dialect(commands)
    add_judge(commands)
    parser.add_argument("--version", action=ShowVersion, help="show program's version number and exit")
    return parser


def _rows(word: str) -> int | None:
    if word == "all":
        return None
    if not word.isdecimal() or int(word) < 2:
        raise argparse.ArgumentTypeError(f"{word!r} is neither a number of at least 2 nor 'all'")
    return int(word)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _kinds(text: str) -> tuple[str, ...]:
    from tcrp.cli.rows import KINDS
    from tcrp.sim.scenario.errors import nearest, one_of

    for word in _words(text):
        if word not in KINDS:
            raise argparse.ArgumentTypeError(f"{word!r} is no kind of row: {one_of(KINDS)}{nearest(word, KINDS)}")
    return _words(text)


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < len(word) < 10 and int(word) > 0):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of at least 1")
    return int(word)


def _jobs(options: argparse.Namespace) -> int:
    """How many processes: one per core unless it is said. Raises `UsageError`."""
    from tcrp.cli.swarm import cores

    most = JOBS_PER_CORE_MAX * cores()
    if options.jobs is not None and options.jobs > most:
        raise UsageError(f"--jobs {options.jobs}: at most {most} processes make sense on this machine")
    return options.jobs or cores()


def _files(names: Sequence[str]) -> list[Path]:
    """The scenario files that the names stand for, in order. Raises `UsageError`."""
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
            if not inside:
                raise UsageError(f"{name}: there is no scenario (*.yaml) in this folder")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"{name}: there is no such file or folder")
    return files


# --- run -----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from tcrp.cli.runs import run_one, run_several
    from tcrp.cli.steps import View
    from tcrp.cli.trace_headers import open_trace

    files = _files(options.scenarios)
    if options.sockets:
        return _run_on_sockets(options, files)
    if options.trace == "-":
        if options.format == "table":
            raise UsageError("--trace - writes the trace to stdout, where the table goes: leave one of the two out")
        options.trace, options.format = None, "jsonl"
    if options.format == "jsonl":
        utf8_stdout()
    if len(files) == 1 and not Path(options.scenarios[0]).is_dir():
        with open_trace(options.trace) as trace:
            view = View(options.format or "table", options.rows, options.only, options.hide, not options.no_fold)
            page = Path(options.html) if options.html is not None else None
            return run_one(files[0], options.seed, trace, view, page=page, is_strict=options.strict)
    folder, pages = _folder(options.trace, "traces"), _folder(options.html, "pages")
    view = View(options.format or "quiet", options.rows, options.only, options.hide, not options.no_fold)
    return run_several(files, options.seed, folder, view, pages=pages, is_strict=options.strict)


def _folder(name: str | None, of: str) -> Path | None:
    """The folder of that name, which is made. Raises `OutputLost`."""
    if name is None:
        return None
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputLost(f"{folder}: cannot be created as a folder for {of}: {error.strerror}") from None
    return folder


def _run_on_sockets(options: argparse.Namespace, files: list[Path]) -> int:
    from tcrp.cli.sockets import run_on_sockets  # a simulated run needs no network
    from tcrp.spec.durations import parse_duration

    if options.trace is not None or options.format is not None or options.strict or options.html is not None:
        raise UsageError(
            "--trace, --html, --format and --strict do not work with --sockets; leave out one or the other"
        )
    try:
        patience_us = parse_duration(options.patience) if options.patience is not None else None
    except ValueError as error:
        raise UsageError(f"--patience: {error}") from None
    return run_on_sockets(files, options.seed, patience_us)


# --- show ----------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> int:
    from tcrp.cli.show import Range, show

    if options.last is not None and options.last < options.first:
        raise UsageError(f"--from {options.first} is behind --to {options.last}")
    return show(options.source, options.format, options.output, Range(options.first, options.last), options.seed)


# --- report --------------------------------------------------------------------------------------


def _report(options: argparse.Namespace) -> int:
    from tcrp.cli.report_folder import report_folder

    return report_folder(options.folder, options.output, options.junit)


# --- new -----------------------------------------------------------------------------------------


def _new(options: argparse.Namespace) -> int:
    from tcrp.cli.new import list_included, new

    return list_included() if options.list else new(options.name, options.like)


# --- spec ----------------------------------------------------------------------------------------


def _spec(options: argparse.Namespace) -> int:
    from tcrp.cli.machines import print_dissector, print_machines

    if options.format == "tla":
        from tcrp.cli.tla import print_tla, write_tla

        if options.machine is not None:
            raise UsageError("--format tla has all machines; leave the name out")
        [bounds] = _files([options.bounds]) if options.bounds is not None else [None]
        if options.output is not None:
            write_tla(Path(options.output), bounds)
        else:
            print_tla(bounds)
        return HOLDS
    if options.bounds is not None or options.output is not None:
        raise UsageError("--bounds and --output are for --format tla")
    if options.format == "wireshark":
        if options.machine is not None:
            raise UsageError("--format wireshark is about messages, not about a machine; leave its name out")
        print_dissector()
        return HOLDS
    print_machines(options.machine, options.format)
    return HOLDS


# --- step ----------------------------------------------------------------------------------------


def _step(options: argparse.Namespace) -> int:
    from tcrp.cli.step import step

    return step(options.source, options.seed, options.at)


# --- explain -------------------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> int:
    from tcrp.cli.explain import explain

    return explain(options.names)


# --- check-syntax --------------------------------------------------------------------------------


def _check_syntax(options: argparse.Namespace) -> int:
    from tcrp.sim.scenario.errors import ScenarioError
    from tcrp.sim.scenario.reader import read_scenario

    result = HOLDS
    for file in _files(options.scenarios):
        try:
            scenario = read_scenario(file)
        except ScenarioError as error:
            complain(PROGRAM, str(error))
            result = CANNOT
        else:
            parts = ((scenario.users, "user"), (scenario.script, "step"), (scenario.expect, "expectation"))
            print(f"{file}: ok ({', '.join(counted(len(each), noun) for each, noun in parts)})")
    return result


# --- coverage ------------------------------------------------------------------------------------


def _coverage(options: argparse.Namespace) -> int:
    from tcrp.cli.runs import print_coverage

    return print_coverage(_files(options.scenarios))


# --- swarm, shrink -------------------------------------------------------------------------------


def _swarm(options: argparse.Namespace) -> int:
    from tcrp.cli.swarm import Swarm, read_knobs, run_swarm
    from tcrp.sim.scenario.errors import ScenarioError
    from tcrp.sim.scenario.reader import read_scenario
    from tcrp.spec.durations import parse_duration

    if options.runs is not None and options.lasting is not None:
        raise UsageError("either --runs or --for, not both")
    if options.dask is not None and (options.jobs is not None or options.coverage):
        other = "--coverage" if options.coverage else "--jobs"
        raise UsageError(f"{other} is about processes of this machine, --dask about workers elsewhere: leave one out")
    if options.scenarios and options.vary is not None:
        raise UsageError("--vary shapes random scenarios; leave it out when you name a SCENARIO")
    try:
        seconds = parse_duration(options.lasting) / 1_000_000 if options.lasting is not None else None
        scenarios = tuple(read_scenario(file) for file in _files(options.scenarios))
    except ScenarioError as error:
        raise UsageError(str(error)) from None
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    runs = options.runs if options.runs is not None or seconds is not None else SWARM_RUNS
    knobs, folder = read_knobs(options.vary), Path(options.bundles)
    swarm = Swarm(
        runs,
        seconds,
        _jobs(options),
        options.seed,
        folder,
        knobs,
        scenarios,
        measures_branches=options.coverage,
        reference_every=options.reference_every,
        results=Path(options.results) if options.results is not None else None,
        dask=options.dask,
    )
    return run_swarm(swarm)


def _explore(options: argparse.Namespace) -> int:
    from tcrp.cli.explore import Options, run_explore
    from tcrp.explore.model import Bounds
    from tcrp.spec.durations import parse_duration

    try:
        seconds = parse_duration(options.lasting) / 1_000_000 if options.lasting is not None else None
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    [file] = _files([options.scenario]) if not Path(options.scenario).is_dir() else [None]
    if file is None:
        raise UsageError(f"{options.scenario} is a folder; name one scenario")
    resume = Path(options.resume) if options.resume is not None else None
    bounds = Bounds(options.depth, options.states, seconds)
    return run_explore(Options(file, bounds, _jobs(options), resume, Path(options.counterexample)))


def _shrink(options: argparse.Namespace) -> int:
    from tcrp.cli.failure_artifacts import SCENARIO
    from tcrp.cli.swarm import shrink

    bundles = [Path(name) / SCENARIO if Path(name).is_dir() else Path(name) for name in options.bundles]
    return shrink(_files([str(each) for each in bundles]))


# --- determinism, diff ---------------------------------------------------------------------------


def _determinism(options: argparse.Namespace) -> int:
    from tcrp.cli.compare import determinism

    return determinism(_files(options.scenarios))


def _diff(options: argparse.Namespace) -> int:
    from tcrp.cli.compare import diff

    return diff(options.first, options.second)


if __name__ == "__main__":
    sys.exit(main())
