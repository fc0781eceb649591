"""A stage for clients: how a client is brought to its request, and what is said of one that never makes it."""

from __future__ import annotations

import re

import pytest

from judge.memory_client import Person, stage_on
from judge.memory_ground import play
from tcrp.judge.client_script import Do, Script, Step
from tcrp.judge.client_stage import ANSWERS_MAX, CannotJudge, Misread, plain, squeezed
from tcrp.judge.record import CannotTest
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Operation


class Asks(Person):
    """Asks for what it needs, one after the other."""

    questions = ("Name? ", "Room? ", "(1) create, (2) join: ")

    def begins(self) -> None:
        self.answers: list[str] = []
        self.question()

    def question(self) -> None:
        if len(self.answers) < len(self.questions):
            self.scene.output += self.questions[len(self.answers)].encode()
            return
        name, room, choice = self.answers
        self.asks(Operation.CREATE if choice == "1" else Operation.JOIN, room, name)

    def is_told(self, line: str) -> None:
        if len(self.answers) < len(self.questions):
            self.answers.append(line)
            self.question()
        else:
            super().is_told(line)


ANSWERS = (
    (re.compile("name", re.IGNORECASE), "{name}"),
    (re.compile("room", re.IGNORECASE), "{room}"),
    (re.compile(r"\((?P<create>\d)\) create, \((?P<join>\d)\) join"), "{choice}"),
)
ANSWERING = Script(ANSWERS)


@pytest.mark.parametrize("operation", list(Operation)[:2])
def test_questions_are_answered_until_the_request_is_made(operation: Operation) -> None:
    stage = stage_on(Asks, script=ANSWERING)
    client = play(stage.start(operation))
    play(client.asks())
    assert (client.name, client.room, client.operation) == ("bobby", "judge-0-1", operation)
    assert client.follows_the_script
    choice = {Operation.CREATE: "1\r", Operation.JOIN: "2\r"}[operation]
    assert client.scene.typed == ["bobby\r", "judge-0-1\r", choice]  # type: ignore[attr-defined]


def asked(person: type[Person], script: Script | None = None, *, knows_dialect: bool = True) -> str:
    """Why such a client cannot be judged."""
    stage = stage_on(person, script=script, knows_dialect=knows_dialect)
    client = play(stage.start())
    with pytest.raises(CannotJudge) as caught:
        play(client.asks())
    return str(caught.value)


def test_a_question_that_the_script_does_not_answer_is_said() -> None:
    said = asked(Asks, Script(ANSWERS[:1]))
    assert said.startswith("it made no request within 8 s to TCP port 9002 (UDP 9003); it said: 'Name? bobby / Room?'")
    assert "answer that with --script" in said


def test_a_client_that_asks_for_ever_is_stopped() -> None:
    class Nags(Person):
        def begins(self) -> None:
            self.writes("name?")

        def is_told(self, line: str) -> None:
            self.writes("name?")

    assert asked(Nags, ANSWERING).startswith(f"it has asked {ANSWERS_MAX} times without a request")


@pytest.mark.parametrize(
    ("code", "how"), [(0, "it ended with 0"), (3, "it ended with 3"), (-11, "it ended, by signal 11")]
)
def test_a_client_that_ends_before_its_request_is_said_to_have(code: int, how: str) -> None:
    class Ends(Person):
        def begins(self) -> None:
            self.writes("one\n\ntwo\nthree\nfour")
            self.exits(code)

    assert asked(Ends) == f"{how} before it made a request; it said: 'two / three / four'"


def test_a_client_that_prints_without_end_is_stopped() -> None:
    class Prints(Person):
        def begins(self) -> None:
            self.writes("x" * 1000)
            self.scene.is_flooded = True

    assert asked(Prints) == "it prints without end: 1002 bytes before its request"


# --- requests that cannot be read ------------------------------------------------------------------


def saying(data: bytes) -> type[Person]:
    class Says(Person):
        def begins(self) -> None:
            super().begins()
            self.scene.connections[-1].received[:] = data

    return Says


