"""The verdicts on chat-server with each planted bug, and on chat-server through a bad link, judged at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from judge.judging import judged, judged_at_once
from judge.lossy_proxy import BadLink, Loss
from judge.planted_server import planted_servers
from tcrp.engine.server import ServerEngine
from tcrp.judge.verdicts import Judgement

LOSS, SEED = 0.02, 1
Bug = Callable[..., Any]


class Judgements(NamedTuple):
    """Of each server by its bug; through the bad link; and how many datagrams that lost."""

    by_bug: dict[Bug, Judgement]
    through_a_bad_link: Judgement
    lost: int


@cache
def judgements(bugs: tuple[Bug, ...]) -> Judgements:
    """The verdicts on our server without a bug and with each of these."""
    makers = [ServerEngine, *bugs]

    async def all_of_them(ports: list[tuple[int, int]]) -> Judgements:
        link = BadLink(*ports.pop(), Loss(LOSS, SEED))
        front = await link.open()
        try:
            found, through = await asyncio.gather(
                judged_at_once([(tcp, udp, "json") for tcp, udp in ports]), judged(*front, "json")
            )
        finally:
            await link.close()
        return Judgements(dict(zip(makers, found, strict=True)), through, link.loss.lost)

    with planted_servers([*makers, ServerEngine]) as ports:
        return asyncio.run(all_of_them(ports))
