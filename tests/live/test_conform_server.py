"""The first contact of a judge with a server: what the first answer says, in words for the server's owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from processes import PATIENCE
from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.judge.record import Waits
from tcrp.judge.stage import Kind, Reply
from tcrp.live.conform_ground import LiveGround
from tcrp.live.conform_server import CannotJudge, discovered, first_contact, is_loopback, judge_server, resolve
from tcrp.net.ports import Place
from tcrp.net.server import Server
from tcrp.spec.limits import Limits
from tcrp.spec.names import Reason

TEXT = codec("text")
WAITS = Waits(answer_us=2_000_000)


def contact(kind: Kind, said: str = "", reason: Reason | None = None, after_us: int = 0) -> str:
    return first_contact(Reply(kind, said=said, reason=reason, after_us=after_us), TEXT)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.GRANTED])
def test_every_first_answer_but_a_token_says_what_to_try(kind: Kind) -> None:
    said = contact(kind, "odd")
    assert "--tcp-port" in said if kind is Kind.UNREACHED else "Try --dialect auto" in said
    assert not said.endswith(".")  # it stands in a line of the program's own


def test_what_is_known_of_the_answer_is_in_the_message() -> None:
    assert "within 1.5 s to a request in dialect text" in contact(Kind.SILENT, after_us=1_500_000)
    assert "no TCP connection: Connection refused. " in contact(Kind.UNREACHED, "Connection refused")
    assert contact(Kind.DENIED, reason=Reason.ROOM_FULL).startswith(
        "refuses to create a room in dialect text: room_full"
    )
    assert "text: '満員'. " in contact(Kind.DENIED, "満員")
    assert contact(Kind.STRANGE, "b'HTTP/1.1 400'").startswith("speaks HTTP")
    assert contact(Kind.STRANGE, "b'\\x15\\x03\\x01'").startswith("speaks TLS")


@pytest.mark.parametrize(
    ("ip", "is_it"),
    [("127.0.0.1", True), ("127.255.255.254", True), ("::1", True), ("128.0.0.1", False), ("192.0.2.1", False),
     ("fe80::1%eth0", False)],
)  # fmt: skip
def test_only_an_address_of_this_machine_alone_is_a_loopback(ip: str, is_it: bool) -> None:
    assert is_loopback(ip) == is_it


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", "256.256.256.256.invalid", "\0"])
def test_a_host_that_cannot_be_one_is_named(host: str) -> None:
    with pytest.raises(CannotJudge) as raised:
        resolve(host)
    assert str(raised.value).startswith(f"{host}: ")
    assert resolve("::1") == "::1"


def plays(conversation: Callable[[LiveGround], Awaitable[None]], dialect: str = "text", **limits: int) -> None:
    async def run() -> None:
        server = Server(Limits().with_settings(limits), listeners=[ListenerConfig((codec(dialect),))])
        server.start([Place("127.0.0.1", 0, 0)])
        tcp, udp = server.addresses[0]
        try:
            await asyncio.wait_for(conversation(LiveGround("127.0.0.1", tcp.port, udp.port)), PATIENCE)
        finally:
            await server.stop()

    asyncio.run(run())


def test_a_server_that_grants_a_token_is_judged() -> None:
    async def conversation(ground: LiveGround) -> None:
        judgement = await judge_server(ground, TEXT, WAITS, (), "mine", lambda _: None)
        assert (judgement.subject, judgement.dialect) == ("mine", "text")
        assert not judgement.is_broken

    plays(conversation)


def test_a_server_of_another_dialect_is_not_judged() -> None:
    async def conversation(ground: LiveGround) -> None:
        with pytest.raises(CannotJudge, match=r"^mine: .*in dialect json"):
            await judge_server(ground, codec("json"), WAITS, (), "mine", lambda _: None)

    plays(conversation)


def test_the_dialect_that_fits_is_found_before_others() -> None:
    async def conversation(ground: LiveGround) -> None:
        fits, guessed = await discovered(ground, [codec("json"), TEXT], "mine")
        assert fits[0].codec is TEXT
        assert fits[0].is_whole
        assert guessed is None

    plays(conversation)
