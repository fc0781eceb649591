"""What became of what an expectation waited for, from the step that began it to where it was lost."""

from __future__ import annotations

import pytest

from tcrp.sim.fate import fate_of
from tcrp.sim.run import Run, records_of
from tcrp.sim.scenario.reader import read_scenario_text

STORY = """
claim: fates
until: 10s
users: {mallory: {attacker: true}, ann@home: {}, eve: {dialect: json-port}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 1s, carol: {join: attic}}
  - {at: 1s, ann@home: {join: lobby}}
  - {at: 1500ms, dave: {say: "early"}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: "hello?"}}
  - {at: 2600ms, ann@home: leave}
  - {at: 3500ms, mallory: {steal_token: bob}}
  - {at: 3600ms, mallory: {say: "I am bob"}}
  - {at: 3700ms, alice: {say: "on its way"}}
  - {at: 3705ms, server: crash}
  - {at: 5s, alice: {say: "gone"}}
  - {at: 6s, alice: leave}
  - {at: 11s, alice: {say: "late"}}
expect:
  - {%s}
"""


@pytest.mark.parametrize(
    ("expected", "fate"),
    [
        ('bob: {sees: ["hello?"]}', "'hello?' was said by alice at 2.5 s; the relay to bob was dropped at 2.51 s: cut"),
        ('bob: {sees_exactly: ["gone"]}', "'gone' was said by alice at 5 s; it was dropped at 5.01 s: server down"),
        (
            'bob: {sees: ["on its way"]}',
            "'on its way' was said by alice at 3.7 s; it was dropped at 3.71 s: server down",
        ),
        ('bob: {sees: ["early"]}', "dave could not say 'early' at 1.5 s: not in a room: anonymous"),
        ('bob: {sees: ["late"]}', "alice did not say 'late': the step was not taken before the run ended"),
        ('bob: {sees: ["helo?"]}', "no step says 'helo?'; did you mean 'hello?'?"),
        (
            'alice: {sees: ["I am bob"]}',
            "'I am bob' was said by mallory at 3.6 s; it was dropped at 3.61 s: from another address",
        ),
        (
            'carol: {sees: ["hello?"]}',
            "'hello?' was said by alice at 2.5 s and arrived at the server, where carol was anonymous: "
            "no relay went to carol",
        ),
        (
            'bob: {sees: ["hello?", "gone"]}',
            "'hello?' was said by alice at 2.5 s; the relay to bob was dropped at 2.51 s: cut; "
            "'gone' was said by alice at 5 s; it was dropped at 5.01 s: server down",
        ),
        ("bob: {sees: {count: 1}}", "the server sent 1 relay to bob, which was lost (cut)"),
        ("bob: {told: left}", "the server sent 2 notices to bob, of which 1 was lost (cut)"),
        ("eve: {told: joined}", "eve's dialect json-port has no notice joined"),
        (
            "session: ann@home@lobby, state: expired, at: 2s",
            "ann@home left at 2.6 s; the message arrived at 2.61 s",
        ),
        ("bob: {sees_exactly: []}", None),
        ("carol: {state: in-room}", "carol made the latest request at 1 s; it was refused at 1.04 s (no_such_room)"),
        (
            "carol: {refused: room_full}",
            "carol made the latest request at 1 s; it was refused at 1.04 s (no_such_room)",
        ),
        ("room: attic, state: open", "no step creates attic"),
        (
            "session: alice@lobby, state: expired, by: 7s",
            "alice left at 6 s; the message was dropped at 6.61 s: server down",
        ),
        (
            "drop: {rule: R-TOK-1}",
            "mallory sent the forged datagram at 3.6 s; it was dropped at 3.61 s: from another address",
        ),
    ],
)  # fmt: skip
def test_the_fate_of_what_is_missing_is_told(expected: str, fate: str | None) -> None:
    scenario = read_scenario_text(STORY % expected)
    verdict = Run(scenario).go()
    if fate is None:
        assert not verdict.misses
        return
    [miss] = verdict.misses
    records = records_of(verdict)
    found = fate_of(miss, scenario, records)
    assert found is not None
    assert found.what == fate
    assert found.n == 0 or records[found.n - 1].n == found.n


@pytest.mark.parametrize("expected", ["drop: {why: loss}", "refuse: {actor: bob}"])
def test_what_was_forged_is_not_blamed_for_what_is_not_the_servers(expected: str) -> None:
    scenario = read_scenario_text(STORY % expected)
    [miss] = Run(scenario).go().misses
    assert fate_of(miss, scenario, records_of(Run(scenario).go())) is None


@pytest.mark.parametrize(
    ("expected", "at_us", "what"),
    [
        ("step: {machine: session, id: ann@home@lobby, event: idled}", 2_610_000, "left"),
        ("packets: {what: leave, from: ann@home}, count: 9", 3_200_000, "leave"),
    ],
)
def test_the_steps_shown_are_those_of_the_last_of_the_nearest(expected: str, at_us: int, what: str) -> None:
    scenario = read_scenario_text(STORY % expected)
    verdict = Run(scenario).go()
    record = records_of(verdict)[verdict.misses[0].n - 1]
    assert (record.t_us, getattr(record, "event", "") or getattr(record, "what", "")) == (at_us, what)


SHOWN = """
claim: what was shown, but not when or in which order it was expected
until: 4s
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, alice: {say: "hi"}}
  - {at: 3s, alice: {say: "bye"}}
expect:
  - {%s}
"""


@pytest.mark.parametrize(
    ("expected", "fate"),
    [
        ("bob: {sees: hi}, by: 2s", "'hi' was shown at 2.02 s, 0.02 s after 2 s"),
        ("bob: {sees: hi}, at: 1s", "'hi' was shown at 2.02 s, 1.02 s after 1 s"),
        ("bob: {sees: [hi, bye]}, between: [2500ms, 4s]", "'hi' was shown at 2.02 s, 0.48 s before 2.5 s"),
        ("bob: {sees: [hi, bye]}, between: [2s, 3s]", "'bye' was shown at 3.02 s, 0.02 s after 3 s"),
        ("bob: {sees_exactly: [hi]}", "'bye' from alice was not expected"),
        ("bob: {sees_exactly: [bye]}, by: 2500ms", "'bye' was shown at 3.02 s, 0.52 s after 2.5 s"),
        ("bob: {sees: [bye, hi]}", "all were shown, but in another order"),
    ],
)
def test_how_far_from_its_time_a_text_was_shown_is_told(expected: str, fate: str) -> None:
    scenario = read_scenario_text(SHOWN % expected)
    verdict = Run(scenario).go()
    [miss] = verdict.misses
    found = fate_of(miss, scenario, records_of(verdict))
    assert found is not None
    assert found.what == fate
