"""Our own server through a bad link: what the network loses is never held against the server."""

from __future__ import annotations

import asyncio

from judge.judging import WAITS, broken, doubtful, judged
from judge.lossy_proxy import BadLink, Loss
from processes import live_server
from tcrp.judge.verdicts import Judgement


def judged_through(probability: float, seed: int) -> tuple[Judgement, int]:
    async def body() -> tuple[Judgement, int]:
        link = BadLink(server.tcp, server.udp, Loss(probability, seed))
        try:
            ports = await link.open()
            return await judged(*ports, "json", WAITS), link.loss.lost
        finally:
            await link.close()

    with live_server("--idle-timeout", "3s", "--token-timeout", "1s", "--handshake-timeout", "3s") as server:
        return asyncio.run(body())


def test_what_a_link_loses_is_not_held_against_the_server() -> None:
    judgement, lost = judged_through(0.02, 1)
    assert lost, "the link lost nothing, so nothing was tested"
    assert broken(judgement) == {}
    assert doubtful(judgement)["R-REL-1"].startswith("the network, or the server, lost")
