"""`chat-sim determinism` and `diff`: compares two traces and shows where they first differ."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from msgspec.structs import asdict
from rich.table import Table
from rich.text import Text

from tcrp.cli.console import console_for, print_table
from tcrp.cli.exits import DOES_NOT_HOLD, HOLDS, UsageError, complain
from tcrp.cli.pipes import readable_twice
from tcrp.trace.causes import chain_of_causes
from tcrp.trace.plural import counted
from tcrp.trace.reader import TraceError, read_trace
from tcrp.trace.records import Record
from tcrp.trace.sentences import timed_sentence

PROGRAM = "chat-sim"
HASH_SEEDS = ("1", "2")
COMMON_SHOWN = 3
CAUSES_SHOWN = 5


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
                if done.returncode not in (HOLDS, DOES_NOT_HOLD):  # there is no whole trace
                    complain(PROGRAM, done.stderr.strip().removeprefix(f"{PROGRAM}: "))
                    return done.returncode
            if traces[0].read_bytes() == traces[1].read_bytes():
                console.print(Text.assemble(("✔", "green"), f" {file}"))
            else:
                console.print(Text.assemble(("✗", "red"), f" {file}: two runs of one seed differ"))
                a, b = map(str, traces)
                show_difference(a, b, f"PYTHONHASHSEED={HASH_SEEDS[0]}", f"PYTHONHASHSEED={HASH_SEEDS[1]}")
                result = DOES_NOT_HOLD
    return result


def diff(first: str, second: str) -> int:
    """Show where two traces part. 0: nowhere; 1: somewhere. Raises `UsageError` for a file that is no trace."""
    with readable_twice(first) as path:
        return HOLDS if show_difference(str(path), second, first, second) else DOES_NOT_HOLD


def read_records(path: str, name: str) -> Iterator[Record]:
    """The records of a trace, read as they are asked for. Raises `UsageError`, with `name` for the file."""
    try:
        yield from read_trace(path)[1]
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
    except TraceError as error:
        if error.line == 1 and name.endswith((".yaml", ".yml")):
            raise UsageError(f"{name}: not a trace; chat-sim run {name} --trace FILE writes one") from None
        raise UsageError(str(TraceError(name, error.line, error.column, error.what))) from None


def show_difference(path_a: str, path_b: str, name_a: str, name_b: str) -> bool:
    """Show the first records that differ, side by side, and what led to each. Returns whether there are none.

    Holds no more of the records that both traces have than the number of each one's cause. The trace
    `a` is read a second time, for the records that led to the difference.
    """
    console = console_for()
    causes = array("Q")
    common: deque[Record] = deque(maxlen=COMMON_SHOWN)
    for a, b in zip_longest(read_records(path_a, name_a), read_records(path_b, name_b)):
        if a != b:
            break
        assert a is not None, "one of two traces has a record"
        causes.append(a.cause)
        common.append(a)
    else:
        console.print(f"the same {counted(len(causes), 'record')}")
        return True
    console.print(f"the same up to record {len(causes)}; then they part:")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2))
    table.add_column(name_a, overflow="fold")
    table.add_column(name_b, overflow="fold")
    for record in common:
        table.add_row(Text(_numbered(record), "dim"), Text(_numbered(record), "dim"))
    table.add_row(*(Text("(ends here)" if each is None else _numbered(each), "red") for each in (a, b)))
    print_table(console, table)
    if type(a) is type(b) and a is not None and b is not None:
        console.print(f"they differ in: {', '.join(_fields_that_differ(a, b))}")
    chains = {
        name: chain_of_causes(record.cause, lambda n: causes[n - 1], CAUSES_SHOWN)
        for name, record in ((name_a, a), (name_b, b))
        if record is not None
    }
    earlier = _records_numbered({n for chain in chains.values() for n in chain}, path_a, name_a)
    for name, chain in chains.items():
        console.print(f"what led there in {name}:")
        for n in chain:
            console.print(Text(f"    {_numbered(earlier[n])}", "dim"))
    return False


def _records_numbered(numbers: set[int], path: str, name: str) -> dict[int, Record]:
    """The records of a trace that have these numbers."""
    if not numbers:
        return {}
    found: dict[int, Record] = {}
    for record in islice(read_records(path, name), max(numbers)):
        if record.n in numbers:
            found[record.n] = record
    return found


def _fields_that_differ(a: Record, b: Record) -> list[str]:
    fields, others = asdict(a), asdict(b)
    return [name.rstrip("_") for name in fields if fields[name] != others[name]]


def _numbered(record: Record) -> str:
    return f"{record.n}  {timed_sentence(record)}"
