"""A user of a scenario on real sockets: real clients behind the user's own proxy, driven by the script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import assert_never

from tcrp.engine.codec import Codec, codec
from tcrp.engine.outputs import Address
from tcrp.engine.recognition import port_is_clear
from tcrp.live.compare import Collector
from tcrp.live.impairment import UserImpairment
from tcrp.live.proxy import Proxy
from tcrp.net.client import Client, RequestRefused, ServerAt, Unreachable
from tcrp.sim.hosts.forged import body_of, forged_datagram
from tcrp.sim.scenario.model import (
    Abandon,
    Clock,
    Crash,
    Create,
    Datagram,
    Flood,
    Join,
    KeepAlive,
    Leave,
    Move,
    Pause,
    Replay,
    Say,
    Scenario,
    Spoof,
    StealToken,
    Stream,
    UseListener,
    User,
    UserAction,
    UseServer,
)
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation, SessionState
from tcrp.trace.recorder import Instances
from tcrp.trace.trace import Trace


class LiveUser:
    """One user. `others` are all users of the scenario, by id; `addresses` are those of the server's listeners."""

    def __init__(
        self,
        user: User,
        limits: Limits,
        proxy_ip: str,
        own_ip: str,
        addresses: Sequence[tuple[Address, Address]],
        scenario: Scenario,
        impairment: UserImpairment,
        others: dict[str, LiveUser],
    ) -> None:
        self.id = user.id
        self.name = user.name
        self.codec: Codec = codec(user.dialect)
        self.collector = Collector()
        self._addresses = addresses
        self._listener_of = scenario.listener_of
        tcp, udp = addresses[scenario.listener_of(user.listener)]
        self.proxy = Proxy(
            proxy_ip, own_ip, tcp, udp, impairment, self._client_address, partial(port_is_clear, self.codec)
        )
        self._limits = limits
        self._others = others
        self._trace = Trace()
        self._trace.listeners.append(self.collector.hear)
        self._started_us = time.monotonic_ns() // 1000
        self._client: Client | None = None
        self._former: list[Client] = []
        self._instances = Instances()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stolen: tuple[LiveUser, str, bytes] | None = None
        self._kept_token = b""  # the latest of former clients

    @property
    def state(self) -> SessionState:
        """The state of the latest session, as the client knows it."""
        return self._client.state if self._client is not None else SessionState.ANONYMOUS

    def _client_address(self) -> Address | None:
        return self._client.address if self._client is not None else None

    async def close(self) -> None:
        """Stop all clients and the proxy at once."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in (*self._former, self._client):
            if client is not None:
                await client.close()
        await self.proxy.close()

    # --- the script ------------------------------------------------------------------------------

    def act(self, action: UserAction, *, allow_invalid: bool) -> None:
        """Perform an action; one that is not possible now is skipped, as a simulated user skips it."""
        match action:
            case Create() | Join():
                self._ask(action)
            case Say(text):
                self._say(text, allow_invalid=allow_invalid)
            case KeepAlive():
                self._say("", allow_invalid=False)
            case Leave():
                self._leave()
            case Move(address):
                self.proxy.move(self.proxy.own_ip if address is None else address)
            case UseListener(listener):
                self.proxy.go_to(*self._addresses[self._listener_of(listener)])
            case Crash():
                self._crash()
            case Datagram():
                self._send_forged(action)
            case Stream(data):
                self._spawn(self._stream(data))
            case Abandon():
                self._abandon(action)
            case StealToken(victim):
                held = self._others[victim].held()
                self._stolen = (self._others[victim], *held) if held is not None else None
            case Clock() | Pause() | UseServer() | Spoof() | Replay() | Flood():
                raise AssertionError(f"{action} cannot run on sockets")
            case _:
                assert_never(action)

    def _ask(self, request: Create | Join) -> None:
        if (client := self._next_client(request)) is not None:
            self._spawn(self._enter(client))

    def _abandon(self, action: Abandon) -> None:
        if (client := self._next_client(action.request)) is not None:
            self._spawn(client.break_off(says_part=action.after == "requested"))

    def _next_client(self, request: Create | Join) -> Client | None:
        """The client for a request; None where it is not possible now."""
        client = self._client
        if client is not None:
            if client.is_living or (client.state is SessionState.ANONYMOUS and client.is_under_way):
                return None
            self._former.append(client)
        try:
            self._client = self._new_client(request)
        except ValueError:
            self._client = None
        return self._client

    def _new_client(self, request: Create | Join) -> Client:
        resume = self._others[request.resume].latest_token if request.resume is not None else b""
        self._kept_token = self.latest_token
        return Client(
            ServerAt(self.proxy.ip, self.proxy.tcp_port, self.proxy.udp_port),
            self.codec,
            Operation.CREATE if isinstance(request, Create) else Operation.JOIN,
            request.room,
            self.name,
            password=request.password,
            resume_token=resume,
            limits=self._limits,
            keeps_alive=False,
            announced_ip=self.proxy.own_ip,
            announced_port=self.proxy.own_port,
            trace=self._trace,
            actor=self.id,
            instances=self._instances,
            started_us=self._started_us,
        )

    @staticmethod
    async def _enter(client: Client) -> None:
        try:
            await client.enter()
        except (Unreachable, RequestRefused):
            return  # its trace shows the failure

    def _say(self, text: str, *, allow_invalid: bool) -> None:
        if self._stolen is not None:
            victim, room, token = self._stolen
            self.proxy.send_up(forged_datagram(room, token, victim.codec.write_text(victim.name, text)))
            return
        client = self._client
        if client is None or client.state is not SessionState.IN_ROOM:
            return
        try:
            client.say_now(text)
        except ValueError:
            held = self.held()
            if allow_invalid and held is not None:
                self.proxy.send_up(forged_datagram(*held, self.codec.write_text(self.name, text)))

    def _leave(self) -> None:
        if self._stolen is not None:
            victim, room, token = self._stolen
            if words := victim.codec.dialect.leave_words:
                self.proxy.send_up(forged_datagram(room, token, victim.codec.write_text(self.name, words[0])))
        elif self._client is not None and self._client.is_living:
            self._client.leave()

    def _crash(self) -> None:
        self._kept_token = self.latest_token
        client, self._client = self._client, None
        for task in list(self._tasks):
            task.cancel()
        if client is not None:
            self._spawn(client.close())
        self.proxy.move(self.proxy.own_ip)  # a new socket

    # --- forged and stolen datagrams --------------------------------------------------------------

    @property
    def latest_token(self) -> bytes:
        """The token that the user's client holds or last held; empty if there was none."""
        held = self.held()
        return held[1] if held is not None else self._kept_token

    def held(self) -> tuple[str, bytes] | None:
        """The room and token of the user's latest session, living or ended."""
        client = self._client
        return (client.room, client.engine.token) if client is not None and client.has_token else None

    def _send_forged(self, forged: Datagram) -> None:
        if forged.token_of is None and forged.data is not None:
            self.proxy.send_up(forged.data)
            return
        holder = self._others[forged.token_of] if forged.token_of is not None else self
        held = self._stolen[1:] if holder is self and self._stolen is not None else holder.held()
        if held is not None:
            room, token = held
            body = body_of(forged, holder.codec, holder.name)
            self.proxy.send_up(forged_datagram(room if forged.room is None else forged.room, token, body))

    async def _stream(self, data: bytes) -> None:
        reader, writer = await asyncio.open_connection(self.proxy.ip, self.proxy.tcp_port)
        try:
            writer.write(data)
            while await reader.read(4096):
                pass  # until the server closes the connection
        finally:
            writer.close()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        async def attempt() -> None:
            with suppress(OSError):  # the server is down, or has reset the connection
                await coroutine

        task = asyncio.get_running_loop().create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
