"""A stage: what an answer counts as, down to the last byte of it, and what loss does to texts."""

from __future__ import annotations

import pytest

from judge.memory_ground import MemoryGround, MemoryStream, play, stage_on
from tcrp.engine.codec import codec
from tcrp.engine.meanings import Relayed, Told
from tcrp.judge.ground import End
from tcrp.judge.record import CannotTest, Skip
from tcrp.judge.stage import REPLY_BYTES_MAX, TRIES, Kind, Reply, Stage
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Notice, Operation, Reason

CREATE, JOIN = Operation.CREATE, Operation.JOIN
TEXT = codec("text")
ANSWER = TEXT.write_answer(CREATE, b"room")
COMPLETION = TEXT.write_completion(CREATE, b"room", "ann", b"t" * 32)
REFUSAL = b"".join(TEXT.write_refusal(1, b"room", Reason.NAME_TAKEN))


class Says(MemoryGround):
    """Answers every request with these pieces and nothing else."""

    def __init__(self, *pieces: bytes | End) -> None:
        super().__init__(handshake_timeout=60 * SECOND_US)
        self.pieces = list(pieces)

    async def connect(self, ip: str, within_us: int) -> MemoryStream:
        stream = await super().connect(ip, within_us)
        stream.is_over = True  # what is sent goes nowhere
        stream.send = self._sent  # type: ignore[method-assign]
        stream.inbox += self.pieces
        return stream

    async def _sent(self, data: bytes) -> bool:
        return True


def asked(*pieces: bytes | End, dialect: str = "text") -> tuple[Reply, Stage]:
    stage = stage_on(Says(*pieces), dialect)
    return play(stage.ask(stage.user("ann"), CREATE, "room")), stage


# --- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "kind", "words"),
    [
        ((), Kind.SILENT, "no whole answer came within 3 s"),
        ((End.CLOSED,), Kind.CLOSED, "the connection was closed without an answer"),
        ((End.RESET,), Kind.RESET, "the connection was reset"),
        ((ANSWER, COMPLETION), Kind.GRANTED, "it was granted a token"),
        ((ANSWER + COMPLETION,), Kind.GRANTED, "it was granted a token"),
        ((COMPLETION,), Kind.GRANTED, "it was granted a token"),
        ((ANSWER, End.CLOSED), Kind.CLOSED, "the connection was closed without an answer"),
        ((ANSWER,), Kind.SILENT, "no whole answer came within 3 s"),
        ((REFUSAL,), Kind.DENIED, "it was refused (name_taken)"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n", End.CLOSED), Kind.STRANGE, None),
        ((ANSWER + COMPLETION[:-1],), Kind.STRANGE, None),
        ((ANSWER, COMPLETION[:-1], End.RESET), Kind.STRANGE, None),
    ],
)
def test_what_came_of_a_request_is_said(pieces: tuple[bytes | End, ...], kind: Kind, words: str | None) -> None:
    reply, _ = asked(*pieces)
    assert reply.kind is kind
    assert words is None or reply.words == words
    assert reply.speaks is (kind in (Kind.GRANTED, Kind.DENIED, Kind.STRANGE))


def test_an_answer_may_come_byte_by_byte_and_more_behind_it_is_kept() -> None:
    whole = ANSWER + COMPLETION
    reply, stage = asked(*(bytes((each,)) for each in whole))
    assert (reply.kind, reply.token, reply.rest) == (Kind.GRANTED, b"t" * 32, b"")
    assert stage.granted == [b"t" * 32]
    reply, _ = asked(whole + b"more")
    assert (reply.token, reply.rest) == (b"t" * 32, b"more")


def test_an_answer_that_promises_more_than_any_is_strange_at_once() -> None:
    reply, _ = asked(bytes((4, 1, 1)) + (2 * REPLY_BYTES_MAX).to_bytes(29, "big"))
    assert (reply.kind, reply.after_us) == (Kind.STRANGE, 0)


