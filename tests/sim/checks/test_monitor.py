"""A server that breaks the protocol is caught, by the property that it breaks and by no luck.

The property that is to catch a bug is left out once: then the run must not be stopped by it, so no test here passes for
another reason.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from planted_bugs import PLANTED, DoesNotHearEnterWords, EngineMaker, run
from planting import Planted, gives, violation_of
from tcrp.engine.client import ClientEngine
from tcrp.engine.outputs import Address, Detail, Relay, SendDatagram, SendFrame
from tcrp.engine.server import Outputs, ServerEngine
from tcrp.sim.hosts.user import UserHost
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import PacketKind, Property


def test_every_property_has_a_bug_that_only_it_must_catch() -> None:
    with_a_story_of_their_own = {
        Property.NO_CLIENT_WAITS_FOR_EVER, Property.SPEAKERS_ARRIVE, Property.STREAMS_KEEP_ORDER,
        Property.MATCHES_REFERENCE,
        # Those of clusters are planted in tests/sim/cluster.
        Property.ONE_OWNER_RELAYS, Property.NO_STALE_OUTPUT, Property.HANDOVER_LOSES_NO_SESSION,
    }  # fmt: skip
    assert {property for property, _ in PLANTED} | with_a_story_of_their_own == set(Property)


def test_a_speaker_who_never_arrives_is_caught_once_the_network_is_well() -> None:
    def verdict_of(loss_ends_at: str) -> Verdict:
        text = (
            "claim: a\nusers: {bob: {dialect: text}}\n"
            "script:\n  - {at: 0s, host: {create: lobby}}\n  - {at: 1s, bob: {join: lobby}}\n"
            "  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}\n"
            f"  - {{at: {loss_ends_at}, network: {{set: {{loss: 0%}}, from: bob, to: server}}}}\nuntil: 20s\n"
        )
        make_engine: EngineMaker = DoesNotHearEnterWords
        left_out = (Property.MATCHES_REFERENCE,)  # it sees at once what this property sees in the end
        return Run(read_scenario_text(text), make_engine=make_engine, leave_out=left_out).go()

    violation = verdict_of("3s").violation
    assert violation is not None
    assert violation.property is Property.SPEAKERS_ARRIVE
    assert verdict_of("19s").violation is None  # so soon after the last fault nobody can tell


def test_a_client_that_waits_for_ever_is_caught() -> None:
    def verdict_of(*, loses_timers: bool, leave_out: tuple[Property, ...] = ()) -> Verdict:
        story = read_scenario_text(
            "claim: a\nscript:\n  - {at: 0s, network: {stall: [bob, server], for: 60s}}\n"
            "  - {at: 1s, bob: {join: lobby}}\nuntil: 50s\n"
        )
        run = Run(story, leave_out=leave_out)
        if loses_timers:
            run.world.at(2 * SECOND_US, lose_timers, run.hosts.users["bob"], foreground=False)
        return run.go()

    def lose_timers(user: UserHost) -> None:
        assert user.engine is not None
        state = user.engine.freeze()
        assert state.timers, "it waits for its handshake to end"
        detail, now_us = Detail.EVERYTHING, user.local_us()
        user.engine = ClientEngine(user.engine.config, state=replace(state, timers=()), now_us=now_us, detail=detail)

    assert verdict_of(loses_timers=False).violation is None
    violation = verdict_of(loses_timers=True).violation
    assert violation is not None
    assert violation.property is Property.NO_CLIENT_WAITS_FOR_EVER
    assert verdict_of(loses_timers=True, leave_out=(Property.NO_CLIENT_WAITS_FOR_EVER,)).violation is None


STALLED = """
claim: a request that was held up arrives as it was sent
seed: %d
network: {default: {delay: 10ms..200ms, segment: 1..4}}
script:
  - {at: 0s, alice: {create: "a long name for a room"}}
  - {at: 300ms, network: {stall: [alice, server], for: 60ms}}
