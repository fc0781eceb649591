"""`chat-sim show`: a trace, the run of a scenario or a failure bundle as a page, picture, text or data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tcrp.cli.exits import HOLDS, OutputLost, UsageError
from tcrp.cli.failure_artifacts import README, SCENARIO, TRACE
from tcrp.cli.findings import about_run, about_trace
from tcrp.cli.output import utf8_stdout
from tcrp.cli.sources import find_source, is_scenario, play_for_a_look, read_scenario_file
from tcrp.trace.header import Header
from tcrp.trace.reader import TraceError, read_trace
from tcrp.trace.records import Record
from tcrp.view.about import About
from tcrp.view.picture import Picture

RECORDS_MAX = {"html": 300_000, "svg": 3_000, "mermaid": 3_000, "text": 1_000_000, "json": 300_000}
"""How many records a picture may have: beyond, browsers and readers of the other formats give up."""

ENDINGS = {
    ".html": "html", ".htm": "html", ".svg": "svg", ".mmd": "mermaid", ".txt": "text", ".json": "json",
    ".pcapng": "pcapng",
}  # fmt: skip
"""The format of a file with such an ending, if none is named."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which records are shown, by number."""

    first: int = 1
    last: int | None = None


def show(name: str, format: str | None, output: str | None, shown: Range, seed: int | None = None) -> int:
    """Write what `name` shows, a trace, scenario or bundle. Raises `UsageError` and `OutputLost`.

    Without `format`, the output's ending says it.
    """
    if format is None:
        format = _format_of(output)
    if format == "pcapng":
        from tcrp.cli.show_capture import show_capture

        if shown != Range():
            raise UsageError("--from and --to do not work with --format pcapng; Wireshark has filters of its own")
        return show_capture(name, output, seed)
    if output is None and format in ("html", "svg") and sys.stdout.isatty():
        raise UsageError(f"--format {format} is for a browser: name a file with -o FILE, or - for stdout")
    about, header, records = _source(name, seed)
    picture = _picture(header, records, format, shown, name)
    _write(FORMATS[format](picture, about), output)
    return HOLDS


def _format_of(output: str | None) -> str:
    if output is None or output == "-":
        return "html"
    format = ENDINGS.get(Path(output).suffix.lower())
    if format is None:
        raise UsageError(f"{output}: no format has this ending; those that have one are {', '.join(ENDINGS)}. "
                         "Name another file, or the --format")  # fmt: skip
    return format


# --- what is shown -------------------------------------------------------------------------------


def _source(name: str, seed: int | None) -> tuple[About, Header, Iterable[Record]]:
    if name == "-":
        header, records = _trace_from(sys.stdin, "stdin")
        return about_trace(header, "stdin"), header, records
    path = Path(name)
    if is_scenario(source := find_source(name)) and not (path / TRACE).is_file():
        played = play_for_a_look(read_scenario_file(source), seed)
        about = about_run(played.verdict, played.records, source.read_text(encoding="utf-8"))
        return about, played.header, played.records
    if seed is not None:
        raise UsageError(f"--seed {seed} is for scenarios; {name} is of one run")
    if path.is_dir():  # not run again: what has failed may be what runs it
        header, records = _trace_from(path / TRACE, str(path / TRACE))
        scenario, readme = (_text_of(path / each) for each in (SCENARIO, README))
        return about_trace(header, path.name, source=scenario, readme=readme), header, records
    header, records = _trace_from(path, name)
    return about_trace(header, path.name), header, records


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _trace_from(source: Path | Iterable[str], name: str) -> tuple[Header, Iterator[Record]]:
    try:
        header, records = read_trace(source, name=name)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
    except TraceError as error:
        raise UsageError(f"{error}\nchat-sim show takes a trace, a scenario (*.yaml) or a bundle of a swarm") from None
    return header, _whole(records)


def _whole(records: Iterator[Record]) -> Iterator[Record]:
    n = 0
    try:
        for record in records:
            n = record.n
            yield record
    except TraceError as error:
        hint = f"\nWhat comes before can be shown: --to {n}" if n else ""
        raise UsageError(f"{error}{hint}") from None


def _picture(header: Header, records: Iterable[Record], format: str, shown: Range, name: str) -> Picture:
    """The picture of the range. Raises `UsageError` before it takes more memory than the format can use."""
    most = RECORDS_MAX[format]
    picture = Picture(header, first=shown.first, last=shown.last)
    for record in records:
        picture.add(record)
        if record.n == shown.last:
            break
        if len(picture.records) > most:
            raise UsageError(
                f"{name}: more than {most:,} records, which is too many for --format {format}. "
                f"Choose a part: --from {shown.first} --to {shown.first + most - 1}"
            )
    if not picture.records:
        raise UsageError(f"{name}: there is no record {shown.first}; the last one is {picture.n}")
    return picture


# --- how ----------------------------------------------------------------------------------------


def _html(picture: Picture, about: About) -> Iterable[str]:
    from tcrp.view.html import page

    return [page(picture, about)]


def _svg(picture: Picture, about: About) -> Iterable[str]:
    from tcrp.view.svg import svg

    return [svg(picture, about)]


def _mermaid(picture: Picture, about: About) -> Iterable[str]:
    from tcrp.view.mermaid import mermaid

    return mermaid(picture, about)


def _text(picture: Picture, about: About) -> Iterable[str]:
    from tcrp.view.text import text

    return text(picture, about)


def _json(picture: Picture, about: About) -> Iterable[str]:
    from tcrp.view.data import data

    return [json.dumps(data(picture, about), ensure_ascii=False, indent=1) + "\n"]


FORMATS: dict[str, Callable[[Picture, About], Iterable[str]]] = {
    "html": _html, "svg": _svg, "mermaid": _mermaid, "text": _text, "json": _json,
}  # fmt: skip


def _write(parts: Iterable[str], output: str | None) -> None:
    if output is None or output == "-":
        utf8_stdout()
        for part in parts:
            sys.stdout.write(part)
        return
    write_file(Path(output), parts)
    print(f"written: {output}")


def write_file(path: Path, parts: Iterable[str]) -> None:
    """Raises `OutputLost`."""
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
    except OSError as error:
        raise OutputLost(f"{path}: cannot be written: {error.strerror}") from None
