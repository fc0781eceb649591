"""Which branches of the server's engine a swarm has taken, measured with coverage.py.

Counted are the two ways of each condition, and functions as such: one that is never called is a branch not taken.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tcrp.cli.exits import UsageError
from tcrp.cli.version import COMPILED, tcrp_build
from tcrp.sim.swarm.batch import Tally, run_batch

if TYPE_CHECKING:
    from coverage import Coverage

MODULES = (
    "tcrp.engine.server", "tcrp.engine.listeners", "tcrp.engine.recognition", "tcrp.engine.registry",
    "tcrp.engine.handshakes", "tcrp.engine.rooms", "tcrp.engine.notices", "tcrp.engine.codec", "tcrp.engine.outbox",
    "tcrp.engine.timers", "tcrp.engine.text",
)  # fmt: skip
PERCENT_MIN = 98
"""A swarm of enough random scenarios fails if it took a smaller share of the branches."""

_CLIENT = "the client's half; its branches are those of tests/engine/test_codec.py and test_vectors.py"
_THAWING = "a scenario's engine starts empty; tests/engine/test_state.py thaws engines"
_COMPACTS = "memory is given back after dozens of stale entries; a unit test makes them"
_FORMS = "a form that no dialect has that comes with the protocol: files of users may have it"
_DRIVERS = "asked by drivers of real sockets and in runs without an end; tests/engine/test_server.py asks"
_DETAIL = "a simulated engine observes everything; tests/engine/test_outbox.py and bench have others"
_CLUSTERS = "for servers that share rooms, where a swarm has one; tests/cluster and tests/sim/cluster have several"
EXCEPTIONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("tcrp.engine.server", "if state is not None:"): _THAWING,
        ("tcrp.engine.rooms", "Window.thaw"): _THAWING,
        ("tcrp.engine.listeners", "ListenerConfig.speaks"): _THAWING,
        ("tcrp.engine.listeners", "ListenerConfig.fault"): "chat-server asks it before it starts; a test does too",
        ("tcrp.engine.timers", "for entry in entries:"): _THAWING,
        ("tcrp.engine.recognition", "port_is_clear"): _CLIENT,
        ("tcrp.engine.server", "ServerEngine.is_quiescent"): _DRIVERS,
        ("tcrp.engine.server", "ServerEngine.has_rooms"): _DRIVERS,
        ("tcrp.engine.registry", "for peer, tries in room.wrong_passwords.items():"): (
            "other settings while wrong passwords are remembered: rarer than one scenario in 5,000; a test has both"
        ),
        ("tcrp.engine.registry", "if member.room.members.get(member.name) is member:"): (
            "a room that closes between a takeover's answer and its completion, which follow at once; a test does it"
        ),
        ("tcrp.engine.handshakes", "if handshake is None:"): (
            "a simulated peer ends no connection that the server does not have; tests/engine/test_handshakes.py does"
        ),
        ("tcrp.engine.handshakes", "elif not self._is_accepted(handshake):  # else the completion is on its way"): (
            "a simulated peer that gives up closes both ways; tests/engine/test_handshakes.py half-closes"
        ),
        (
            "tcrp.engine.handshakes",
            "if handshake.stream in self.handshakes and not handshake.is_finished "
            "and not self._is_accepted(handshake):",
        ): "as above: what a half-closed connection has sent is no whole request",
        ("tcrp.engine.registry", "while token in self.sessions or token in self.ended:"): (
            "128 random bits do not come twice; a test repeats them"
        ),
        ("tcrp.engine.codec", "if len(payload) + len(separator) + len(room) > REPLY_PAYLOAD_BYTES_MAX:"): (
            "a list of 64 KiB takes hundreds of rooms; a test lists them"
        ),
        ("tcrp.engine.codec", "if self._list_request is None:"): "a server asks only dialects that list",
        ("tcrp.engine.handshakes", "case Recognised(speaks, asked):"): "the last case of a match that has one for each",
        ("tcrp.engine.registry", "if is_mostly_stale(len(self._silences), len(self.sessions)):"): _COMPACTS,
        ("tcrp.engine.rooms", "if is_mostly_stale(len(self._addresses), len(self._places)):"): _COMPACTS,
        ("tcrp.engine.timers", "if is_mostly_stale(len(self._heap), len(self._armed)):"): _COMPACTS,
        ("tcrp.engine.outbox", "if row is None:"): "IllegalEvent is our own fault; a test of the outbox raises it",
        ("tcrp.engine.outbox", "if not self.detail:"): _DETAIL,
        ("tcrp.engine.outbox", "if self.detail:"): _DETAIL,
        (
            "tcrp.engine.outbox",
            "elif not self._observes_loops and (not self.detail or table.machine is _SESSION):",
        ): _DETAIL,
        ("tcrp.engine.server", "if outbox.detail:"): _DETAIL,
        ("tcrp.engine.server", "if not outbox.is_unseen_loop(self._tables.session, first.state, _RELAYED):"): _DETAIL,
        **dict.fromkeys(
            [
                ("tcrp.engine.server", "ServerEngine.add_listeners"),
                ("tcrp.engine.server", "ServerEngine.head_of"),
                ("tcrp.engine.server", "ServerEngine.resume_request"),
                ("tcrp.engine.server", "ServerEngine.take_request_away"),
                ("tcrp.engine.server", "ServerEngine.freeze_room"),
                ("tcrp.engine.server", "ServerEngine.adopt"),
                ("tcrp.engine.server", "ServerEngine.forget_room"),
                ("tcrp.engine.registry", "SessionRegistry.count_room"),
                ("tcrp.engine.registry", "if not room.host_has_entered:"),
                ("tcrp.engine.registry", "SessionRegistry.take_out_room"),
                ("tcrp.engine.registry", "SessionRegistry.take_out"),
                ("tcrp.engine.handshakes", "if handshake.held is not None:"),
                ("tcrp.engine.handshakes", "if stream in self.handshakes:"),
                ("tcrp.engine.handshakes", "HandshakeServer.resume"),
                ("tcrp.engine.handshakes", "if refused:"),
                ("tcrp.engine.handshakes", "HandshakeServer.take_away"),
                ("tcrp.engine.handshakes", "HandshakeServer.forget"),
                (
                    "tcrp.engine.handshakes",
                    "if self.beside is not None and handshake.held is None and not self.beside.serves(asked.room):",
                ),
                ("tcrp.engine.handshakes", "if self.beside is not None:"),
            ],
            _CLUSTERS,
        ),
        **dict.fromkeys(
            [
                ("tcrp.engine.server", "ServerEngine._any_of"),
                ("tcrp.engine.server", "ServerEngine._any_of.read"),
                ("tcrp.engine.server", "ServerEngine._relay_to_each"),
                ("tcrp.engine.server", "if codec.relays_to_each:"),
                ("tcrp.engine.handshakes", "if greeting := self.recognisers[listener].codecs[0].write_greeting():"),
                ("tcrp.engine.handshakes", "HandshakeServer.fell_silent"),
                ("tcrp.engine.handshakes", "if is_open:"),
                ("tcrp.engine.handshakes", "if is_over:"),
                ("tcrp.engine.handshakes", "if not speaks.carries(asked.room, name):"),
                ("tcrp.engine.handshakes",
                 "elif learns_port(speaks, LearnedFrom.CONNECTION) and port_fault(handshake.peer_port) is None:"),
                ("tcrp.engine.notices", "for pattern, notice in self._free:"),
                ("tcrp.engine.notices", "if (match := pattern.fullmatch(sentence)) is not None:"),
                ("tcrp.engine.notices", 'if "{any}" in text or "{name}" in after:'),
                ("tcrp.engine.handshakes", "if self._answers_head(handshake):  # its client sends the rest only then"),
                ("tcrp.engine.handshakes", "if not self._answers_head(handshake):"),
                ("tcrp.engine.codec", "if result is None or isinstance(read, Partial):"),
                ("tcrp.engine.codec", "if not self._is_tight:"),
                ("tcrp.engine.codec", "if self._payload is not None:"),
                ("tcrp.engine.codec", "for each, template in self._requests.items():"),
                ("tcrp.engine.codec", "if Role.OPERATION in template.roles and operation is not each:"),
                ("tcrp.engine.codec", "if isinstance(read, Read) and read.size == size:"),
                ("tcrp.engine.codec", "if self._relay_head is not None and not self.relays_to_each:"),
                ("tcrp.engine.codec", "for operation in self._completions:"),
                ("tcrp.engine.codec", "if not isinstance(room, bytes):"),
                ("tcrp.engine.codec", "elif name is not None:"),
                ("tcrp.engine.codec", "if Role.TOKEN in self._notices[id(telling.form)].roles:"),
            ],
            _FORMS,
        ),
        **{
            ("tcrp.engine.codec", f"Codec.{function}"): _CLIENT
            for function in (
                "write_request", "read_request", "write_list_request", "read_listing", "read_greeting", "read_reply",
                "read_relay",
            )
        },
    }
)  # fmt: skip
"""What a swarm need not take: a function by its name, or a condition by its line; and why."""

Arcs = dict[str, set[tuple[int, int]]]  # by file: pairs of line numbers


def measured_batch(*arguments: Any) -> tuple[Tally, Arcs]:
    """`run_batch` with these arguments, and the steps from line to line that it took in the engine."""
    measure = _coverage()
    measure.erase()
    measure.start()
    try:
        tally = run_batch(*arguments)
    finally:
        measure.stop()
    data = measure.get_data()
    return tally, {file: set(data.arcs(file) or ()) for file in data.measured_files()}


def check_installed() -> None:
    """Raise `UsageError` if coverage.py is not there, which only this needs, or can see nothing."""
    if tcrp_build() == COMPILED:
        raise UsageError("--coverage sees no branches of compiled code: run it in a clone, or with a pure wheel")
    if importlib.util.find_spec("coverage") is None:
        raise UsageError("--coverage needs coverage.py: pip install coverage")


@cache  # one for each process: to begin anew costs as much as a scenario
def _coverage() -> Coverage:
    from coverage import Coverage

    return Coverage(data_file=None, branch=True, config_file=False, include=list(_files()))


@cache
def _files() -> dict[str, str]:
    """The modules by their files."""
    return {str(getattr(importlib.util.find_spec(module), "origin", "")): module for module in MODULES}


@dataclass(frozen=True, slots=True)
class Branches:
    """The branches of one module: how many there are but for exceptions, and those that were not taken."""

    module: str
    count: int
    missed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}: {self.count - len(self.missed)} of {self.count} branches"


def branches_of(arcs: Arcs) -> list[Branches]:
    """What was taken and missed in each module."""
    return [_branches(module, each) for module, each in _reports(arcs)]


def percent(modules: Iterable[Branches]) -> float:
    """The share of branches that were taken, of all modules together."""
    counted = list(modules)
    missed = sum(len(each.missed) for each in counted)
    return 100 - 100 * missed / max(sum(each.count for each in counted), 1)


def _reports(arcs: Arcs) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each module and coverage.py's report of it."""
    measure = _coverage()
    measure.erase()
    nothing = {(-1, 1)}  # the way into the module: a file without any arc is left out of the report
    measure.get_data().add_arcs({file: arcs.get(file) or nothing for file in _files()})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        measure.json_report(outfile=str(file))
        reports = json.loads(file.read_text(encoding="utf-8"))["files"]
    found = {str(Path(name).resolve()): report for name, report in reports.items()}
    for file_name, module in _files().items():
        yield module, found[str(Path(file_name).resolve())]


def _branches(module: str, report: dict[str, Any]) -> Branches:
    path = next(file for file, name in _files().items() if name == module)
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    count, missed = 0, []
    for function, part in report["functions"].items():
        if not function or (module, function) in EXCEPTIONS:  # without a name: what runs at import
            continue
        ways = [(way, False) for way in part["missing_branches"]] + [(way, True) for way in part["executed_branches"]]
        ways = [(way, taken) for way, taken in ways if (module, lines[way[0] - 1]) not in EXCEPTIONS]
        count += len(ways)
        if part["summary"]["num_statements"]:
            count += 1
            if not part["executed_lines"]:
                missed.append(f"{function} was never called")
        for (at, to), taken in ways:
            if not taken:
                where = f"to line {to}" if to > 0 else "out of the function"
                missed.append(f"line {at} {where}: {lines[at - 1]}")
    return Branches(module.removeprefix("tcrp."), count, tuple(missed))
