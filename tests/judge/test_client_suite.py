"""The suite for clients: every rule has a probe or a reason, and a client is judged as far as it gets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from judge.memory_client import COMMAND, MemoryClients, Person
from judge.memory_ground import WAITS, play
from tcrp.engine.codec import codec
from tcrp.judge.client_script import Script
from tcrp.judge.client_stage import CannotJudge, Client, ClientStage
from tcrp.judge.client_suite import (
    ALONE,
    CHAT,
    CONFIRMATIONS,
    CORE,
    NOT_OF_CLIENTS,
    PROBE_US,
    REPAIRS,
    AloneProbe,
    ChatProbe,
    ClientRunner,
)
from tcrp.judge.record import CannotTest, Skip
from tcrp.judge.verdicts import Judgement, Outcome, Verdict
from tcrp.spec.names import Rule

RULE = Rule.REL_2


def run(
    *probes: ChatProbe | AloneProbe, person: type[Person] = Person, dialects: tuple[str, ...] = ("text",)
) -> tuple[Judgement, MemoryClients]:
    ground = MemoryClients(person)
    runner = ClientRunner(ground, list(map(codec, dialects)), WAITS, Script(), COMMAND)
    chats = [each for each in probes if isinstance(each, ChatProbe)]
    alones = [each for each in probes if isinstance(each, AloneProbe)]
    return play(runner.run("client", chats, alones)), ground


def on(judgement: Judgement, rule: Rule = RULE) -> Verdict:
    return next(each for each in judgement.verdicts if each.rule is rule)


def test_every_rule_is_asked_about_or_has_a_reason_why_not() -> None:
    probes: list[ChatProbe | AloneProbe] = [*CORE, *CHAT, *ALONE]
    asked = {rule for probe in probes for rule in probe.rules}
    assert asked | NOT_OF_CLIENTS.keys() == set(Rule)
    assert asked <= REPAIRS.keys()


@pytest.mark.parametrize("dialect", ["text", "json", "json-endpoint"])
def test_our_client_conforms_by_the_whole_suite(dialect: str) -> None:
    person = type("Speaks", (Person,), {"dialect": dialect})
    judgement, _ = run(
        *CHAT, *(each for each in ALONE if not each.waits_for_a_timeout), person=person, dialects=(dialect,)
    )
    assert not judgement.is_broken
    assert judgement.dialect == dialect
    assert len(judgement.with_outcome(Outcome.HOLDS)) >= 15


def test_the_dialect_is_found_out_by_the_first_probe() -> None:
    judgement, _ = run(person=type("Json", (Person,), {"dialect": "json"}), dialects=("text", "json"))
    assert judgement.dialect == "json"


# --- how often -------------------------------------------------------------------------------------


class Counted:
    """A story that is bad at its first so many runs."""

    def __init__(self, bad: int, how: str = "broken") -> None:
        self.bad, self.how, self.runs = bad, how, 0

    async def __call__(self, stage: ClientStage, client: Client | None = None) -> None:
        self.runs += 1
        if client is None:
            await stage.granted()
        if self.runs > self.bad:
            stage.holds(RULE, "good")
        elif self.how == "broken":
            stage.broken(RULE, "bad")
        elif self.how == "cannot":
            raise CannotTest("it cannot go on")
        elif self.how == "fails":
            raise CannotJudge("it ended")
        else:
            raise Skip("no word for it")


@pytest.mark.parametrize("kind", [ChatProbe, AloneProbe])
@pytest.mark.parametrize(
    ("bad", "how", "runs", "outcome", "inconclusive"),
    [
        (0, "broken", 1, Outcome.HOLDS, False),
        (1, "broken", 2, Outcome.HOLDS, False),
        (9, "broken", 1 + CONFIRMATIONS, Outcome.BROKEN, False),
        (9, "cannot", 1 + CONFIRMATIONS, Outcome.NOT_TESTED, True),
        (9, "fails", 1 + CONFIRMATIONS, Outcome.NOT_TESTED, True),
        (9, "skips", 1, Outcome.NOT_TESTED, False),
    ],
)
def test_what_is_bad_is_confirmed_once(
    kind: Callable[..., ChatProbe | AloneProbe], bad: int, how: str, runs: int, outcome: Outcome, inconclusive: bool
) -> None:
    story = Counted(bad, how)
    judgement, _ = run(kind("asked", (RULE,), story))
    assert (story.runs, on(judgement).outcome, on(judgement).is_inconclusive) == (runs, outcome, inconclusive)


def test_a_probe_that_waits_for_a_timeout_is_run_once() -> None:
    story = Counted(9)
    run(AloneProbe("asked", (RULE,), story, waits_for_a_timeout=True))
    assert story.runs == 1


@pytest.mark.parametrize(("more_us", "outcome"), [(0, Outcome.HOLDS), (1, Outcome.NOT_TESTED)])
def test_a_probe_has_so_much_time(more_us: int, outcome: Outcome) -> None:
    async def sleeps(stage: ClientStage) -> None:
        await stage.ground.sleep(PROBE_US + WAITS.patience_us + more_us)
        if not more_us:
            stage.holds(RULE, "good")

    judgement, _ = run(AloneProbe("asked", (RULE,), sleeps))
    assert on(judgement).outcome is outcome


# --- runs of the client ----------------------------------------------------------------------------


def test_probes_of_the_chat_share_a_run_until_one_goes_wrong() -> None:
    names: list[str] = []

    def noting(story: Counted) -> Callable[[ClientStage, Client], object]:
        async def noted(stage: ClientStage, client: Client) -> None:
            names.append(client.room)
            await story(stage, client)

        return noted

    chats = [ChatProbe(f"chat{number}", (RULE,), noting(Counted(bad))) for number, bad in enumerate((0, 0, 1, 0))]  # type: ignore[arg-type]
    _, ground = run(*chats)
    first, second = names[0], names[3]
    assert names == [first, first, first, second, second]
    assert all(each.exit_code is not None for each in ground.scenes)


def test_a_client_that_has_ended_is_started_again_for_the_next_question() -> None:
    async def ends(stage: ClientStage, client: Client) -> None:
        client.scene.exit_code = 0
        stage.holds(RULE, "good")

    judgement, _ = run(ChatProbe("ends", (RULE,), ends), ChatProbe("next", (Rule.SHOW_1,), Counted(0)))
    assert (on(judgement).outcome, on(judgement).said) == (Outcome.HOLDS, "good")


# --- a client that gets nowhere --------------------------------------------------------------------


def test_a_client_that_never_asks_cannot_be_judged() -> None:
    class Silent(Person):
        def begins(self) -> None: ...

    with pytest.raises(CannotJudge, match="it made no request within 8 s"):
        run(person=Silent)


def test_of_a_client_that_never_enters_only_its_request_is_judged() -> None:
    class Mute(Person):
        def sends(self, data: bytes) -> None: ...

    judgement, _ = run(*CHAT, *ALONE, person=Mute)
    assert on(judgement, Rule.TCP_2).is_inconclusive
    assert "does not get into a room" in on(judgement, Rule.SHOW_1).said
    assert on(judgement, Rule.TCP_4).said == NOT_OF_CLIENTS[Rule.TCP_4]


def test_of_a_deaf_client_nothing_is_asked_that_takes_ears() -> None:
    class Deaf(Person):
        def hears(self, data: bytes) -> None: ...

    asked, unasked = Counted(0), Counted(0)
    judgement, _ = run(
        ChatProbe("asked", (Rule.TCP_1,), asked), ChatProbe("unasked", (RULE,), unasked, needs_ears=True), person=Deaf
    )
    assert (asked.runs, unasked.runs) == (1, 0)
    assert on(judgement, Rule.REL_1).outcome is Outcome.BROKEN
    assert (on(judgement).is_inconclusive, on(judgement).said.startswith("it does not show")) == (True, True)
