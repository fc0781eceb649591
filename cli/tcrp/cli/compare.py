"""`chat-sim determinism` and `diff`: compares two traces and shows where they first differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tcrp.cli.console import console_for, print_table
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, UsageError, complain
from tcrp.trace.records import SCHEMA

PROGRAM = "chat-sim"
HASH_SEEDS = ("1", "2")
COMMON_SHOWN = 3
CAUSES_SHOWN = 5

Record = dict[str, Any]


def determinism(files: Sequence[Path]) -> int:
    """Run each scenario in two processes with different hash seeds; compare the traces byte by byte."""
    console = console_for()
    result = HOLDS
    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        for file in files:
            traces = [Path(folder) / f"{hash_seed}.jsonl" for hash_seed in HASH_SEEDS]
            for hash_seed, trace in zip(HASH_SEEDS, traces, strict=True):
                command = [sys.executable, "-m", "tcrp.cli.sim", "run", str(file), "--format", "quiet"]
                done = subprocess.run(  # noqa: S603 (our own program)
                    [*command, "--trace", str(trace)],
                    env={**os.environ, "PYTHONHASHSEED": hash_seed},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode == CANNOT:
                    complain(PROGRAM, done.stderr.strip().removeprefix(f"{PROGRAM}: "))
                    return CANNOT
            if traces[0].read_bytes() == traces[1].read_bytes():
                console.print(Text.assemble(("✔", "green"), f" {file}"))
            else:
                console.print(Text.assemble(("✗", "red"), f" {file}: two runs of one seed differ"))
                a, b = (read_trace(str(trace)) for trace in traces)
                show_difference(a, b, f"PYTHONHASHSEED={HASH_SEEDS[0]}", f"PYTHONHASHSEED={HASH_SEEDS[1]}")
                result = DOES_NOT_HOLD
    return result


def diff(first: str, second: str) -> int:
    """Show where two traces first differ. Returns exit code 0 if they are equal, 1 if not."""
    return HOLDS if show_difference(read_trace(first), read_trace(second), first, second) else DOES_NOT_HOLD


def read_trace(name: str) -> list[Record]:
    """The records of a trace, without its header. Raises `UsageError`."""
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
        header, *records = [json.loads(line) for line in lines]
        schema = header.get("schema") if isinstance(header, dict) else None
    except OSError as error:
        raise UsageError(f"{name}: cannot read the file: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{name}: not a trace: one JSON object per line is expected") from None
    if schema != SCHEMA:
        raise UsageError(f"{name}: not a trace: the first line does not name the schema {SCHEMA}")
    return records


def show_difference(a: list[Record], b: list[Record], name_a: str, name_b: str) -> bool:
    """Show the first records that differ, side by side, with their causes. Returns whether the traces are equal."""
    console = console_for()
    at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if at == len(a) == len(b):
        console.print(f"the same {at} records")
        return True
    console.print(f"the same up to record {at}; the next records differ:")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2))
    table.add_column(name_a, overflow="fold")
    table.add_column(name_b, overflow="fold")
    for n in range(max(at - COMMON_SHOWN, 0), at):
        table.add_row(Text(sentence(a[n]), "dim"), Text(sentence(b[n]), "dim"))
    left = Text(sentence(a[at]) if at < len(a) else "(ends here)", "red")
    table.add_row(left, Text(sentence(b[at]) if at < len(b) else "(ends here)", "red"))
    print_table(console, table)
    for records, name in ((a, name_a), (b, name_b)):
        if at < len(records):
            console.print(f"causes in {name}:")
            for record in causes(records, at):
                console.print(Text(f"    {sentence(record)}", "dim"))
    return False


def causes(records: list[Record], at: int) -> list[Record]:
    """The chain of records that caused record `at`, which is the last one."""
    chain: list[Record] = []
    n = records[at].get("cause", 0)
    while 0 < n <= len(records) and len(chain) < CAUSES_SHOWN:
        chain.append(records[n - 1])
        n = records[n - 1].get("cause", 0)
    return chain[::-1]


def sentence(record: Record) -> str:
    """A record as one line of text."""
    seconds = f"{record['t_us'] / 1e6:.6f}"
    head = f"{record['n']} {seconds} {record['actor']} {record['kind']}"
    if record["kind"] in ("step", "refuse"):
        to = f" → {record['to']}" if "to" in record else f" ({record['why']})"
        return f"{head} {record['machine']} {record['id']}: {record['event']}, {record['from']}{to}"
    if "packet" in record:
        why = f" ({record['why']})" if "why" in record else ""
        return f"{head} {record['packet']} {record['link']}, {record['bytes']} B{why}"
    more = (record.get(key, "") for key in ("what", "name", "text", "why"))
    return " ".join([head, *filter(None, more)])
