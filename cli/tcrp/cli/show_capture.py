"""`chat-sim show --format pcapng`: a trace, or the run of a scenario, as a capture that Wireshark reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from tcrp.cli.exits import HOLDS, OutputLost, UsageError
from tcrp.cli.sources import find_source, is_scenario, open_trace_file, play_for_a_look, read_scenario_file
from tcrp.trace.lines import TraceError
from tcrp.view.pcapng import NothingToShow, write_pcapng


def show_capture(name: str, output: str | None, seed: int | None) -> int:
    """Write the trace or scenario `name` as a capture to the file `output`, or to stdout for `-`."""
    source = find_source(name)
    if not is_scenario(source) and seed is not None:
        raise UsageError("--seed is for scenarios; a trace is of one run")
    if output is None:
        raise UsageError("--format pcapng writes a binary file: name it with -o FILE, or - for stdout")
    try:
        if output == "-":
            _write_capture(source, sys.stdout.buffer, seed)
            return HOLDS
        with _open(output) as file:
            _write_capture(source, file, seed)
    except TraceError as error:
        raise UsageError(str(error)) from None
    print(f"written: {output}")
    return HOLDS


def _write_capture(source: Path, file: BinaryIO, seed: int | None) -> None:
    try:
        if is_scenario(source):
            played = play_for_a_look(read_scenario_file(source), seed, keeps_payloads=True)
            write_pcapng(played.header, played.records, file, played.payloads)
        else:
            header, records = open_trace_file(source)
            write_pcapng(header, records, file)
    except NothingToShow:
        raise UsageError(
            f"{source}: there is no packet in this trace. That of a program on real sockets holds none: "
            "capture its packets with tcpdump or dumpcap"
        ) from None


def _open(output: str) -> BinaryIO:
    try:
        return open(output, "wb")
    except OSError as error:
        raise OutputLost(f"{output}: cannot be written: {error.strerror}") from None
