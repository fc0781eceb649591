"""What the client says of a request that failed or a session that ended: words for every case, and what to do."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from tcrp.cli.chat_messages import RoomRequest, ending, refusal, unreachable
from tcrp.engine.notices import ENDINGS
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, Loss, RequestRefused, ServerAt, Unreachable
from tcrp.spec.names import Notice, Operation, Reason

REQUEST = RoomRequest(Operation.JOIN, "{room}", "あき")


def ended(why: Loss | Notice | None, *, has_heard: bool = True, keeps_alive: bool = True) -> str:
    client: Any = SimpleNamespace(
        why=why, has_heard=has_heard, keeps_alive=keeps_alive, server=ServerAt("chat.example", 9002, 9003)
    )
    return ending(client)


@pytest.mark.parametrize("reason", [*Reason, None])
def test_every_reason_of_a_refusal_has_a_sentence_that_ends(reason: Reason | None) -> None:
    assert refusal(RequestRefused(reason), REQUEST)[-1] in ".?"


def test_a_room_is_named_as_it_is_called_even_with_braces() -> None:
    assert refusal(RequestRefused(Reason.NO_SUCH_ROOM), REQUEST) == "There is no room {room}."
    assert refusal(RequestRefused(Reason.NAME_TAKEN), REQUEST).startswith("The name あき is taken in {room}; choose ")


def test_a_missing_password_is_not_called_a_wrong_one() -> None:
    refused = RequestRefused(Reason.WRONG_PASSWORD)
    assert refusal(refused, REQUEST) == "The room {room} has a password."
    assert refusal(refused, dataclasses.replace(REQUEST, password="x")) == "Wrong password for {room}."


def test_too_many_requests_are_blamed_on_passwords_only_after_wrong_ones() -> None:
    refused = RequestRefused(Reason.TOO_MANY_REQUESTS)
    assert "password" not in refusal(refused, REQUEST)
    assert "wrong passwords for {room}" in refusal(refused, REQUEST, tried_passwords=True)


def test_the_servers_own_words_stand_behind_ours() -> None:
    said = refusal(RequestRefused(Reason.ROOM_FULL, "満員 {name}"), REQUEST)
    assert said == "The room {room} is full. The server says: 満員 {name}"
    assert "speaks another dialect" in refusal(RequestRefused(None, "<html>"), REQUEST)
    assert "unknown reason" in refusal(RequestRefused(None), REQUEST)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (NO_HOST, "unknown host"),
        (NO_ANSWER, "no answer"),
        (BROKEN_OFF, "the connection was closed, or the server speaks another dialect"),
        ("Connection refused", "Connection refused"),
    ],
)
def test_why_a_server_is_not_reached(why: str, said: str) -> None:
    assert unreachable(Unreachable("[::1]:9002", why)) == f"No chat server at [::1]:9002: {said}"


@pytest.mark.parametrize("why", [*Loss, *ENDINGS])
def test_every_end_of_a_session_is_explained(why: Loss | Notice) -> None:
    assert ended(why).endswith(".")


@pytest.mark.parametrize("why", [Notice.JOINED, Notice.LEFT, None])
def test_what_ends_no_session_is_a_fault_of_the_caller(why: Notice | None) -> None:
    with pytest.raises(AssertionError, match="ends no session"):
        ended(why)


def test_a_server_that_was_never_heard_is_asked_about_by_its_port() -> None:
    assert ended(Loss.SERVER_GONE, has_heard=False) == (
        "Nothing receives on UDP port 9003 of chat.example. Is --udp-port right?"
    )
    assert "9003" not in ended(Loss.SERVER_GONE)


def test_only_a_user_who_sends_no_keep_alives_is_called_silent() -> None:
    assert ended(Notice.IDLED, keeps_alive=False) == ended(Loss.OWN_SILENCE)
    assert ended(Notice.IDLED) == "The server ended your session: it tolerates less silence than expected."


def test_a_password_and_a_token_are_not_in_what_is_printed_of_a_request() -> None:
    assert "secret" not in repr(dataclasses.replace(REQUEST, resume_token=b"secret"))
