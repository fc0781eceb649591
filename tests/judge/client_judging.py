"""Judges clients in tests: several at the same time, with short waits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tcrp.engine.codec import codec
from tcrp.judge.client_script import script_named
from tcrp.judge.client_suite import ALONE, CHAT, AloneProbe, ClientRunner
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Judgement
from tcrp.live.conform_client import LiveClientGround, end_strays

WAITS = Waits(answer_us=3_000_000, patience_us=4_000_000, patience_is_given=True)
AT_A_TIME = 6
RUNS_AT_A_TIME = 5
FOREIGN = (sys.executable, "-I", "-S", "-E", str(Path(__file__).with_name("flawed_client.py")))
PLACES = ("{host}", "{tcp_port}", "{udp_port}", "{room}", "{name}", "{operation}")


HANDSHAKES = (
    "no answer", "half a reply", "closed without an answer", "another kind of answer", "endless reply",
    "reply byte by byte", "refused to create", "names",
)  # fmt: skip
"""Probes that end before the client is in a room."""
IN_THE_ROOM = tuple(each for each in ALONE if each.name not in HANDSHAKES)


class Judged(NamedTuple):
    """A client to be judged, and by which of the probes that need a run of it each."""

    command: Sequence[str]
    dialect: str
    script: str
    alone: Sequence[AloneProbe] = ALONE


def judge_all(
    clients: Sequence[Judged], waits: Waits = WAITS, at_a_time: int = AT_A_TIME, runs: int = RUNS_AT_A_TIME
) -> list[Judgement]:
    """The verdicts on several clients, judged at the same time."""

    async def all_of_them() -> list[Judgement]:
        turns = asyncio.Semaphore(at_a_time)

        async def one(client: Judged) -> Judgement:
            async with turns:
                ground = LiveClientGround(at_a_time=runs)
                script = script_named(client.script)
                runner = ClientRunner(ground, [codec(client.dialect)], waits, script, client.command)
                try:
                    return await runner.run("client", CHAT, client.alone)
                finally:
                    end_strays(ground.nonce)

        return await asyncio.gather(*map(one, clients))

    return asyncio.run(all_of_them())
