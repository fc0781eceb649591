"""The runner: in which order probes run, how often, and what is said of a server that dies of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from judge.memory_ground import WAITS, MemoryGround, play
from tcrp.engine.codec import codec
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest, Skip, Waits
from tcrp.judge.runner import CONFIRMATIONS, LONG_US, PROBE_US, Runner
from tcrp.judge.stage import Stage
from tcrp.judge.suite import probes
from tcrp.judge.verdicts import Judgement, Outcome, Verdict
from tcrp.spec.names import Operation, Rule

Story = Callable[[Stage], Awaitable[None]]
RULE = Rule.REL_2


def probe(story: Story, *rules: Rule, group: Group = Group.GENTLE, name: str = "asked") -> Probe:
    return Probe(name, group, rules or (RULE,), "a claim", story)


async def meets(stage: Stage) -> None:
    await stage.room("ann", "bob")
    stage.holds(Rule.REL_1, "they meet")


CORE = probe(meets, Rule.REL_1, group=Group.CORE, name="core")


def run(*chosen: Probe, ground: MemoryGround | None = None, waits: Waits = WAITS) -> tuple[Judgement, list[str]]:
    began: list[str] = []
    runner = Runner(ground or MemoryGround(), codec("text"), waits, began.append)
    return play(runner.run(chosen, "server")), began


def on(judgement: Judgement, rule: Rule = RULE) -> Verdict:
    return next(each for each in judgement.verdicts if each.rule is rule)


class Counted:
    """A story that says at its first so many runs that the rule is broken, and then that it holds."""

    def __init__(self, bad: int, how: str = "broken") -> None:
        self.bad = bad
        self.how = how
        self.runs = 0

    async def __call__(self, stage: Stage) -> None:
        self.runs += 1
        if self.runs > self.bad:
            stage.holds(RULE, "good")
        elif self.how == "broken":
            stage.broken(RULE, "bad")
        elif self.how == "cannot":
            raise CannotTest("it cannot go on")
        else:
            raise Skip("no word for it")


# --- how often -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "runs", "outcome"),
    [
        (0, 1, Outcome.HOLDS),
        (1, 2, Outcome.HOLDS),
        (CONFIRMATIONS, 1 + CONFIRMATIONS, Outcome.HOLDS),
        (1 + CONFIRMATIONS, 1 + CONFIRMATIONS, Outcome.BROKEN),
    ],
)
def test_what_is_broken_is_confirmed_twice(bad: int, runs: int, outcome: Outcome) -> None:
    story = Counted(bad)
    judgement, _ = run(CORE, probe(story))
    assert (story.runs, on(judgement).outcome) == (runs, outcome)


def test_what_cannot_be_asked_is_not_tried_again_and_what_could_not_go_on_is() -> None:
    skipped, stuck = Counted(9, "skip"), Counted(9, "cannot")
    judgement, _ = run(CORE, probe(skipped))
    assert (skipped.runs, on(judgement).said, on(judgement).is_inconclusive) == (1, "no word for it", False)
    judgement, _ = run(CORE, probe(stuck))
    assert (stuck.runs, on(judgement).said, on(judgement).is_inconclusive) == (3, "it cannot go on", True)


@pytest.mark.parametrize(("patience_us", "runs"), [(LONG_US, 1 + CONFIRMATIONS), (LONG_US + 1, 1)])
def test_a_probe_that_waits_for_long_is_not_run_again(patience_us: int, runs: int) -> None:
    story = Counted(9)
    run(CORE, probe(story, group=Group.WAITING), waits=Waits(patience_us=patience_us))
    assert story.runs == runs


def test_where_nobody_ever_met_nothing_is_tried_again() -> None:
    ground, story = MemoryGround(), Counted(9)
    ground.loses = lambda _number, _direction: True
    judgement, _ = run(CORE, probe(story), ground=ground)
    assert (story.runs, on(judgement).outcome) == (1, Outcome.BROKEN)
    assert on(judgement, Rule.REL_1).is_inconclusive


@pytest.mark.parametrize(("more_us", "outcome"), [(0, Outcome.HOLDS), (1, Outcome.NOT_TESTED)])
def test_a_probe_has_so_much_time(more_us: int, outcome: Outcome) -> None:
    async def sleeps(stage: Stage) -> None:
        await stage.ground.sleep(PROBE_US + WAITS.patience_us + more_us)
        if not more_us:
            stage.holds(RULE, "good")

    judgement, _ = run(CORE, probe(sleeps))
    assert on(judgement).outcome is outcome
    assert on(judgement).is_inconclusive is bool(more_us)


# --- in which order --------------------------------------------------------------------------------


def test_probes_run_by_group() -> None:
    chosen = [probe(Counted(0), group=group, name=str(group)) for group in reversed(Group)]
    _, began = run(*chosen)
    assert began == ["core", "gentle", "waiting", "load", "hostile"]


@pytest.mark.parametrize("is_blocked", [False, True])
def test_unfinished_requests_wait_until_the_end_where_they_hold_up_others(is_blocked: bool) -> None:
    async def idle(stage: Stage) -> None:
        await stage.room("ann", "bob")
        stage.judge(Rule.TCP_5, not is_blocked, "good", "it holds up everybody")

    waiting = [
        probe(Counted(0), Rule.TCP_5, group=Group.WAITING, name="unfinished"),
        probe(Counted(0), Rule.IDLE_1, group=Group.WAITING, name="silence"),
    ]
    _, began = run(probe(idle, Rule.TCP_5, group=Group.CORE, name="idle"), *waiting, probe(Counted(0)))
    late = ["silence", "unfinished"] if is_blocked else ["unfinished", "silence"]
    assert [*dict.fromkeys(began)] == ["idle", "asked", *late]


# --- a server that dies ----------------------------------------------------------------------------


def kills(ground: MemoryGround, *, says: bool = False) -> Story:
    async def story(stage: Stage) -> None:
        ground.is_dead = True
        stage.judge(RULE, not says, "good", "bad")

    return story


@pytest.mark.parametrize(("says", "said"), [(False, "the server stops answering"), (True, "bad")])
def test_a_server_that_dies_of_a_hostile_probe_breaks_its_first_rule(says: bool, said: str) -> None:
    ground = MemoryGround()
    deadly = probe(kills(ground, says=says), RULE, group=Group.HOSTILE, name="deadly")
    after = probe(Counted(0), Rule.UDP_3, group=Group.HOSTILE, name="after")
    judgement, began = run(CORE, deadly, after, ground=ground)
    assert (on(judgement).outcome, on(judgement).said) == (Outcome.BROKEN, said)
    assert began == ["core", "deadly"]
    death = "the server stopped answering during the probe «deadly»"
    assert judgement.notes == (death,)
    assert (on(judgement, Rule.UDP_3).said, on(judgement, Rule.UDP_3).is_inconclusive) == (death, True)


def test_a_gentle_probe_after_which_the_server_is_dead_ends_the_run() -> None:
    ground = MemoryGround()
    judgement, began = run(CORE, probe(kills(ground, says=True)), probe(Counted(0), name="after"), ground=ground)
    assert began == ["core", "asked"]
    assert judgement.notes == ("the server stopped answering during the probe «asked»",)
    assert on(judgement).outcome is Outcome.BROKEN


# --- what all probes together show -----------------------------------------------------------------


def test_a_token_that_is_granted_in_two_probes_is_found_without_a_second_look() -> None:
    def make_engine(config: ServerConfig, **kwargs: object) -> ServerEngine:
        numbers = iter(range(100))
        kwargs["new_token"] = lambda: b"%032d" % (next(numbers) % 2)
        return ServerEngine(config, **kwargs)  # type: ignore[arg-type]

    async def creates(stage: Stage) -> None:
        await stage.needs(stage.user("ann"), Operation.CREATE, stage.new_room())
        await stage.ground.sleep(30_000_000)
        await stage.needs(stage.user("ann"), Operation.CREATE, stage.new_room())

    ground = MemoryGround(make_engine, linger=0)
    judgement, _ = run(probe(creates, Rule.TOK_1), probe(creates, Rule.TOK_1, name="again"), ground=ground)
    assert on(judgement, Rule.TOK_1).outcome is Outcome.BROKEN
    assert "was granted again, to somebody else" in on(judgement, Rule.TOK_1).said


def test_texts_that_others_followed_and_that_never_came_leave_the_relays_open() -> None:
    async def loses_one(stage: Stage) -> None:
        ann, bob = await stage.room("ann", "bob")
        until = ground.datagrams + 1
        ground.loses = lambda number, _direction: number <= until
        await stage.settles(ann, bob)
        stage.holds(RULE, "good")

    ground = MemoryGround()
    judgement, _ = run(CORE, probe(loses_one), ground=ground)
    assert on(judgement, Rule.REL_1).is_inconclusive
    assert on(judgement, Rule.REL_1).said == "the network, or the server, lost 1 of 2 texts that others followed"


@pytest.mark.parametrize("dialect", ["text", "json", "json-endpoint", "name-port-list"])
def test_our_server_conforms_by_the_whole_suite(dialect: str) -> None:
    ground = MemoryGround(dialects=[dialect])
    judgement = play(Runner(ground, codec(dialect), WAITS).run(probes(is_hostile=True, is_loaded=False), "server"))
    assert not judgement.is_broken
    assert judgement.is_conclusive
    assert len(judgement.with_outcome(Outcome.HOLDS)) >= 20
