"""Judges clients in tests: several at the same time, with short waits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

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


def judge_all(
    clients: Sequence[tuple[Sequence[str], str, str]],
    waits: Waits = WAITS,
    alone: Sequence[AloneProbe] = ALONE,
    at_a_time: int = AT_A_TIME,
    runs: int = RUNS_AT_A_TIME,
) -> list[Judgement]:
    """The verdicts on several clients (command, dialect, script), judged at the same time."""

    async def all_of_them() -> list[Judgement]:
        turns = asyncio.Semaphore(at_a_time)

        async def one(client: tuple[Sequence[str], str, str]) -> Judgement:
            command, dialect, script = client
            async with turns:
                ground = LiveClientGround(at_a_time=runs)
                runner = ClientRunner(ground, [codec(dialect)], waits, script_named(script), command)
                try:
                    return await runner.run("client", CHAT, alone)
                finally:
                    end_strays(ground.nonce)

        return await asyncio.gather(*map(one, clients))

    return asyncio.run(all_of_them())
