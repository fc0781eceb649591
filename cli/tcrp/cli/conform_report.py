"""The report of a judgement: as a table, JSON and JUnit; `conform_html` draws pages and the badge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from rich.padding import Padding
from rich.progress import Progress as RichProgress
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from tcrp.cli.console import console_for, fitted, is_screen, print_table
from tcrp.judge.client_stage import ENTER_US
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Exchange, Judgement, Outcome, Verdict
from tcrp.spec.durations import write_duration
from tcrp.spec.rules import SENTENCES

SIGNS = {Outcome.HOLDS: ("✔", "green"), Outcome.BROKEN: ("✗", "red"), Outcome.NOT_TESTED: ("-", "dim")}
EXCHANGES_SHOWN = 6
BYTES_SHOWN = 400


class Progress:
    """Shows on a terminal which probe runs."""

    def __init__(self, total: int) -> None:
        console = console_for("stderr")
        text = TextColumn("{task.description}", markup=False)
        self._progress = RichProgress(text, console=console, transient=True, disable=not console.is_terminal)
        self._total = total
        self._begun = 0

    def __enter__(self) -> Callable[[str], None]:
        self._progress.start()
        self._task = self._progress.add_task("", total=self._total)
        return self._begins

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def _begins(self, probe: str) -> None:
        self._begun += 1
        self._progress.update(self._task, description=f"probe {self._begun} of {self._total}: {probe}")


def shown_bytes(data: bytes, most: int) -> str:
    """Bytes for a reader: text in quotes, the rest in hexadecimal, repeated bytes counted (`00×28`)."""
    pieces, position = list[str](), 0
    limited = data[:BYTES_SHOWN]
    while position < len(limited):
        text = _text_at(limited, position)
        if text:
            pieces.append(json.dumps(text, ensure_ascii=False))
            position += len(text.encode())
            continue
        run = 1
        while position + run < len(limited) and limited[position + run] == limited[position]:
            run += 1
        pieces.append(f"{limited[position]:02x}" + (f"×{run}" if run > 1 else ""))
        position += run
    shown = " ".join(pieces)
    if len(shown) > most:
        begins = most // 3  # what differs is often at the end
        shown = f"{shown[:begins]}…{shown[begins + 1 - most :]}"
    return f"{shown} ({len(data)} bytes)" if len(data) > BYTES_SHOWN else shown


def _text_at(data: bytes, position: int) -> str:
    """The text of at least three characters that begins there, or nothing."""
    text = data[position:].decode(errors="replace")
    end = next((i for i, each in enumerate(text) if not each.isprintable() or each == "\ufffd"), len(text))
    return text[:end] if end >= 3 else ""


def summary(judgement: Judgement) -> str:
    """The counts, in one line."""
    broken, good, rest = (
        len(judgement.with_outcome(each)) for each in (Outcome.BROKEN, Outcome.HOLDS, Outcome.NOT_TESTED)
    )
    return f"{broken} {'rule is' if broken == 1 else 'rules are'} broken, {good} hold, {rest} were not tested"


def bounds(judgement: Judgement, waits: Waits) -> str:
    """How long the judge waits for what."""
    if judgement.of_client:
        return (
            f"It waits at most {write_duration(ENTER_US)} for a request, {write_duration(waits.answer_us)} for what it "
            f"does over TCP, {write_duration(waits.relay_us)} for a datagram or for what is shown (sent again "
            f"twice), {write_duration(waits.patience_us)} for a timeout of the client (--patience)."
        )
    return (
        f"It waits at most {write_duration(waits.answer_us)} for an answer, {write_duration(waits.relay_us)} for a "
        f"relay (said again three times), {write_duration(waits.patience_us)} for a timeout of the server (--patience)."
    )


# --- table ---------------------------------------------------------------------------------------


def print_report(judgement: Judgement, waits: Waits) -> None:
    """The verdicts, and below them for each broken rule the proof and the repair."""
    console = console_for()
    console.print(Text(f"{judgement.subject}, dialect {judgement.dialect}", "bold"))
    console.print(Text(bounds(judgement, waits), "dim"))
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for column in ("sign", "rule", "outcome"):
        table.add_column(column, no_wrap=True)
    table.add_column("said", overflow="fold")
    for verdict in judgement.verdicts:
        sign, style = SIGNS[verdict.outcome]
        table.add_row(
            fitted(Text(sign, style), console),
            Text(verdict.rule),
            Text(verdict.outcome, style),
            fitted(Text(verdict.said), console),
        )
    print_table(console, table)
    for verdict in judgement.with_outcome(Outcome.BROKEN):
        _print_broken(console, judgement, verdict)
    console.print()
    for note in judgement.notes:
        console.print(fitted(Text(f"Note: {note}."), console))
    console.print(Text(summary(judgement) + ".", "red" if judgement.is_broken else "bold"))


def _print_broken(console: Any, judgement: Judgement, verdict: Verdict) -> None:
    proof = verdict.proof
    console.print()
    console.print(Text(f"{verdict.rule} is broken", "bold red"))
    rows = [
        ("rule", SENTENCES[verdict.rule]),
        ("seen", verdict.said),
        ("repair", judgement.repairs.get(verdict.rule, "")),
    ]
    if proof is not None:
        rows.append(("probe", proof.probe))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column("what", no_wrap=True, style="bold")
    table.add_column("text", overflow="fold")
    for what, text in rows:
        table.add_row(what, fitted(Text(text), console))
    print_table(console, table)
    if proof is None or not proof.evidence:
        return
    left_out = len(proof.evidence) - EXCHANGES_SHOWN
    console.print(Text("the last bytes" + (f" (--format html has {left_out} more)" if left_out > 0 else ""), "dim"))
    width = max(console.width - 2, 40) if is_screen(console) else 160
    for exchange in proof.evidence[-EXCHANGES_SHOWN:]:
        line = fitted(Text(exchange_line(exchange, width)), console)
        console.print(Padding(line, (0, 0, 0, 2)) if is_screen(console) else Text("  ") + line, no_wrap=True, crop=True)


def exchange_line(exchange: Exchange, width: int) -> str:
    """One exchange in a line: `0.31 s ann → UDP "…"`."""
    head = f"{exchange.at_us / 1_000_000:6.3f} s {exchange.who:<5} {exchange.sign} {exchange.transport} "
    note = f" ({exchange.note})" if exchange.note and exchange.data else exchange.note
    return head + shown_bytes(exchange.data, max(width - len(head) - len(note), 16)) + note


# --- JSON, JUnit ---------------------------------------------------------------------------------


def as_json(judgement: Judgement, waits: Waits) -> str:
    """The judgement as one JSON object."""
    verdicts = [
        {
            "rule": verdict.rule,
            "outcome": verdict.outcome,
            "said": verdict.said,
            "inconclusive": verdict.is_inconclusive,
            "text": SENTENCES[verdict.rule],
            "repair": judgement.repairs.get(verdict.rule),
            "findings": [
                {
                    "probe": each.probe,
                    "outcome": each.outcome,
                    "said": each.said,
                    "exchange": [
                        {
                            "at_us": step.at_us, "who": step.who, "transport": step.transport,
                            "to_server": step.sign == "→", "hex": step.data.hex(), "note": step.note,
                        }
                        for step in (each.evidence if each.outcome is Outcome.BROKEN else ())
                    ],
                }
                for each in verdict.findings
            ],
        }
        for verdict in judgement.verdicts
    ]  # fmt: skip
    whole = {
        "subject": judgement.subject,
        "dialect": judgement.dialect,
        "conforms": not judgement.is_broken,
        "conclusive": judgement.is_conclusive,
        "waits": {name: value for name, value in waits._asdict().items() if name.endswith("_us")},
        "notes": list(judgement.notes),
        "verdicts": verdicts,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1)


def as_junit(judgement: Judgement) -> str:
    """The judgement as a JUnit test suite: a test case for each rule."""
    broken, rest = (len(judgement.with_outcome(each)) for each in (Outcome.BROKEN, Outcome.NOT_TESTED))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={quoteattr("tcrp conformance: " + judgement.subject)} tests="{len(judgement.verdicts)}" '
        f'failures="{broken}" skipped="{rest}" errors="0">',
    ]
    for verdict in judgement.verdicts:
        name = quoteattr(f"{verdict.rule} {SENTENCES[verdict.rule]}")
        lines.append(f'  <testcase classname="{judgement.dialect}" name={name}>')
        if verdict.outcome is Outcome.BROKEN:
            exchange = verdict.proof.evidence if verdict.proof is not None else ()
            body = [judgement.repairs.get(verdict.rule, ""), *(exchange_line(each, 200) for each in exchange)]
            message, text = quoteattr(_printable(verdict.said)), escape(_printable("\n".join(body)))
            lines.append(f"    <failure message={message}>{text}</failure>")
        elif verdict.outcome is Outcome.NOT_TESTED:
            lines.append(f"    <skipped message={quoteattr(_printable(verdict.said))}/>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>"])


def _printable(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)