@pytest.mark.parametrize(("more", "kind"), [(0, Kind.SILENT), (1, Kind.STRANGE)])
def test_answers_without_an_end_are_read_up_to_a_limit(more: int, kind: Kind) -> None:
    reply, _ = asked(ANSWER * (REPLY_BYTES_MAX // len(ANSWER) + more))
    assert reply.kind is kind


def test_a_server_that_is_not_there_is_not_reached() -> None:
    ground = MemoryGround()
    ground.is_dead = True
    stage = stage_on(ground)
    reply = play(stage.ask(stage.user("ann"), CREATE, "room"))
    assert (reply.kind, reply.words) == (Kind.UNREACHED, "no connection: connection refused")


def test_a_denied_request_ends_what_needs_it() -> None:
    stage = stage_on(MemoryGround())
    with pytest.raises(CannotTest, match=r"ann could not join a room: it was refused \(no_such_room\) \(see R-TCP-2\)"):
        play(stage.needs(stage.user("ann"), JOIN, "nowhere"))


# --- texts that arrive, and those that are lost ----------------------------------------------------


def losing(*, up: bool = False, down: bool = False, but_from: int = 1 << 30) -> MemoryGround:
    """Loses every datagram of a direction, until that many have been sent."""
    ground = MemoryGround()
    ground.loses = lambda number, direction: number < but_from and (up if direction == "up" else down)
    return ground


def test_members_meet_and_each_text_is_counted_at_whom_it_reaches() -> None:
    stage = stage_on(MemoryGround())
    ann, bob, cat = play(stage.room("ann", "bob", "cat"))
    text = stage.text("hello")
    ann.say(text)
    assert [each.times(text) for each in (ann, bob, cat)] == [0, 1, 1]
    assert [each.message for each in bob.heard if text.encode() in each.data] == [Relayed("ann", text)]
    assert (stage.met, stage.lost) == (True, 0)


def test_who_is_never_reached_is_named_after_so_many_tries() -> None:
    stage = stage_on(losing(down=True))
    users = play(stage.members("ann", "bob"))
    began_us = stage.ground.now_us()
    assert play(stage.reaches_all(users)) == [(users[0], users[1]), (users[1], users[0])]
    assert stage.ground.now_us() - began_us >= TRIES * stage.waits.relay_us
    with pytest.raises(CannotTest, match=r"a text of ann does not reach bob \(see R-REL-1\)"):
        play(stage.meet(users))
    assert not stage.met


def test_one_loss_is_made_up_for_by_saying_it_again_and_is_counted() -> None:
    ground = MemoryGround()
    stage = stage_on(ground)
    ann, bob = play(stage.room("ann", "bob"))
    until = ground.datagrams + 1
    ground.loses = lambda number, _direction: number <= until
    assert play(stage.reaches(ann, bob))
    assert stage.lost == 1


def test_texts_that_nobody_later_hears_are_no_losses_of_the_network() -> None:
    ground = MemoryGround()
    stage = stage_on(ground)
    ann, bob = play(stage.room("ann", "bob"))
    ground.loses = lambda _number, _direction: True
    assert not play(stage.reaches(ann, bob))
    assert stage.lost == 0
    with pytest.raises(CannotTest, match=r"a text of ann no longer reaches bob"):
        play(stage.settles(ann, bob))


# --- notices ---------------------------------------------------------------------------------------


def test_an_end_is_a_notice_of_the_room_or_of_ones_own_leaving() -> None:
    stage = stage_on(MemoryGround())
    ann, bob, cat = play(stage.room("ann", "bob", "cat"))
    bob.leave()
    assert [each.message for each in ann.told(Notice.LEFT)] == [Told(Notice.LEFT, "bob")]
    assert (ann.ended(), bob.ended()) == ([], [])
    ann.leave()
    assert [each.message.notice for each in cat.ended()[:1] if isinstance(each.message, Told)] == [Notice.ROOM_CLOSED]
    assert cat.ended(since=len(cat.heard)) == []


def test_a_dialect_without_a_leave_word_cannot_leave() -> None:
    stage = stage_on(MemoryGround(dialects=["json-endpoint"]), "json-endpoint")
    [ann] = play(stage.members("ann"))
    with pytest.raises(Skip, match="no leave word"):
        ann.leave()


@pytest.mark.parametrize(("crowd", "leave"), [(20, 20), (21, 1)])
def test_everybody_leaves_at_the_end_or_of_a_crowd_the_host(crowd: int, leave: int) -> None:
    ground = MemoryGround()
    stage = stage_on(ground)
    play(stage.members(*(f"u{number}" for number in range(crowd))))
    before = len(stage.exchanges)
    stage.close()
    assert sum(each.data.endswith(b"exit") for each in stage.exchanges[before:]) == leave
    assert ground.ports == {}
    play(ground.sleep(10 * SECOND_US))
    assert not ground.engine.freeze().rooms
