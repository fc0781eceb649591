"""`chat-sim judge`: walks the machines along a capture or a trace, and names the first packet that breaks a rule.

Exit code 0: none does; 1: one does; 2: the recording cannot be judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, complain
from tcrp.cli.pipes import readable_twice
from tcrp.trace.plural import counted

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

    name = options.recording
    try:
        with readable_twice(name) as path:
            with path.open("rb") as file:
                head = file.read(16)
            if is_capture(head):
                return _judge_capture(path, name, options)
            if head.lstrip()[:1] == b"{":
                return _judge_trace(path, name)
    except OSError as error:
        complain(PROGRAM, f"{name}: cannot be read: {error.strerror}")
        return CANNOT
    complain(PROGRAM, f"{name}: neither a capture (pcap, pcapng) nor a trace (tcrp-trace/1)")
    return CANNOT


def _judge_trace(path: Path, name: str) -> int:
    from tcrp.cli.compare import read_records
    from tcrp.judge.recorded import first_break_in_trace

    found, count = first_break_in_trace(read_records(str(path), name))
    if not count:
        complain(PROGRAM, f"{name}: the trace holds no step of a machine")
        return CANNOT
    if found is not None:
        _print("record", found)
        return DOES_NOT_HOLD
    print(f"{counted(count, 'step')}, each a row of its machine's table")
    return HOLDS


def _judge_capture(path: Path, name: str, options: argparse.Namespace) -> int:
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
        complain(PROGRAM, f"{name}: {error}")
        return CANNOT
    for each in recorded.breaks[:SHOWN]:
        _print("packet", each)
    if len(recorded.breaks) > SHOWN:
        print(f"and {counted(len(recorded.breaks) - SHOWN, 'more packet')}; what follows the first may follow from it")
    if capture.cut is not None:
        complain(PROGRAM, f"{name}: {capture.cut}; what comes behind it was not judged")
    elif not ours:
        seen = capture.ports_named()
        complain(
            PROGRAM,
            f"{name}: of {counted(capture.packets_seen, 'packet')} none has TCP port {options.tcp_port} or UDP port "
            f"{options.udp_port}" + (f"; there are {seen}" if seen else "") + ". Try --tcp-port and --udp-port",
        )
        return CANNOT
    elif not recorded.sessions:
        complain(PROGRAM, f"{name}: no token is granted in {counted(ours, 'packet')}. Either the capture begins behind "
                 "the requests, or their dialect is not known: try --dialect")  # fmt: skip
        return CANNOT
    counts = (
        (recorded.requests, "request"), (recorded.texts_seen, "members' datagram"), (recorded.relays, "relay"),
        (recorded.notices, "notice"),
    )  # fmt: skip
    print(f"{counted(ours, 'packet')}: {', '.join(counted(*each) for each in counts)}")
    if recorded.breaks:
        return DOES_NOT_HOLD
    print("no packet breaks a rule")
    return HOLDS if capture.cut is None else CANNOT


def _print(what: str, found: Break) -> None:
    from tcrp.spec.rules import sentence_of

    print(f"{what} {found.number}: {found.said}: {found.rule}")
    print(f"    {found.rule}: {sentence_of(found.rule)}")
