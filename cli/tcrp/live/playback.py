"""Runs one scenario on real sockets, in real time: executes its script."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from pathlib import Path

from msgspec.structs import replace

from tcrp.live.compare import Collector, Moves
from tcrp.live.impairment import UserImpairment
from tcrp.live.server import LiveServer
from tcrp.live.user import LiveUser
from tcrp.sim.hosts.server import SERVER
from tcrp.sim.network.links import Network
from tcrp.sim.scenario.model import (
    At,
    CloseRoom,
    Crash,
    Cut,
    Heal,
    Hold,
    In,
    MachineIs,
    Move,
    Release,
    Remove,
    Reset,
    Scenario,
    ServerAction,
    SetFate,
    SetLinks,
    Stall,
    StateClaim,
    Step,
    UserAction,
    UserIs,
    When,
)
from tcrp.sim.scenario.verbs import filled

POLL_SECONDS = 0.02
"""How often a step that waits for a state checks it."""
SLACK_SECONDS = 0.3
"""How much longer than the simulated run a run on sockets lasts, so that its last packets arrive."""
_playbacks = itertools.count(os.getpid())


class Addresses:
    """Loopback addresses: one for each address of a scenario's users, and one for the server and the proxies."""

    def __init__(self) -> None:
        self._net = 16 + next(_playbacks) % 200  # concurrent playbacks use different networks
        self._known: dict[str, str] = {}

    @property
    def server(self) -> str:
        """The address of the server and of the users' proxies."""
        return f"127.{self._net}.255.254"

    def of(self, ip: str) -> str:
        """The loopback address that stands for `ip`."""
        number = len(self._known) + 1
        return self._known.setdefault(ip, f"127.{self._net}.{number >> 8}.{number & 255}")


class Playback:
    """Runs a scenario once on sockets: `open()`, `run()`, and `close()` if it is not run.

    `ends_us` is the time at which the simulated run ended. Traces are written to `folder`.
    """

    def __init__(self, scenario: Scenario, seed: int, ends_us: int, folder: Path) -> None:
        self._scenario = scenario
        self._ends_us = ends_us
        self._addresses = Addresses()
        self._network = Network(scenario.network)
        self._server = LiveServer(
            self._addresses.server,
            scenario.limits,
            scenario.listeners,
            folder,
            self._server_is_up,
            is_commanded=any(isinstance(step.action, Remove | CloseRoom) for step in scenario.script),
        )
        self._users: dict[str, LiveUser] = {}
        self._seed = seed
        self._began = 0.0
        self._rows: dict[int, list[asyncio.Task[None]]] = {}

    @property
    def late_seconds(self) -> float:
        """By which the server took too long to start again: what differs then says nothing."""
        return self._server.late_seconds

    async def open(self) -> None:
        """Start the server, and open a proxy for each user. Raises `ServerFailed`."""
        await self._server.start()
        for number, user in enumerate(self._scenario.users):
            own_ip = self._addresses.of(user.address or f"user {number}")
            self._users[user.id] = LiveUser(
                user,
                self._scenario.limits,
                self._addresses.server,
                own_ip,
                self._server.addresses,
                self._scenario,
                UserImpairment(self._network, user.id, self._seed),
                self._users,
            )
            await self._users[user.id].proxy.open()

    async def run(self) -> Moves:
        """Run the script to its end. Returns the steps of each machine."""
        self._began = time.monotonic()
        try:
            await self._run_script()
        finally:
            await self.close()
        return self._moves()

    async def close(self) -> None:
        """Stop clients, proxies and server at once."""
        for user in self._users.values():
            await user.close()
        await self._server.close()

    async def _server_is_up(self) -> None:
        for user in self._users.values():
            await user.proxy.accept()

    # --- the script ------------------------------------------------------------------------------

    async def _run_script(self) -> None:
        for number, step in enumerate(self._scenario.script):
            task = asyncio.create_task(self._take_at_its_time(step, number))
            self._rows.setdefault(step.row, []).append(task)
        tasks = list(itertools.chain(*self._rows.values()))
        try:
            await self._until(self._ends_us, SLACK_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    async def _take_at_its_time(self, step: Step, number: int) -> None:
        when = step.when
        match when:
            case At(at_us, every_us, times):
                for repetition in range(times):
                    # Equal moments are taken in the order of the file, as in the simulation.
                    await self._until(at_us + repetition * every_us, number * 1e-6)
                    self._take(step, repetition + 1)
            case In(after_us):
                await asyncio.gather(*self._rows.get(step.row - 1, []))
                await asyncio.sleep(after_us / 1_000_000)
                self._take(step, 1)
            case When(claim):
                while not self._is_true(claim):
                    await asyncio.sleep(POLL_SECONDS)
                self._take(step, 1)

    async def _until(self, t_us: int, later: float = 0.0) -> None:
        await asyncio.sleep(max(self._began + t_us / 1_000_000 + later - time.monotonic(), 0))

    def _is_true(self, claim: StateClaim) -> bool:
        match claim:
            case UserIs(user, state):
                return self._users[user].state is state
            case MachineIs(machine, id, state):
                moves = [
                    steps[-1].rpartition(" ")[2]
                    for name, steps in self._moves().items()
                    if (name.actor, name.machine, name.id) == (SERVER, machine, id)
                ]
                return bool(moves) and moves[-1] == state

    def _take(self, step: Step, repetition: int) -> None:
        action = filled(step.action, repetition)
        match action:
            case SetLinks(links, settings):
                self._network.set(links, settings)
            case Cut(links, for_us):
                fault = self._network.cut(links)
                if for_us is not None:  # others on the same links go on
                    asyncio.get_running_loop().call_later(for_us / 1_000_000, self._network.end, fault)
            case Heal(links):
                self._network.heal(links)
            case Hold() | Release() | Stall() | Reset() | SetFate():
                raise AssertionError(f"{action} cannot run on sockets")
            case _ if step.actor == SERVER:
                assert isinstance(action, ServerAction), "the reader allows no other action of a server"
                self._server.act(action)
                if isinstance(action, Crash):
                    for user in self._users.values():
                        user.proxy.refuse()
            case _:
                assert isinstance(action, UserAction), "the reader allows no other action of a user"
                if isinstance(action, Move) and action.address is not None:
                    action = replace(action, address=self._addresses.of(action.address))
                user = self._users[step.actor]
                user.act(action, allow_invalid=step.allow_invalid)

    # --- results ---------------------------------------------------------------------------------

    def _moves(self) -> Moves:
        """The steps of every machine so far."""
        owners = {
            f"{address.ip}:{address.port}": user.id
            for user in self._users.values()
            for address in user.proxy.connections
        }
        collector = Collector(lambda id: owners.get(id, id))
        for run, records in self._server.records():
            collector.read(records, run)
        moves = dict(collector.moves)
        for user in self._users.values():
            moves.update(user.collector.moves)
        return moves
