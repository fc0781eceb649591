"""The report of a folder: what held and what did not, what was exercised, what took longest. HTML, and JUnit XML.

The page has no script, loads nothing, and forbids both. All its pictures are tables and SVG.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

from tcrp.engine.text import shown
from tcrp.spec.names import Rule
from tcrp.spec.rules import SENTENCES
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, Table
from tcrp.view.html import digest_of

SLOWEST_SHOWN_MAX = 15
BAR = 320
SHADES = 4


class Outcome(StrEnum):
    """What became of a case, in the order of how bad it is."""

    HOLDS = "holds"
    CLAIMS_NOTHING = "claims nothing"
    READ = "read"  # a trace: nothing is claimed of it
    FAILS = "does not hold"
    CANNOT = "cannot be run"


TILES = {
    Outcome.HOLDS: "hold", Outcome.CLAIMS_NOTHING: "claim nothing", Outcome.READ: "traces read",
    Outcome.FAILS: "do not hold", Outcome.CANNOT: "cannot be run",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One run, trace or swarm. `seconds` is how long it took here, `link` a page about it, from the report's folder."""

    name: str
    kind: str
    outcome: Outcome
    detail: tuple[str, ...] = ()
    seconds: float | None = None
    records: int = 0
    digest: str = ""
    link: str = ""

    @property
    def is_bad(self) -> bool:
        return self.outcome in (Outcome.FAILS, Outcome.CANNOT)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement; `where` says on what machine, and of which code."""

    of: str
    name: str
    value: float
    unit: str
    where: str = ""


@dataclass(slots=True)
class Report:
    """Everything in a folder. Counts are by (machine, state, event) and by rule."""

    title: str
    cases: Sequence[Case] = ()
    figures: Sequence[Figure] = ()
    rows: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    refused: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    otherwise: Mapping[str, str] = field(default_factory=dict)  # of rules that no record shows, what shows them


def report_page(report: Report) -> str:
    """The page."""
    style = f"\n{(files('tcrp.view') / 'page' / 'report.css').read_text(encoding='utf-8')}"
    policy = f"default-src 'none'; style-src {digest_of(style)}; base-uri 'none'; form-action 'none'"
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(report.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(_body(report)) + "\n</body>\n</html>\n"


def _text(text: object) -> str:
    return html.escape(shown(str(text)))


def _body(report: Report) -> Iterator[str]:
    bad = [case for case in report.cases if case.is_bad]
    yield f"<header><h1>{_text(report.title)}</h1>"
    verdict = f"✗ {len(bad)} of {len(report.cases)} failed" if bad else f"✔ all {len(report.cases)} passed"
    yield f'<p class="verdict {"bad" if bad else "good"}">{verdict}</p></header><main>'
    yield from _tiles(report)
    if bad:
        yield "<section><h2>What failed</h2>"
        for case in bad:
            link = f' <a href="{html.escape(case.link, quote=True)}">page</a>' if case.link else ""
            yield f'<article class="failure"><h3>{_text(case.name)}</h3>{link}'
            yield "".join(f"<p>{_text(line)}</p>" for line in case.detail) + "</article>"
        yield "</section>"
    if report.rows:
        yield from _coverage(report)
    yield from _slowest(report)
    if report.figures:
        yield "<section><h2>Measurements</h2><table><thead><tr><th>of</th><th>what</th><th class=n>value</th>"
        yield "<th>unit</th><th>measured on</th></tr></thead><tbody>"
        for each in report.figures:
            yield (
                f"<tr><td>{_text(each.of)}</td><td>{_text(each.name)}</td><td class=n>{each.value:,.6g}</td>"
                f"<td>{_text(each.unit)}</td><td>{_text(each.where)}</td></tr>"
            )
        yield "</tbody></table></section>"
    yield from _all_cases(report)
    yield "</main>"


def _tiles(report: Report) -> Iterator[str]:
    tiles = [(str(sum(case.outcome is outcome for case in report.cases)), TILES[outcome]) for outcome in Outcome]
    if report.rows:
        tiles.append((f"{sum(map(bool, report.rows.values()))}/{len(report.rows)}", "rows of the tables"))
        met = sum(bool(report.rules.get(rule)) or rule in report.otherwise for rule in Rule)
        tiles.append((f"{met}/{len(Rule)}", "rules"))
    shown_tiles = [(count, name) for count, name in tiles if count != "0"]
    yield '<ul class="tiles">' + "".join(f"<li><b>{c}</b>{_text(n)}</li>" for c, n in shown_tiles) + "</ul>"


# --- coverage ------------------------------------------------------------------------------------


def _shade(count: int) -> int:
    """1 for what was exercised a few times, up to `SHADES` for thousands of times; 0 for never."""
    return 0 if not count else min(len(str(count)), SHADES)


def _coverage(report: Report) -> Iterator[str]:
    yield "<section><h2>Rules exercised</h2>"
    yield "<p class=hint>How often, from few (pale) to thousands; framed: never.</p><ul class=rules>"
    for rule in Rule:
        count = report.rules.get(rule, 0)
        otherwise = report.otherwise.get(rule, "")
        said = (
            ("once" if count == 1 else f"{count:,} times")
            if count
            else f"shown by {otherwise}"
            if otherwise
            else "never"
        )
        kind = f"s{_shade(count)}" if count or not otherwise else "other"
        title = f"{rule}: {said}. {SENTENCES[rule]}"
        yield f'<li class="{kind}" title="{_text(title)}">{str(rule).removeprefix("R-")}<span>{_text(said)}</span></li>'
    yield "</ul></section><section><h2>Rows of the tables exercised</h2>"
    yield "<p class=hint>Each cell is an event in a state. Coloured: a row of the table, and how often. "
    yield "Grey: refused, and how often. Framed: a row that nothing has exercised.</p><div class=tables>"
    for table in (SESSION, ROOM, HANDSHAKE):
        yield from _matrix(table, report)
    yield "</div></section>"


def _matrix(table: Table[Any, Any], report: Report) -> Iterator[str]:
    machine = str(table.machine)
    yield f"<table class=matrix><caption>{machine}</caption><thead><tr><td></td>"
    yield "".join(f"<th scope=col><span>{state}</span></th>" for state in table.states) + "</tr></thead><tbody>"
    for event in table.events:
        yield f"<tr><th scope=row>{event}</th>"
        for state in table.states:
            key = (machine, str(state), str(event))
            if table.takes(state, event):
                count = report.rows.get(key, 0)
                yield f"<td class=s{_shade(count)}>{_short(count)}</td>"
            else:
                count = report.refused.get(key, 0)
                yield f"<td class=refused>{_short(count) if count else ''}</td>"
        yield "</tr>"
    yield "</tbody></table>"


def _short(count: int) -> str:
    if count < 10_000:
        return str(count)
    return f"{count // 1000}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"


# --- cases ---------------------------------------------------------------------------------------


def _slowest(report: Report) -> Iterator[str]:
    timed = sorted(
        ((case.seconds, case.name) for case in report.cases if case.seconds is not None), key=lambda each: -each[0]
    )[:SLOWEST_SHOWN_MAX]
    if not timed or not timed[0][0]:
        return
    yield "<section><h2>Slowest</h2><table class=bars><tbody>"
    for seconds, name in timed:
        wide = max(BAR * seconds / timed[0][0], 1)
        yield (
            f"<tr><th scope=row>{_text(name)}</th><td><svg width={BAR} height=12 aria-hidden=true>"
            f'<rect width="{wide:.1f}" height="12" rx="3"/></svg></td><td class=n>{seconds:.2f} s</td></tr>'
        )
    yield "</tbody></table></section>"


def _all_cases(report: Report) -> Iterator[str]:
    yield "<section><h2>All</h2><table><thead><tr><th></th><th>name</th><th>kind</th><th>outcome</th>"
    yield "<th class=n>records</th><th class=n>seconds</th><th>digest</th></tr></thead><tbody>"
    for case in report.cases:
        sign = "✗" if case.is_bad else "✔"
        seconds = "" if case.seconds is None else f"{case.seconds:.2f}"
        name = (
            f'<a href="{html.escape(case.link, quote=True)}">{_text(case.name)}</a>' if case.link else _text(case.name)
        )
        records = f"{case.records:,}" if case.records else ""
        yield (
            f'<tr class="{"bad" if case.is_bad else "good"}"><td>{sign}</td><td>{name}</td><td>{_text(case.kind)}</td>'
            f"<td>{case.outcome}</td><td class=n>{records}</td><td class=n>{seconds}</td>"
            f"<td><code>{_text(case.digest[:16])}</code></td></tr>"
        )
    yield "</tbody></table></section>"


# --- JUnit ---------------------------------------------------------------------------------------


def junit(report: Report) -> str:
    """The cases as JUnit XML, which CI systems read: what does not hold is a failure, what cannot be run an error."""
    suite = ElementTree.Element(
        "testsuite",
        name=shown(report.title),
        tests=str(len(report.cases)),
        failures=str(sum(case.outcome is Outcome.FAILS for case in report.cases)),
        errors=str(sum(case.outcome is Outcome.CANNOT for case in report.cases)),
        time=f"{sum(case.seconds or 0 for case in report.cases):.3f}",
    )
    for case in report.cases:
        element = ElementTree.SubElement(
            suite, "testcase", classname=shown(case.kind), name=shown(case.name), time=f"{case.seconds or 0:.3f}"
        )
        if case.is_bad:
            kind = "failure" if case.outcome is Outcome.FAILS else "error"
            message = shown(case.detail[0]) if case.detail else str(case.outcome)
            ElementTree.SubElement(element, kind, message=message).text = "\n".join(map(shown, case.detail))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
