"""The token source of real servers (R-TOK-1)."""

from __future__ import annotations

import re
import secrets

import pytest

from conversation import SECOND, Chat
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.net.tokens import system_token


def test_tokens_are_32_lowercase_hexadecimal_digits_and_unique() -> None:
    tokens = [system_token() for _ in range(1000)]
    assert all(re.fullmatch(rb"[0-9a-f]{32}", token) for token in tokens)
    assert len(set(tokens)) == 1000


def test_tokens_come_from_the_systems_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def token_hex(size: int | None = None) -> str:
        asked.append(size)
        return "ab" * (size or 0)

    monkeypatch.setattr(secrets, "token_hex", token_hex)
    assert system_token() == b"ab" * 16
    assert asked == [16]


def test_a_server_never_grants_a_token_that_is_held_or_remembered() -> None:
    drawn = iter([b"a" * 32, b"a" * 32, b"b" * 32, b"b" * 32, b"a" * 32, b"c" * 32])
    chat = Chat()
    chat.server = ServerEngine(ServerConfig(), new_token=lambda: next(drawn))
    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob").joins("lobby")
    bob.leaves()
    carol = chat.user("carol").joins("lobby")
    assert [user.client.token[:1] for user in (alice, bob, carol)] == [b"a", b"b", b"c"]
    assert chat.now_us < SECOND