HALF = bytes((4, 2, 0)) + (100).to_bytes(29, "big") + b"room" + b"bob"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(32), "its request cannot be read: b'GET / HTTP"),
        (HALF, "its request is not whole: it sends 39 bytes"),
    ],
)
def test_a_request_that_is_none_is_of_no_dialect_or_misread_in_the_one_that_is_known(data: bytes, said: str) -> None:
    stage = stage_on(saying(data))
    with pytest.raises(Misread, match=re.escape(said)):
        play(play(stage.start()).asks())
    unknown = asked(saying(data), knows_dialect=False)
    assert unknown.startswith(said)
    assert unknown.endswith("It fits none of the dialects: name its dialect with --dialect")


def test_the_dialect_is_known_from_the_request() -> None:
    stage = stage_on(type("Json", (Person,), {"dialect": "json"}), knows_dialect=False)
    client = play(stage.start())
    assert client.codec is None
    play(client.asks())
    assert client.codec is not None
    assert client.codec.dialect.name == "json"


# --- where it receives -----------------------------------------------------------------------------


def test_a_client_that_sends_nothing_after_its_token_has_no_address() -> None:
    class Mute(Person):
        def sends(self, data: bytes) -> None: ...

    stage = stage_on(Mute)
    with pytest.raises(CannotTest, match=r"it sends no datagram after it was granted; it still runs \(see R-UDP-4\)"):
        play(stage.granted())


def test_a_client_that_speaks_only_when_its_user_does_is_made_to() -> None:
    class SpeaksLate(Person):
        def sends(self, data: bytes) -> None:
            if not data.endswith(b"t" * 3) and len(data) > 43:
                super().sends(data)

    client = play(stage_on(SpeaksLate).granted())
    assert client.address == ("10.0.0.1", 40001)
    assert client.texts[-1].startswith("hello no")


def test_relays_go_where_the_request_says() -> None:
    person = type("Announces", (Person,), {"dialect": "json-port", "address": ("10.0.0.1", 45678)})
    client = play(stage_on(person).granted())
    assert (client.announced, client.address) == (45678, ("10.0.0.1", 45678))


# --- scripts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((Step(Do.TYPE, "{text}"), Step(Do.EXPECT, "HELLO")), ""),
        ((Step(Do.TYPE, "{text}"), Step(Do.WAIT, "hello")), ""),
        ((Step(Do.WAIT, "never", SECOND_US, "line 7"),), "script, line 7: wait 'never' was not met within 1 s"),
        ((Step(Do.HAD, "datagram", SECOND_US, "line 8"),), "script, line 8: the server had no datagram within 1 s"),
        ((Step(Do.HAD, "request", SECOND_US, "line 9"),), "script, line 9: the server had no request within 1 s"),
        ((Step(Do.KEY, "escape"), Step(Do.KEY, "ctrl-c")), ""),
    ],
)
def test_steps_of_a_script_are_done_or_say_where_they_failed(steps: tuple[Step, ...], said: str) -> None:
    client = play(stage_on().granted())
    client.hears(client.relay_of("x"))  # the client says no more that it is there
    if said:
        with pytest.raises(CannotJudge, match=said):
            play(client.run(steps, "hello"))
    else:
        play(client.run(steps, "hello"))


# --- terminals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"a\r\nb", "a\nb"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07shown", "shown"),
        (b"\x1b]0;title\x1b\\shown", "shown"),
        (b"\x1b(Bx\x1b=y", "x\x1b=y"),
        (b"\xff", "\ufffd"),
    ],
)
def test_what_moves_and_colours_is_no_text(output: bytes, text: str) -> None:
    assert plain(output) == text


def test_a_text_is_shown_wherever_lines_are_broken() -> None:
    client = play(stage_on().start())
    client.scene.output += b"a long te\r\nxt of many wor\r\nds"
    assert client.shows("a long text of many words")
    assert not client.shows("a long test")
    assert squeezed(" a \n b\t") == "ab"
