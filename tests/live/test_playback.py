"""A scenario's script in real time: when each step is taken, and that nothing is left behind where one cannot be."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from processes import PATIENCE
from tcrp.live.compare import Collector, differences
from tcrp.live.playback import Addresses, Playback
from tcrp.live.server import ServerFailed
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text

# Steps are so far apart that a busy machine takes each before the next.
EVERY_WHEN = """
claim: steps are taken at a time, after the step before, when a state is reached, and again and again
users: {bob: {dialect: text}, carol: {dialect: text, address: 10.0.0.7}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {when: {room: lobby, state: open}, bob: {join: lobby}}
  - {in: 300ms, carol: {join: lobby}}
  - {in: 300ms, alice: {say: "everybody is here"}}
  - {at: 1500ms, every: 150ms, times: 3, bob: {say: "text {n}"}}
  - {at: 2250ms, carol: {move: {address: 10.0.0.8}}}
  - {at: 2400ms, carol: {move: {address: 10.0.0.7}}}
  - {at: 2700ms, bob: leave}
until: 3300ms
"""


def playback_of(source: str, folder: Path, ends_us: int = 300_000) -> Playback:
    return Playback(read_scenario_text(source), 0, ends_us, folder)


def test_each_address_of_a_scenario_has_one_on_the_loopback_and_no_two_are_the_same() -> None:
    addresses = Addresses()
    found = [addresses.of(f"10.0.{number}") for number in range(1000)]
    assert len({*found, addresses.server}) == 1001
    assert all(each.startswith("127.") and max(map(int, each.split("."))) <= 255 for each in found)
    assert addresses.of("10.0.0") == found[0]
    assert Addresses().server != addresses.server


def test_steps_are_taken_when_the_script_says(tmp_path: Path) -> None:
    scenario, simulated = read_scenario_text(EVERY_WHEN), Collector()
    verdict = Run(scenario, listeners=[simulated.hear]).go()

    async def play() -> None:
        playback = Playback(scenario, verdict.seed, verdict.ended_us, tmp_path)
        await playback.open()
        assert differences(simulated.moves, await playback.run()) == []

    asyncio.run(asyncio.wait_for(play(), PATIENCE))
    assert sum(each.startswith("spoke") for name, steps in simulated.moves.items() for each in steps) > 3


def test_a_step_that_sockets_cannot_take_raises_and_ends_the_server(tmp_path: Path) -> None:
    async def play() -> None:
        playback = playback_of(
            "claim: x\nscript:\n  - {at: 0s, alice: {create: lobby}}\n"
            "  - {at: 100ms, network: {hold: [all, server]}}\n", tmp_path,
        )  # fmt: skip
        await playback.open()
        process = playback._server._process
        assert process is not None
        with pytest.raises(AssertionError, match="cannot run on sockets"):
            await playback.run()
        assert process.returncode is not None

    asyncio.run(asyncio.wait_for(play(), PATIENCE))


def test_a_server_that_cannot_start_is_told_and_nothing_is_left_open(tmp_path: Path) -> None:
    async def play() -> None:
        (tmp_path / "server-1.jsonl").mkdir()
        playback = playback_of("claim: x\nscript:\n  - {at: 0s, alice: {create: lobby}}\n", tmp_path)
        with pytest.raises(ServerFailed, match="Is a directory"):
            await playback.open()
        await playback.close()

    asyncio.run(asyncio.wait_for(play(), PATIENCE))
    found = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.stdout == ""
