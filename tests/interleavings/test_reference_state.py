"""The reference server as a value: there and back at any moment of a run, and it goes on as it would have."""

from __future__ import annotations

import pickle

import pytest

from planted_bugs import SCENARIO
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, ServerOutput
from tcrp.interleavings.reference_state import Frozen, freeze_reference, thaw_reference
from tcrp.sim.checks.differential import difference
from tcrp.sim.hosts.server import EngineCall, ServerHost, token_of
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.dialects import dialect
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation

EVERY_DIALECT = """
claim: members of every dialect talk, and one takes another's place
server: {idle_timeout: 10s, takeover: same_address, takeover_after: 2s, members_max: 12, linger: 3s}
users:
  text: {dialect: text}
  json: {dialect: json}
  address: {dialect: json-address}
  port: {dialect: json-port}
  endpoint: {dialect: json-endpoint}
  name: {dialect: json-name}
  np: {dialect: name-port}
  double: {name: text, dialect: text}
script:
  - {at: 0s, host: {create: {room: lobby, password: sesame}}}
  - {at: 100ms, json: {join: {room: lobby, password: wrong}}}
  - {at: 200ms, port: {create: attic}}
  - {at: 300ms, text: {join: attic}}
  - {at: 300ms, address: {join: attic}}
  - {at: 300ms, endpoint: {join: attic}}
  - {at: 300ms, name: {join: attic}}
  - {at: 300ms, np: {join: attic}}
  - {at: 400ms, json: {join: {room: lobby, password: sesame}}}
  - {every: 300ms, times: 5, at: 1s, text: {say: "text {n}"}}
  - {at: 3s, endpoint: {datagram: {token_of: endpoint, room: lobby, text: "wrong room"}}}
  - {at: 4s, server: {remove: {user: np, room: attic}}}
  - {at: 4500ms, np: {datagram: {token_of: np, room: attic, text: "still here"}}}
  - {at: 5s, silent: {stream: {hex: "00"}}}
  - {at: 6s, double: {join: attic}}
  - {at: 12s, port: leave}
"""


class Twice:
    """Beside a run: the reference server, and one that is frozen, pickled and thawed before every call."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = 0
        self.sizes: set[tuple[int, ...]] = set()
        self.one: ReferenceServer | None = None
        self.other: ReferenceServer | None = None
        run.server.observer = self

    def before_call(
        self, host: ServerHost, packet: Packet | None, connection: Connection | None, call: EngineCall
    ) -> None:
        listeners = [[each.dialect for each in listener.dialects] for listener in host.listeners]
        if self.one is None or self.other is None:
            self.one, self.other = (ReferenceServer(host.limits, listeners, self.new_token) for _ in range(2))
        self.call = call
        frozen: Frozen = pickle.loads(pickle.dumps(freeze_reference(self.other)))  # noqa: S301 (our own bytes)
        assert frozen == freeze_reference(self.one)
        assert hash(frozen) == hash(freeze_reference(self.one))
        self.sizes.add(tuple(map(len, frozen[:3])))
        self.other = thaw_reference(frozen, host.limits, listeners, self.new_token)
        assert freeze_reference(self.other) == frozen

    def after_call(self, host: ServerHost, outputs: list[ServerOutput]) -> None:
        self.calls += 1
        ours, theirs = ([*getattr(each, self.call.method)(*self.call.arguments)] for each in (self.one, self.other))
        assert difference(outputs, ours) is None
        assert difference(outputs, theirs) is None
        assert self.one is not None
        assert self.other is not None
        assert self.one.next_deadline_us() == self.other.next_deadline_us()

    def server_crashed(self) -> None: ...

    def new_token(self) -> bytes:
        return token_of(self.run.server.seed, self.run.server._tokens)


@pytest.mark.parametrize("scenario", [SCENARIO, EVERY_DIALECT], ids=["a life", "every dialect"])
def test_a_server_that_is_written_down_and_read_again_goes_on_as_it_would_have(scenario: str) -> None:
    run = Run(read_scenario_text(scenario))
    twice = Twice(run)
    run.go()
    assert twice.calls > 50
    sessions, rooms, connections = (max(each) for each in zip(*twice.sizes, strict=True))
    assert (sessions >= 5, rooms >= 2, connections >= 2) == (True, True, True)


def test_a_server_that_holds_nothing_is_the_least_value() -> None:
    assert freeze_reference(ReferenceServer(Limits(), [[]], lambda: b"t" * 32)) == ((), (), (), False)


def with_rooms(*names: str) -> ReferenceServer:
    """After users have created rooms of their names, one after the other."""
    tokens = (bytes([97 + number]) * 32 for number in range(9))
    server = ReferenceServer(Limits(), [[]], lambda: next(tokens))
    for number, name in enumerate(names):
        server.stream_opened(number, Address("10.0.0.1", 1000 + number), 0)
        request = codec("json").write_request(Operation.CREATE, name.encode(), name, "", "", 0)
        server.receive_stream(number, request, 0)
        server.handle_timeout(1000)
    return server


def test_rooms_are_in_the_order_of_their_names_whatever_came_first() -> None:
    sessions, rooms, connections, _ = freeze_reference(with_rooms("b", "a"))
    assert [name for name, *_ in rooms] == ["a", "b"]
    assert [stream for stream, _ in connections] == ["0", "1"]
    assert len(sessions) == 2


def test_sessions_of_a_thawed_server_are_numbered_after_those_that_there_are() -> None:
    """By these numbers a server that is late ends the silent: it began anew at 0, before older ones."""
    frozen = freeze_reference(with_rooms("b", "a"))
    again = thaw_reference(frozen, Limits(), [[]], lambda: b"z" * 32)
    new = again.rooms.grant(again.rooms.by_name["a"], "eve", "10.0.0.2", dialect("text"), 0, 5)
    assert new.number > max(each.number for each in again.rooms.sessions() if each is not new)
