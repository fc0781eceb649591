"""Our own server through a bad link: what the network loses is never held against the server."""

from __future__ import annotations

import asyncio

from judge.judging import WAITS, broken, doubtful, judged
from judge.lossy_proxy import BadLink, Loss
from judge.planted_server import serving
from tcrp.judge.verdicts import Judgement


def judged_through(probability: float, seed: int) -> tuple[Judgement, int]:
    async def body() -> tuple[Judgement, int]:
        async with serving() as (tcp, udp):
            link = BadLink(tcp, udp, Loss(probability, seed))
            try:
                ports = await link.open()
                return await judged(*ports, "json", WAITS), link.loss.lost
            finally:
                await link.close()

    return asyncio.run(body())


def test_what_a_link_loses_is_not_held_against_the_server() -> None:
    judgement, lost = judged_through(0.02, 1)
    assert lost, "the link lost nothing, so nothing was tested"
    assert broken(judgement) == {}
    assert doubtful(judgement)["R-REL-1"].startswith("the network, or the server, lost")
