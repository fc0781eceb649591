"""Files with the results of swarms and benchmarks (`tcrp-results/1`), which `chat-sim report` gathers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tcrp.cli.exits import OutputLost

SCHEMA = "tcrp-results/1"
BYTES_MAX = 16_000_000


@dataclass(frozen=True, slots=True)
class Results:
    """`failures` are sentences. `figures` are (what, value, unit). Counts are by `machine state event`, and by rule.

    `machine` says what a benchmark was measured on: machine, kernel, python, commit, build (pure or compiled).
    """

    title: str
    kind: str
    seconds: float
    runs: int = 0
    records: int = 0
    failures: tuple[str, ...] = ()
    figures: tuple[tuple[str, float, str], ...] = ()
    rows: dict[str, int] | None = None
    refused: dict[str, int] | None = None
    rules: dict[str, int] | None = None
    machine: dict[str, str] | None = None


def write_results(path: Path, results: Results) -> None:
    """Raises `OutputLost`."""
    try:
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(results)}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputLost(f"{path}: the results cannot be written: {error.strerror}") from None


def read_results(path: Path) -> Results | None:
    """The results in a file; None if it holds something else. Raises `ValueError` if they cannot be understood."""
    if path.stat().st_size > BYTES_MAX:
        return None
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not str(data.get("schema", "")).startswith("tcrp-results/"):
        return None
    if data.pop("schema") != SCHEMA:
        raise ValueError(f"of another version; this one reads {SCHEMA}")
    try:
        for counts in (data["rows"], data["refused"], data["rules"]):
            if not all(type(times) is int for times in (counts or {}).values()):
                raise ValueError("a count is a whole number")
        if not all(type(each) is str for each in (data.get("machine") or {}).values()):
            raise ValueError("what is said of the machine is text")
        figures = tuple((str(what), float(value), str(unit)) for what, value, unit in data.pop("figures"))
        return Results(**{**data, "failures": tuple(map(str, data["failures"])), "figures": figures})
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"cannot be understood: {error}") from None
