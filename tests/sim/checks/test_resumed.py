"""A monitor that knows a server by its state alone judges the next call as one does that has seen the whole run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from planted_bugs import PLANTED, SCENARIO, EngineMaker
from tcrp.engine.outputs import ServerOutput, Stepped
from tcrp.engine.server import ServerEngine
from tcrp.engine.state import ServerState
from tcrp.interleavings.reference_state import Frozen, freeze_reference, thaw_reference
from tcrp.sim.checks.differential import Differential
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.resumed import resumed, step_record
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.hosts.server import EngineCall, ServerHost, token_of
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Property

NEEDS_HISTORY = {
    Property.TOKENS_UNIQUE: "a token that nobody remembers any more is in no state",
    Property.ENDED_ARE_TOLD_AGAIN: "who is to be told again is known by the engine's deadlines",
    Property.NAMES_LINGER: "since when a room closes is known by the engine's deadlines",
    Property.HANDSHAKE_ENDS: "since when a connection is open is known by the engine's deadlines",
    Property.ONLY_THE_SILENT_IDLE: "since when a session is silent is known by the engine's state",
    Property.CLOSING_ROOMS_CLOSE: "it is judged at the end of a run",
    Property.DATAGRAMS_FIT: "it is judged by the records of packets",
}
"""What only one who has seen the whole run can judge. The reference server, which has deadlines of its own, does."""
OF_PACKETS = {Property.DATAGRAMS_FIT, Property.STREAMS_KEEP_ORDER}
OF_THE_END = {Property.NO_CLIENT_WAITS_FOR_EVER, Property.LIVE_SESSION_HAS_A_DEADLINE}


class Resumes:
    """Watches a run beside its monitor: judges each call, or the one that breaks, by the states before it alone."""

    def __init__(self, run: Run, left_out: frozenset[Property], *, each_call: bool) -> None:
        self.run = run
        self.left_out = left_out
        self.each_call = each_call
        self.judged = dict.fromkeys(Property, 0)
        self.broken: list[Property] = []
        self.beside = Differential(CheckResults(run.world, frozenset(Property)))  # for its reference server
        self.moment_us = 0  # of the latest call
        self.before: tuple[Any, ...] | None = None
        run.server.observer = self

    def before_call(
        self, host: ServerHost, packet: Packet | None, connection: Connection | None, call: EngineCall
    ) -> None:
        reference, engine = self.beside.reference, host.engine
        if reference is None or engine is None:
            self.before = None
        else:
            states = engine.freeze(), freeze_reference(reference), dict(host._connections), self.moment_us
            self.before = (*states, packet, connection, call)
        self.beside.before_call(host, call)
        self.run.monitor.before_call(host, packet, connection, call)
        self.moment_us = host.local_us()

    def after_call(self, host: ServerHost, outputs: list[ServerOutput]) -> None:
        self.beside.after_call(host, outputs)
        self.run.monitor.after_call(host, outputs)
        if self.before is not None and (self.each_call or self.run.monitor.results.violation is not None):
            self.judge(host, outputs, *self.before)

    def judge(
        self, host: ServerHost, outputs: list[ServerOutput], state: ServerState, reference: Frozen,
        connections: dict[str, Connection], moment_us: int, packet: Packet | None, connection: Connection | None,
        call: EngineCall,
    ) -> None:  # fmt: skip
        listeners = [[each.dialect for each in listener.dialects] for listener in host.listeners]
        thawed = thaw_reference(reference, host.limits, listeners, lambda: token_of(host.seed, host._tokens))
        monitor = resumed(
            self.run.hosts, host.limits, self.left_out, Shadows(0), state=state, reference=thawed, holder=self.holder,
            connection_of=lambda stream: connections[str(stream)], now_us=moment_us,
        )  # fmt: skip
        monitor.before_call(host, packet, connection, call)
        for output in outputs:
            if isinstance(output, Stepped):
                monitor.hear(step_record(output))
        monitor.after_call(host, outputs)
        if monitor.results.violation is not None:
            self.broken.append(monitor.results.violation.property)
        for property, count in monitor.results.judged.items():
            self.judged[property] += count

    def server_crashed(self) -> None:
        self.beside.forget()
        self.run.monitor.server_crashed()

    def holder(self, token: Hashable) -> str:
        users = self.run.hosts.users.values()
        return next((user.id for user in users if user.engine is not None and user.engine.token == token), "")


def watched(make_engine: EngineMaker, left_out: frozenset[Property] = frozenset()) -> tuple[Verdict, Resumes]:
    run = Run(read_scenario_text(SCENARIO), make_engine=make_engine, leave_out=left_out)
    watch = Resumes(run, left_out, each_call=make_engine is ServerEngine)
    return run.go(), watch


def test_a_server_that_keeps_the_rules_is_never_accused() -> None:
    verdict, watch = watched(ServerEngine)
    assert (verdict.violation, watch.broken) == (None, [])
    unjudged = {property for property, count in verdict.judged.items() if count and not watch.judged[property]}
    assert unjudged == OF_PACKETS | OF_THE_END


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_found_in_the_same_call_unless_it_takes_history(property: Property, bug: EngineMaker) -> None:
    verdict, watch = watched(bug, frozenset(Property) - {property})
    assert verdict.violation is not None
    assert watch.broken == ([] if property in NEEDS_HISTORY else [property])