"""


def exchanges_what_waits(run: Run) -> Run:
    """While the stream is held up, the pieces that wait on it change places."""

    def exchange(tcp: Tcp) -> None:
        for connection in tcp._connections:
            pipe = connection.up
            numbers, packets = [each[0] for each in pipe.parked], [each[1] for each in pipe.parked]
            pipe.parked = list(zip(numbers, reversed(packets), strict=True))

    run.world.at(350_000, exchange, run.tcp, foreground=False)
    return run


def test_a_network_that_reorders_a_stream_is_caught() -> None:
    scenarios = [read_scenario_text(STALLED % seed) for seed in range(20)]
    assert [Run(each).go().violation for each in scenarios] == [None] * 20
    verdicts = [exchanges_what_waits(Run(each)).go() for each in scenarios]
    assert {each.violation.property for each in verdicts if each.violation is not None} == {Property.STREAMS_KEEP_ORDER}
    left_out = [
        exchanges_what_waits(Run(each, leave_out=(Property.STREAMS_KEEP_ORDER,))).go().violation for each in scenarios
    ]
    assert not any(each is not None and each.property is Property.STREAMS_KEEP_ORDER for each in left_out)


def test_without_a_bug_the_scenario_holds() -> None:
    assert run(ServerEngine).holds


def test_the_wrapper_of_the_engine_changes_nothing_by_itself() -> None:
    assert run(Planted).digest == run(ServerEngine).digest


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_caught_by_its_property_and_only_while_that_is_checked(
    property: Property, bug: EngineMaker
) -> None:
    caught: list[Property] = []
    while property not in caught:  # what other properties say of the same bug is not asked here
        violation = run(bug, tuple(caught)).violation
        assert violation is not None, f"{property} does not see it; {caught} do"
        caught.append(violation.property)
    violation = run(bug, tuple(caught)).violation
    assert violation is None or violation.property is not property


# --- what is about single packets ----------------------------------------------------------------

TALK = """
claim: bob asks whether the server is there, and says something
users: {alice: {dialect: text, address: 10.1.0.1}, bob: {dialect: text, address: 10.1.0.2}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 3s, bob: keep_alive}
  - {at: 4s, bob: {say: "hi"}}
"""


@pytest.mark.parametrize(("size", "is_found"), [(4094, False), (4095, True)])
def test_a_datagram_of_the_server_has_at_most_4094_bytes(size: int, is_found: bool) -> None:
    def padded(_: Planted, outputs: Outputs) -> Outputs:
        return [each._replace(data=each.data.ljust(size)) if isinstance(each, Relay) else each for each in outputs]

    assert (violation_of(TALK, Property.DATAGRAMS_FIT, gives(padded)) is not None) is is_found


def test_what_a_script_makes_by_hand_need_not_fit() -> None:
    long = TALK + '  - {at: 5s, allow_invalid: true, bob: {datagram: {token_of: bob, room: lobby, text: "'
    long += "x" * 5000 + '"}}}\n'
    assert violation_of(long, Property.DATAGRAMS_FIT) is None


@pytest.mark.parametrize(
    ("answers", "is_found"),
    [
        ([], False),
        ([SendDatagram(b"", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)], False),
        ([SendDatagram(b" ", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)], True),
        ([SendDatagram(b"", Address("10.1.0.1", 40001), PacketKind.KEEP_ALIVE_ANSWER)], True),
        ([SendDatagram(b"", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)] * 2, True),
        ([Relay(b"", [Address("10.1.0.2", 40001)], PacketKind.RELAY)], True),
    ],
)
def test_a_keep_alive_is_answered_by_one_empty_datagram_or_not_at_all(
    answers: list[SendDatagram | Relay], is_found: bool
) -> None:
    class Answers(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            outputs = super().receive_datagram(data, source, now_us, listener)
            return [*outputs, *answers] if len(data) == 2 + data[0] + data[1] and now_us >= 3 * SECOND_US else outputs

    assert (violation_of(TALK, Property.KEEP_ALIVE_CHANGES_NOTHING, Answers) is not None) is is_found


@pytest.mark.parametrize(("what", "is_found"), [(PacketKind.ANSWER, False), (PacketKind.RELAY, True)])
def test_tcp_carries_answers_and_no_texts(what: PacketKind, is_found: bool) -> None:
    def renamed(_: Planted, outputs: Outputs) -> Outputs:
        return [each._replace(what=what) if isinstance(each, SendFrame) else each for each in outputs]

    assert (violation_of(TALK, Property.NO_TALK_ON_TCP, gives(renamed)) is not None) is is_found


def test_that_a_token_ends_for_good_is_judged_at_every_end() -> None:
    """Of two who leave and one who falls silent."""
    story = """
claim: three sessions end
server: {idle_timeout: 20s}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, carol: {join: lobby}}
  - {at: 3s, bob: leave}
  - {at: 4s, carol: crash}
  - {at: 40s, alice: leave}
"""
    verdict = Run(read_scenario_text(story)).go()
    assert verdict.violation is None
    assert verdict.judged[Property.TOKEN_ENDS_FOR_GOOD] == 3
