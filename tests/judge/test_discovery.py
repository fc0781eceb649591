"""Which dialect a server speaks is found out by trying, and what is nearly one is described."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from judge.memory_ground import WAITS, MemoryGround, play
from planting import Planted, gives
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Relay, SendFrame
from tcrp.engine.server import Outputs
from tcrp.judge.discovery import FORM_OF_RELAY, PREFERRED, REPLIES, WHOLE, Fit, description, discover
from tcrp.judge.guessing import SPEAKER, Guess
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.dialects import NAMES, parse
from tcrp.spec.names import PacketKind


def fits(ground: MemoryGround, *names: str) -> list[Fit]:
    return play(discover(ground, map(codec, names or NAMES), WAITS))


def name(fit: Fit) -> str:
    return fit.codec.dialect.name


@pytest.mark.parametrize("dialect", NAMES)
def test_a_server_of_one_dialect_is_found_to_speak_it(dialect: str) -> None:
    best = fits(MemoryGround(dialects=[dialect]))[0]
    assert best.is_whole
    assert name(best) == dialect
    assert [what for what, _ in best.fields] == ["create", "join", "relay", "leave"]


def test_of_several_that_fit_one_is_preferred() -> None:
    found = fits(MemoryGround())
    assert name(found[0]) == PREFERRED
    assert sum(each.is_whole for each in found) == len(NAMES) - 1  # a plain name is taken for another dialect's
    assert [each.steps for each in found] == sorted((each.steps for each in found), reverse=True)


def relays_change(change: Callable[[Relay], list[Relay]]) -> EngineFactory:
    def changed(_: Planted, outputs: Outputs) -> Outputs:
        result: Outputs = []
        for each in outputs:
            result += change(each) if isinstance(each, Relay) and each.what is PacketKind.RELAY else [each]
        return result

    return gives(changed)


def test_how_far_a_dialect_got_is_counted_in_steps() -> None:
    no_answers = gives(lambda _engine, outputs: [each for each in outputs if not isinstance(each, SendFrame)])
    other_form = relays_change(lambda relay: [relay._replace(data=relay.data.replace(b": ", b" says "))])
    for make_engine, steps, said in (
        (no_answers, 0, ("create", "the connection was closed without an answer")),
        (relays_change(lambda _: []), 2, ("relay", "no text of the one reaches the other")),
        (other_form, FORM_OF_RELAY, ("relay", "")),
    ):
        [fit] = fits(MemoryGround(make_engine, dialects=["text"]), "text")
        assert (fit.steps, fit.fields[-1][0]) == (steps, said[0])
        assert fit.steps < FORM_OF_RELAY or fit.fields[-1][1].endswith("which is not of this dialect")
        assert fit.steps >= FORM_OF_RELAY or fit.fields[-1][1] == said[1]
        assert not fit.is_whole
        assert (fit.steps > REPLIES) is (steps >= 2)


def test_a_room_of_one_gets_one_step() -> None:
    [fit] = fits(MemoryGround(dialects=["text"], members_max=1), "text")
    assert (fit.steps, fit.fields) == (
        1, (("create", "it was granted a token"), ("join", "it was refused (room_full)")),
    )  # fmt: skip


class DoesNotKnowTheLeaveWord(Planted):
    def receive_datagram(self, data: bytes, source: object, now_us: int, listener: int = 0) -> Outputs:
        changed = data.replace(b"exit", b"EXIT")
        return super().receive_datagram(changed, source, now_us, listener)  # type: ignore[arg-type]


def test_a_leave_word_that_ends_nothing_is_said_and_the_dialect_fits_all_the_same() -> None:
    [fit] = fits(MemoryGround(DoesNotKnowTheLeaveWord, dialects=["text"]), "text")
    assert (fit.steps, fit.is_whole) == (WHOLE, True)
    assert fit.fields[-1] == ("leave", "the leave word does not end the session")
    [fit] = fits(MemoryGround(dialects=["json-endpoint"]), "json-endpoint")
    assert fit.fields[-1] == ("leave", "this dialect has no leave word")


def test_the_description_of_what_was_seen_is_read_as_a_dialect() -> None:
    arrow = relays_change(lambda relay: [relay._replace(data=relay.data.replace(b": ", b" -> "))])
    [fit] = fits(MemoryGround(arrow, dialects=["text"]), "text")
    text = description(fit, None, 'a "new" one')
    assert "from the included dialect text, which fits best" in text
    assert f"#   relay: is b'{SPEAKER} -> hello" in text
    assert 'name = "a \\"new\\" one"' in text
    read = parse(description(fit, None, "new"), "new.toml")
    assert read.name == "new"
    assert read.relay != fit.codec.dialect.relay


def test_a_guess_has_fields_and_a_file_of_its_own() -> None:
    [fit] = fits(MemoryGround(dialects=["text"]), "text")
    guess = Guess('name = "x"\nrest = 1\n', (("header", "of 5 bytes"),))
    text = description(fit, guess, "mine")
    assert "from what the server answered" in text
    assert "#   header: of 5 bytes" in text
    assert 'name = "mine"\nrest = 1\n' in text
