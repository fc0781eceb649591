"""`chat-sim judge`: walks the machines along a capture or a trace, and names the first packet that breaks a rule.

Exit code 0: none does; 1: one does; 2: the recording cannot be judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, complain

if TYPE_CHECKING:
    from tcrp.judge.recorded import Break

PROGRAM = "chat-sim judge"
SHOWN = 5


def add_judge(commands: Any) -> None:
    """Add `judge` to the commands of `chat-sim`."""
    judge = commands.add_parser(
        "judge",
        help="find the first packet of a capture, or step of a trace, that breaks a rule",
        description="Reconstructs sessions and rooms from the packets of a capture (pcap, pcapng), or follows the "
        "steps of a trace, and names what breaks a rule. Exit code 0: nothing does; 1: something does; 2: it cannot be "
        "judged.",
    )
    judge.add_argument("recording", metavar="TRACE|CAPTURE", help="a trace (tcrp-trace/1), or a pcap or pcapng file")
    judge.add_argument("--tcp-port", type=int, default=9002, metavar="P", help="the server's, in a capture (9002)")
    judge.add_argument("--udp-port", type=int, default=9003, metavar="P", help="the server's, in a capture (9003)")
    judge.add_argument(
        "--dialect", default="auto", metavar="NAME|FILE", help="the dialect of a capture (auto: known by its requests)"
    )
    judge.set_defaults(command=_judge)


def _judge(options: argparse.Namespace) -> int:
    from tcrp.live.captures import is_capture

    path = Path(options.recording)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        complain(PROGRAM, f"{path}: cannot be read: {error.strerror}")
        return CANNOT
    if is_capture(head):
        return _judge_capture(path, options)
    if head.lstrip()[:1] == b"{":
        return _judge_trace(path)
    complain(PROGRAM, f"{path}: neither a capture (pcap, pcapng) nor a trace (tcrp-trace/1)")
    return CANNOT


def _judge_trace(path: Path) -> int:
    from tcrp.judge.recorded import first_break_in_trace
    from tcrp.trace.reader import TraceError, read_trace

    try:
        _, records = read_trace(path)
        found, count = first_break_in_trace(records)
    except TraceError as error:
        complain(PROGRAM, str(error))
        return CANNOT
    if not count:
        complain(PROGRAM, f"{path}: the trace holds no step of a machine")
        return CANNOT
    if found is not None:
        _print("record", found)
        return DOES_NOT_HOLD
    print(f"{count} steps, each a row of its machine's table")
    return HOLDS


def _judge_capture(path: Path, options: argparse.Namespace) -> int:
    from tcrp.cli.dialects import dialect_named
    from tcrp.engine.codec import codec
    from tcrp.judge.recorded import Recorded
    from tcrp.live.captures import CannotRead, Capture
    from tcrp.spec.dialects import NAMES

    named = None if options.dialect == "auto" else dialect_named(options.dialect)
    codecs = [named] if named is not None else [each for each in map(codec, NAMES) if not each.dialect.lists]
    recorded, capture = Recorded(codecs), Capture(path, options.tcp_port, options.udp_port)
    ours = 0
    try:
        for packet in capture.packets():
            ours += 1
            recorded.take(packet)
    except CannotRead as error:
        complain(PROGRAM, f"{path}: {error}")
        return CANNOT
    for each in recorded.breaks[:SHOWN]:
        _print("packet", each)
    if len(recorded.breaks) > SHOWN:
        print(f"and {len(recorded.breaks) - SHOWN} more packets; what follows the first may follow from it")
    if capture.cut is not None:
        complain(PROGRAM, f"{path}: {capture.cut}; what comes behind it was not judged")
    elif not ours:
        seen = capture.ports_named()
        complain(
            PROGRAM,
            f"{path}: of {capture.packets_seen} packets none has TCP port {options.tcp_port} or UDP port "
            f"{options.udp_port}" + (f"; there are {seen}" if seen else "") + ". Try --tcp-port and --udp-port",
        )
        return CANNOT
    elif not recorded.sessions:
        complain(PROGRAM, f"{path}: no token is granted in these {ours} packets; was the whole capture of a dialect "
                 "that is known? Try --dialect")  # fmt: skip
        return CANNOT
    counts = f"{recorded.requests} requests, {recorded.texts_seen} datagrams of members, {recorded.relays} relays"
    print(f"{ours} packets: {counts}, {recorded.notices} notices")
    if recorded.breaks:
        return DOES_NOT_HOLD
    return HOLDS if capture.cut is None else CANNOT


def _print(what: str, found: Break) -> None:
    from tcrp.spec.rules import SENTENCES

    print(f"{what} {found.number}: {found.said}: {found.rule}")
    print(f"    {found.rule}: {SENTENCES[found.rule]}")
