"""Judges servers in tests: several at the same time, with short waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tcrp.engine.codec import codec
from tcrp.judge.record import Waits
from tcrp.judge.runner import Runner
from tcrp.judge.suite import probes
from tcrp.judge.verdicts import Judgement, Outcome
from tcrp.live.conform_ground import LiveGround

WAITS = Waits(answer_us=4_000_000, patience_us=6_000_000, patience_is_given=True)
AT_A_TIME = 32


async def judged(tcp: int, udp: int, dialect: str, waits: Waits = WAITS) -> Judgement:
    """The verdicts on the server at these ports of the loopback."""
    ground = LiveGround("127.0.0.1", tcp, udp)
    return await Runner(ground, codec(dialect), waits).run(probes(is_hostile=True, is_loaded=False), "server")


async def judged_at_once(servers: Sequence[tuple[int, int, str]], waits: Waits = WAITS) -> list[Judgement]:
    """The verdicts on several servers (TCP port, UDP port, dialect), judged at the same time."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(server: tuple[int, int, str]) -> Judgement:
        async with turns:
            return await judged(*server, waits)

    return await asyncio.gather(*map(one, servers))


def judge_all(servers: Sequence[tuple[int, int, str]], waits: Waits = WAITS) -> list[Judgement]:
    """The same, outside of a loop."""
    return asyncio.run(judged_at_once(servers, waits))


def broken(judgement: Judgement) -> dict[str, str]:
    """What is broken, and why."""
    return {str(each.rule): each.said for each in judgement.with_outcome(Outcome.BROKEN)}


def doubtful(judgement: Judgement) -> dict[str, str]:
    """What was asked about without a result, and why."""
    return {str(each.rule): each.said for each in judgement.verdicts if each.is_inconclusive}
