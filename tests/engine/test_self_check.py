"""What is wrong with a dialect only its whole messages show: each fault is found, at the key where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from changed_dialects import changed
from tcrp.engine.codec import codec_of
from tcrp.engine.meanings import Accepted, Completed, Denied, Relayed, Told
from tcrp.engine.self_check import Fault, ends_of, faults, faults_between
from tcrp.engine.templates import Mismatch, Partial
from tcrp.spec.dialects import SHIPPED, dialect, parse
from tcrp.spec.limits import NAME_BYTES_MAX, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Notice, Operation, Reason


def of(*changes: tuple[str, str]) -> list[Fault]:
    """The faults of the dialect `text` with lines that are others."""
    return list(faults(changed("text", *changes)))


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_dialect_has_a_fault(name: str) -> None:
    assert list(faults(codec_of(dialect(name)))) == []


NAME = ('payload = ["name"]', 'payload = ["name: fixed 3"]')
ANSWER = ('payload = ["status: u1"]\n\n[completion]', 'payload = ["hex 01"]\n\n[completion]')
"""The answer is the refusal for a room that exists."""
STATUS = ("[port]", "[status]\nroom_full = 0\nname_taken = 0\n\n[port]")
TOKEN = ('payload = ["token"]', 'payload = ["token: fixed 1"]')
TEXT = ('"token", "text"]', '"token", "text: fixed 3"]')
CLOSED = 'room_closed = "Room closed"'
LONG = 'room_closed = "{room}' + "x" * 3900 + '"'


@pytest.mark.parametrize(
    ("change", "key", "what"),
    [
        (NAME, "request", "a message cannot be written even for alice in room1"),
        (ANSWER, "refusal.room_exists", "it is read as an answer"),
        (STATUS, "refusal.room_full", "it is read as an answer"),
        (TOKEN, "completion", "a message cannot be written even for alice in room1"),
        (TEXT, "datagram", "a message cannot be written even for alice in room1"),
        ((CLOSED, 'room_closed = "alice: hello"'), "relay", "the text 'hello' reads as a notice"),
        ((CLOSED, LONG), "notices.room_closed", "it cannot be told where names have 255 bytes"),
    ],
)
def test_a_fault_is_named_with_its_key(change: tuple[str, str], key: str, what: str) -> None:
    found = of(change)
    assert [each for each in found if each.key == key and each.what.startswith(what)], found


@pytest.mark.parametrize(
    "change", [("'{name}: {text}'", "'{name}:{text}'"), ('left = "{name} left the room"', 'left = "Room closed"')]
)
def test_another_form_and_one_sentence_for_two_notices_are_no_faults(change: tuple[str, str]) -> None:
    assert of(change) == []


def test_all_faults_are_told_and_one_that_cannot_be_written_hides_no_other() -> None:
    found = sorted(each.key for each in of(NAME, STATUS))
    assert found == ["refusal.name_taken", "refusal.room_full", "request"]


# --- one thing read or written wrong at a time ---------------------------------------------------------------------

Reads = Callable[..., Any]


class Changed:
    """A codec or a reader of notices that does some things in another way."""

    def __init__(self, real: object, **instead: Reads) -> None:
        self._real, self._instead = real, instead

    def __getattr__(self, name: str) -> Any:
        return self._instead.get(name) or getattr(self._real, name)


def with_codec(name: str, **instead: Reads) -> list[Fault]:
    """The faults of a shipped dialect whose codec does some things in another way."""
    speaks = codec_of(dialect(name))
    return list(faults_between(ends_of(speaks)._replace(codec=Changed(speaks, **instead))))


def with_reader(**instead: Reads) -> list[Fault]:
    """The faults of `text` if members read its notices in another way."""
    ends = ends_of(codec_of(dialect("text")))
    return list(faults_between(ends._replace(reader=Changed(ends.reader, **instead))))


def told(name: str, method: str, change: Callable[[Reads], Reads]) -> list[tuple[str, str]]:
    """The faults of a shipped dialect, one of whose methods does something else."""
    found = with_codec(name, **{method: change(getattr(codec_of(dialect(name)), method))})
    return [(each.key, each.what.partition(": ")[0]) for each in found]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda _: Mismatch("", ""), "what is written to {} is not read back"),
        (lambda asked: asked._replace(request=None), "what is written to {} is not read back"),
        (lambda asked: asked._replace(size=asked.size - 1), "what is written to {} is not read back"),
        (lambda asked: asked._replace(operation=Operation.LIST), "what is written to {} is read as to list"),
        (lambda asked: asked._replace(room=b"x"), "alice in room1 is read as b'alice' in b'x'"),
        (lambda asked: asked._replace(request=asked.request._replace(name=b"x")), "alice in room1 is read as b'x' in "),
        (lambda asked: asked._replace(request=asked.request._replace(port=1)), "port 50000 is read as 1"),
        (
            lambda asked: asked._replace(request=asked.request._replace(password="x")),
            "the password 'secret' is read as",
        ),
    ],
)
def test_a_request_is_read_back_with_all_that_it_says(change: Callable[[Any], object], what: str) -> None:
    found = told("json-endpoint", "read_request", lambda read: lambda *data, **how: change(read(*data, **how)))
    assert [key for key, _ in found] == ["request"] * 2
    for (_, said), operation in zip(found, ("create", "join"), strict=True):
        assert said.startswith(what.format(operation))


def test_what_a_request_does_not_carry_need_not_be_read_back() -> None:
    def forget(read: Reads) -> Reads:
        return lambda *data, **how: (asked := read(*data, **how))._replace(
            request=asked.request._replace(port=None, password="")
        )

    assert told("text", "read_request", forget) == []


def replaced(kind: type, says: object) -> Callable[[Reads], Reads]:
    """Replies of one kind are read as another."""

    def change(read: Reads) -> Reads:
        def read_reply(*data: Any, **how: Any) -> object:
            reply = read(*data, **how)
            if not isinstance(reply.says, kind):
                return reply
            return says if isinstance(says, Partial) else reply._replace(says=says)

        return read_reply

    return change


ANSWERS, COMPLETIONS = (
    [f"{each}.{operation}" for operation in ("create", "join")] for each in ("answer", "completion")
)
REFUSALS = [f"refusal.{reason}" for reason in Reason]


@pytest.mark.parametrize(
    ("kind", "says", "keys", "what"),
    [
        (Accepted, Partial(False), ANSWERS, "it is read as nothing"),
        (Accepted, Completed(b"x"), ANSWERS, "it is read as a completion"),
        (Completed, Partial(False), COMPLETIONS, "it is read as nothing"),
        (Completed, Denied(None, ""), COMPLETIONS, "it is read as a refusal"),
        (Completed, Completed(b"x"), COMPLETIONS, "the token 0123456789abcdef0123456789abcdef is read as b'x'"),
        (Denied, Partial(False), REFUSALS, "it is read as nothing"),
        (Denied, Accepted(), REFUSALS, "it is read as an answer"),
        (Denied, Denied(None, ""), [], ""),
        (Denied, Denied(Reason.ROOM_FULL, ""), [each for each in REFUSALS if each != "refusal.room_full"],
         "it is read as the refusal for room_full"),
    ],
)  # fmt: skip
def test_a_reply_is_read_as_what_it_is(kind: type, says: object, keys: list[str], what: str) -> None:
    assert told("text", "read_reply", replaced(kind, says)) == [(key, what) for key in keys]


TEXTS = ("hello", "a: b", "日本語")


@pytest.mark.parametrize(
    "head",
    [None, (b"x", b"0123456789abcdef" * 2, 0), (b"room1", b"x", 0), (None, b"x", 0)],
    ids=["none", "room", "token", "token-alone"],
)
def test_a_datagram_is_read_back_with_room_and_token(head: object) -> None:
    found = told("json-endpoint", "head", lambda _: lambda _: head)
    assert {key for key, _ in found} == {"datagram"}
    assert all(what.startswith("room and token are not read back") for _, what in found)


@pytest.mark.parametrize(("name", "words"), [("text", ["exit", "/exit"]), ("json-name", ["__LEAVE__", "__REGISTER__"])])
def test_each_text_and_word_of_a_datagram_is_read_back(name: str, words: list[str]) -> None:
    assert [each.what for each in with_codec(name, read_text=lambda *_: "x")] == [
        f"the text {each!r} is read as 'x'" for each in (*TEXTS, "", *words)
    ]


@pytest.mark.parametrize(
    ("read", "shown"),
    [(None, None), (Relayed("bob", "a: b"), ("bob", "a: b")), (Relayed("alice", "x"), ("alice", "x"))],
)
def test_each_relay_is_read_back_with_its_name_and_text(read: object, shown: object) -> None:
    found = [each.what for each in with_codec("text", read_relay=lambda _: read) if each.key == "relay"]
    for what, text in zip(found, TEXTS, strict=True):
        assert what.startswith(f"{text!r} of alice is read as {shown}: b'alice: ")


def test_a_relay_that_cannot_be_written_is_one_fault_for_each_text() -> None:
    found = with_codec("text", write_relay=lambda *_: None)
    assert [each.what for each in found] == [f"{text!r} of alice cannot be written" for text in TEXTS]


def test_a_notice_that_is_read_as_another_or_not_at_all_is_a_fault_of_its_key() -> None:
    notices = [f"notices.{each}" for each in dialect("text").notices]
    found = with_reader(read=lambda _: None)
    assert [each.key for each in found] == notices
    assert all(each.what.startswith("it is read as nothing") for each in found)
    found = with_reader(read=lambda _: Told(Notice.LEFT, "alice"))
    assert [each.key for each in found] == [each for each in notices if each != "notices.left"]
    assert all(each.what.startswith("it is read as left: b'") for each in found)


def test_a_request_that_ends_with_its_stream_is_read_back() -> None:
    assert of(('state = 0\npayload = ["name"]', 'fields = ["len(room): u1", "operation: u1", "room", "name"]')) == []


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "interop" / "dialects").glob("*.toml")))
def test_no_dialect_of_a_captured_program_has_a_fault(path: Path) -> None:
    assert list(faults(codec_of(parse(path.read_text(encoding="utf-8"), path.name)))) == []


def test_an_answer_that_ends_with_its_stream_is_read_back_and_no_token_is_one() -> None:
    assert list(faults(changed("colon-fields", ('fields = ["hex 01"]', 'fields = ["hex 01", "room"]')))) == []
    found = told("colon-fields", "write_answer", lambda _: lambda *_: b"\x02token")
    assert found == [(key, "it is read as nothing") for key in ANSWERS]


def test_a_refusal_may_hold_what_is_a_token_behind_an_answer_only() -> None:
    form = '[answer]\nfields = [{ status = 1 }]\n\n[refusal]\nfields = [{ token = "none", message = "{reason}" }]'
    old = '[refusal]\nfields = [{ message = "{reason}", operation = "{operation}", state = 1 }]'
    says = (
        'message = "ルーム \'{room}\' に参加しました。", operation = "{operation}", state = 2, user_name = "{name}", '
    )
    speaks = changed("room-user-token-lengths", (old, form), (says, ""))
    assert list(faults(speaks)) == []


@pytest.mark.parametrize(("more", "keys"), [(0, []), (1, ["notices.room_closed"])])
def test_a_notice_of_an_end_fits_in_a_datagram_with_the_longest_names(more: int, keys: list[str]) -> None:
    sentence = "x" * (SERVER_DATAGRAM_BYTES_MAX - NAME_BYTES_MAX + more)
    assert [each.key for each in of((CLOSED, f'room_closed = "{{room}}{sentence}"'))] == keys


@pytest.mark.parametrize("name", ["text", "json-endpoint"])
def test_a_notice_that_cannot_be_told_is_read_as_nothing(name: str) -> None:
    ends = ends_of(codec_of(dialect(name)))
    found = [each.what for each in faults_between(ends._replace(tell=lambda *_, **__: None))]
    assert "it is read as nothing: b''" in found
