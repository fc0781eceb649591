"""Machines whose engines are written down and read again in the middle of a story: nobody can tell."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_counts import examples
from tcrp.engine.client import ClientEngine, ClientState
from tcrp.engine.outputs import Detail
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.sim.hosts.user import UserHost
from tcrp.sim.network.draws import key_of
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.strategies import scenarios
from tcrp.spec.limits import Limits

LONGEST_US = 120_000_000
SWAPS_PER_USER = 40
TALK = """
claim: a talk with a queue, keep-alives, a takeover, a silence and a room that closes
server: {idle_timeout: 20s, members_max: 4}
network: {default: {delay: 5ms..200ms, loss: 20%, duplicate: 5%}}
users:
  alice: {dialect: json}
  bob: {address: 10.1.0.1}
  double: {name: bob, address: 10.1.0.1}
script:
  - {at: 0s, alice: {create: {room: lobby, password: sesame}}}
  - {at: 1s, bob: {join: {room: lobby, password: sesame}}}
  - {at: 1s, carol: {join: {room: lobby, password: wrong}}}
  - {at: 2s, carol: {join: {room: lobby, password: sesame}}}
  - {every: 50ms, times: 30, at: 3s, bob: {say: "text {n}"}}
  - {every: 5s, times: 9, at: 5s, alice: {say: "tick {n}"}}
  - {at: 10s, double: {join: {room: lobby, password: sesame}}}
  - {at: 20s, double: leave}
  - {at: 45s, alice: leave}
"""


class Reborn:
    """A server's engine that is another one, read from what the one before wrote down, at every so many calls."""

    def __init__(
        self, every: int, config: ServerConfig, *, new_token: Callable[[], bytes], detail: Detail = Detail.NOTHING
    ) -> None:
        self.every = every
        self.config = config
        self.new_token = new_token
        self.detail = detail
        self.calls = 0
        self.births = 0
        self.now_us = 0
        self.engine = ServerEngine(config, new_token=new_token, detail=detail)

    def called(self, call: str, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if key_of(self.every, call, self.calls) % self.every == 0:
            self.births += 1
            state: ServerState = pickle.loads(pickle.dumps(self.engine.freeze()))  # noqa: S301 (our own bytes)
            self.engine = ServerEngine(
                self.config, new_token=self.new_token, state=state, now_us=self.now_us, detail=self.detail
            )
        self.now_us = (
            given[2] if call in ("stream_opened", "receive_datagram", "receive_stream", "remove") else given[-1]
        )
        return getattr(self.engine, call)(*given, **named)

    def stream_opened(self, *given: Any, **named: Any) -> Any:
        return self.called("stream_opened", *given, **named)

    def receive_stream(self, *given: Any) -> Any:
        return self.called("receive_stream", *given)

    def stream_ended(self, *given: Any) -> Any:
        return self.called("stream_ended", *given)

    def stream_closed(self, *given: Any) -> Any:
        return self.called("stream_closed", *given)

    def receive_datagram(self, *given: Any) -> Any:
        return self.called("receive_datagram", *given)

    def handle_timeout(self, *given: Any) -> Any:
        return self.called("handle_timeout", *given)

    def shutdown(self, *given: Any) -> Any:
        return self.called("shutdown", *given)

    def set_limits(self, limits: Limits) -> None:
        self.config = replace(self.config, limits=limits)
        self.engine.set_limits(limits)

    def remove(self, *given: Any) -> Any:
        return self.called("remove", *given)

    def close_room(self, *given: Any) -> Any:
        return self.called("close_room", *given)

    def freeze(self) -> ServerState:
        return self.engine.freeze()

    def next_deadline_us(self) -> int | None:
        return self.engine.next_deadline_us()

    @property
    def is_quiescent(self) -> bool:
        return self.engine.is_quiescent


def becomes_another(user: UserHost, births: list[str]) -> None:
    """The user's latest engine is another one from now on, unless it is to be woken just now."""
    old, now_us = user.engine, user.local_us()
    if old is None or (old.next_deadline_us() or now_us + 1) <= now_us:
        return
    assert old.handle_timeout(now_us) == []  # a state is that of the latest call
    state: ClientState = pickle.loads(pickle.dumps(old.freeze()))  # noqa: S301 (our own bytes)
    user.engine = ClientEngine(old.config, state=state, now_us=now_us, detail=Detail.EVERYTHING)
    births.append(user.id)


def told(scenario: Scenario, *, every: int) -> tuple[Verdict, int, int]:
    """The story with engines that become others, and how often the server's and the clients' did."""
    servers: list[Reborn] = []
    births: list[str] = []

    def make_engine(config: ServerConfig, **wishes: Any) -> Any:
        servers.append(Reborn(every, config, **wishes))
        return servers[-1]

    run = Run(scenario, make_engine=make_engine)
    for user in run.hosts.users.values():
        for number in range(SWAPS_PER_USER):
            when_us = key_of(every, user.id, number) % LONGEST_US
            run.world.at(when_us, lambda user: becomes_another(user, births), user, foreground=False)
    return run.go(), sum(server.births for server in servers), len(births)


@pytest.mark.parametrize("every", [1, 2, 7])
def test_a_talk_goes_on_as_it_would_have(every: int) -> None:
    scenario = read_scenario_text(TALK)
    undisturbed = Run(scenario).go()
    verdict, of_server, of_clients = told(scenario, every=every)
    assert of_server > 10
    assert of_clients > 10
    assert undisturbed.records > 300
    assert (verdict.digest, verdict.holds) == (undisturbed.digest, True)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), st.integers(1, 5))
def test_any_scenario_goes_on_as_it_would_have(scenario: Scenario, every: int) -> None:
    assert told(scenario, every=every)[0].digest == Run(scenario).go().digest
