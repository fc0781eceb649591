"""A server of a cluster: carries out what its node asks for with NATS, and brings in what NATS says.

Knows nats-py, subjects and the bucket's layout, not the protocol. What fails is not answered: the node asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import KeyValueConfig, StorageType
from nats.js.kv import KeyValue

from tcrp.cluster.keys import STATE
from tcrp.cluster.node import ClusterNode, NodeConfig
from tcrp.cluster.outputs import (
    Answer,
    ClusterOutput,
    ClusterStepped,
    Delete,
    Entry,
    Get,
    Happened,
    NodeOutput,
    Put,
    SendMessage,
    What,
)
from tcrp.engine.outputs import Detail, ServerOutput
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.net.log import Log
from tcrp.net.nats_login import CannotJoin, credentials, tls, word
from tcrp.net.server import Server
from tcrp.net.tokens import system_token
from tcrp.spec.cluster_names import ClusterMachine, LeaseEvent

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LIVE = "live."
"""Processes and rooms stand below it in the bucket: one watcher shows both, in the order of their revisions."""
META = "cluster"
"""The key that says whose bucket it is."""
APPLICATION = {"application": "tcrp", "layout": 1}
CONNECT_SECONDS = 3.0
HAND_OVER_SECONDS = 5.0
"""How long a server that stops waits for others to take its rooms."""
AGAIN_SECONDS = 0.25
MARKER_SECONDS = 3600.0
"""So long the bucket remembers that a key is gone, where it can forget that (NATS 2.11 and newer)."""
UNSENT_MAX = 65536
"""So many messages may wait to be sent; the newest give way."""
_IN_LOG = {
    What.ROOM_RECOVERED: ("room", "why"), What.ROOM_NOT_RECOVERED: ("room", "why"), What.INPUTS_LOST: ("room", "why"),
    What.MEMBERS_TOLD: ("room", "members"), What.STALE_OWNER: ("node", "room"),
}  # fmt: skip
"""How the log calls an event's subject and its `why`, where that is not a process and a reason."""
ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError, asyncio.TimeoutError)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Which cluster. `bucket` is its name at NATS, `node` the server's own name in it; secrets come from files."""

    url: str
    node: str
    bucket: str
    lease_us: int
    kin: str
    credentials: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Figures:
    """What a server of a cluster counts besides, for metrics."""

    def __init__(self) -> None:
        self.sent = self.received = self.lost = self.saves = self.stale = self.unanswered = 0


class ClusterServer(Server):
    """A `Server` that is one of several. `join` comes before `start`, `begin` behind it."""

    def __init__(self, config: ClusterConfig, log: Log, *args: Any, **named: Any) -> None:
        self.cluster = config
        self.figures = Figures()
        self._log = log
        self._life = system_token().decode()[:16]
        super().__init__(*args, **named)
        self._connection: Any = None
        self._bucket: KeyValue | None = None
        self._watching: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None
        self._unsent: asyncio.Queue[SendMessage] = asyncio.Queue(UNSENT_MAX)
        self._asking: set[asyncio.Task[None]] = set()
        self._shown: dict[str, int] = {}  # the keys that were shown, and their revisions
        self._is_held = asyncio.Event()
        self._is_name_taken = False
        self._is_over = False
        self._last_error = ""

    def _make_engine(self, config: ServerConfig, detail: Detail) -> ServerEngine:
        cluster = self.cluster
        node = NodeConfig(config, cluster.node, self._life, cluster.kin, cluster.lease_us)
        self.node = ClusterNode(node, new_token=system_token, detail=detail)
        # It takes all that an engine takes; what else it puts out is taken out in `_carry_out`.
        return cast(ServerEngine, self.node)

    # --- beginning -------------------------------------------------------------------------------

    async def join(self, seconds: float = CONNECT_SECONDS) -> None:
        """Find NATS, within some seconds, and then the bucket, within as many. Raises `CannotJoin`."""
        url, file = self.cluster.url, self.cluster.credentials
        self._last_error = ""
        try:
            self._connection = await asyncio.wait_for(self._connect(), seconds)
        except ERRORS as error:
            why = self._last_error or str(error) or "no answer"
            if "authorization" in why.lower() or "authentication" in why.lower():
                if file is None:
                    raise CannotJoin(f"NATS at {url} wants credentials. Give --cluster-credentials FILE") from None
                raise CannotJoin(
                    f"NATS at {url} refuses the credentials of {file}. Are they another's, or expired?"
                ) from None
            if self._uses_tls() and "refused" not in why:  # the other end may just hang up
                hint = "Try --cluster-ca FILE, and --cluster-cert and --cluster-key if it asks for them"
                raise CannotJoin(f"there is no TLS with NATS at {url}: {why}. {hint}") from None
            raise CannotJoin(f"NATS at {url} cannot be reached: {why}. Is nats-server -js running there?") from None
        try:
            self._bucket = await asyncio.wait_for(self._open_bucket(), seconds)
        except CannotJoin:
            await self._connection.close()
            raise
        except ERRORS as error:
            await self._connection.close()
            why = f"NATS at {url} has no JetStream, or does not let this user have it ({word(error)})"
            raise CannotJoin(f"{why}. Start nats-server with -js") from None

    async def _connect(self) -> Any:
        cluster = self.cluster
        options: dict[str, Any] = {}
        if cluster.credentials is not None:
            options.update(credentials(cluster.credentials))
        if self._uses_tls():
            options["tls"] = tls(cluster.ca, cluster.certificate, cluster.key)
        connection: Any = Client()
        # No reconnecting by nats-py: it would go on with the credentials that were read now.
        await connection.connect(
            cluster.url, name=f"chat-server {cluster.node}", allow_reconnect=False, connect_timeout=2,
            ping_interval=2, max_outstanding_pings=2, error_cb=self._on_error,
            closed_cb=partial(self._on_closed, connection), **options,
        )  # fmt: skip
        return connection

    def _uses_tls(self) -> bool:
        cluster = self.cluster
        return cluster.ca is not None or cluster.certificate is not None or cluster.url.startswith("tls:")

    async def _open_bucket(self) -> KeyValue:
        name = self.cluster.bucket
        stream = self._connection.jetstream(timeout=2)
        try:
            bucket: KeyValue = await stream.key_value(name)
        except nats.js.errors.NotFoundError:
            config = KeyValueConfig(bucket=name, history=1, storage=StorageType.FILE)
            try:
                bucket = await stream.create_key_value(config)
            except nats.js.errors.BadRequestError:  # another server has made it this moment
                bucket = await stream.key_value(name)
        meta = json.dumps(APPLICATION, sort_keys=True).encode()
        try:
            if (await bucket.status()).values == 0:
                with contextlib.suppress(nats.js.errors.KeyWrongLastSequenceError):
                    await bucket.create(META, meta)
            found = (await bucket.get(META)).value
        except nats.js.errors.KeyNotFoundError:
            found = b""
        if found != meta:
            raise CannotJoin(
                f"the bucket {name} at NATS is of another application, or of another version of tcrp. "
                "Give --cluster-name another name"
            )
        return bucket

    async def begin(self) -> None:
        """Take part: from now on rooms of others are known, and this server's lease is held. Raises `CannotJoin`."""
        await self._subscribe()
        self._sending = asyncio.create_task(self._send())
        shown = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(shown))
        wait_seconds = 2.5 * self.cluster.lease_us / 1_000_000 + CONNECT_SECONDS
        try:
            await asyncio.wait_for(shown.wait(), wait_seconds)
            self.perform_node(self.node.start(self.now_us()))
            await asyncio.wait_for(self._is_held.wait(), wait_seconds)
        except TimeoutError:
            raise CannotJoin(f"NATS at {self.cluster.url} does not answer") from None
        if self._is_name_taken:
            name = self.cluster.node
            raise CannotJoin(f"another server of this cluster is called {name} and is alive. Give --node another name")

    async def _subscribe(self) -> None:
        subject = self._subject(f"{self.cluster.node}.{self._life}.*")
        await self._connection.subscribe(subject, cb=self._on_message)

    # --- the end ---------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Hand over every room to the other servers; close those that nobody takes."""
        if self._ports and self._watching is not None:
            self.perform_node(self.node.hand_over(self.now_us()))
            given_up = asyncio.get_running_loop().time() + HAND_OVER_SECONDS
            while self.node.ownership.handing_over() and asyncio.get_running_loop().time() < given_up:
                await asyncio.sleep(0.005)
        await super().stop()
        self._is_over = True
        if self._watching is not None:
            self._to_cluster(self.node.release(self.now_us()))
        with contextlib.suppress(*ERRORS):
            if self._asking:
                await asyncio.wait(self._asking, timeout=1)
            while not self._unsent.empty() and self._connection.is_connected:
                await asyncio.sleep(0.005)
        for task in (self._watching, self._sending, self._joining):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            with contextlib.suppress(*ERRORS):
                await self._connection.close()

    # --- for operators ---------------------------------------------------------------------------

    def elsewhere(self) -> dict[str, str]:
        """The rooms that are at other servers, and these servers' names, if any has them."""
        return self.node.elsewhere()

    def where(self) -> dict[str, str]:
        """Which server it is."""
        return {"server": self.cluster.node}

    def came_by(self, listener: int) -> dict[str, str]:
        """By which server a session's client comes, and by which of its listeners."""
        server, number = self.node.guests.gateway_of(listener)
        return {"server": server, **super().came_by(number)}

    def further_metrics(self) -> Iterable[Metric]:
        """The figures of a server's two roles: owner of some rooms, gateway to those of others."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        figures = self.figures
        here = len(self.node.registry.rooms)
        yield GaugeMetricFamily(
            "tcrp_cluster_lease_held", "whether the server may own rooms", int(self._is_held.is_set())
        )
        yield GaugeMetricFamily("tcrp_cluster_others", "other servers whose leases hold", len(self.node.lease.seen))
        yield GaugeMetricFamily("tcrp_cluster_rooms_owned", "rooms that this server owns", here)
        elsewhere = max(len(self.node.ownership.rooms) - here, 0)
        yield GaugeMetricFamily("tcrp_cluster_rooms_elsewhere", "rooms of other servers", elsewhere)
        yield GaugeMetricFamily(
            "tcrp_cluster_clients", "sessions whose clients come by this server", len(self.node.gateway.sessions)
        )
        for name, help, value in (
            ("sent", "messages to other servers", figures.sent),
            ("received", "messages of other servers", figures.received),
            ("lost", "messages that were not sent, because too many waited", figures.lost),
            ("saves", "snapshots of rooms that were written", figures.saves),
            ("stale", "messages of replaced owners that were dropped", figures.stale),
            ("unanswered", "questions to the bucket that were not answered", figures.unanswered),
        ):
            yield CounterMetricFamily(f"tcrp_cluster_{name}", help, value)

    # --- what the node puts out ------------------------------------------------------------------

    def perform_node(self, outputs: list[NodeOutput]) -> None:
        """Carry out what a node puts out for something that is no client's."""
        if not self._is_over and self._ports:
            self._begin_cause()
            self.perform(cast(list[ServerOutput], outputs))

    def _carry_out(self, outputs: Sequence[NodeOutput], listener: int) -> bool:
        own = [each for each in outputs if not isinstance(each, ClusterOutput)]
        if len(own) < len(outputs):
            self._to_cluster(outputs)
        return super()._carry_out(own, listener)

    def _to_cluster(self, outputs: Sequence[NodeOutput]) -> None:
        for output in outputs:
            match output:
                case SendMessage():
                    if self._unsent.full():
                        self.figures.lost += 1
                        continue
                    self._unsent.put_nowait(output)
                case Put() | Get() | Delete():
                    task = asyncio.get_running_loop().create_task(self._ask(output))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
                case Happened(what, subject, why):
                    self._happened(what, subject, why)
                case ClusterStepped(machine, subject, event, _, to, rule):
                    self._stepped(machine, subject, event, to, rule)
                case _:
                    pass  # an engine's

    def _happened(self, what: What, subject: str, why: str) -> None:
        if what is What.STALE_OWNER:
            self.figures.stale += 1
        if what is What.NAME_IN_USE:
            self._is_name_taken = True
            self._is_held.set()
        say = self._log.info if what in (What.NODE_JOINED, What.ROOM_RECOVERED) else self._log.warning
        about = (_IN_LOG.get(what, ("node", "why")), (subject, why))
        say(what, **{name: value for name, value in zip(*about, strict=True) if value})

    def _stepped(self, machine: ClusterMachine, subject: str, event: str, to: str, rule: str) -> None:
        if machine is not ClusterMachine.LEASE:
            return
        if event == LeaseEvent.GRANTED and not self._is_held.is_set():
            self._is_held.set()
            self._log.info("lease_held", node=subject)
        elif event in (LeaseEvent.RAN_OUT, LeaseEvent.REFUSED) and to == "lost":
            self._is_held.clear()
            self._log.warning("lease_lost", node=subject, rule=str(rule))

    async def _ask(self, output: Put | Get | Delete) -> None:
        bucket = self._bucket
        assert bucket is not None, "it has joined"
        key = output.key if output.key.startswith(STATE) else LIVE + output.key
        try:
            match output:
                case Put(ask, _, value, revision):
                    if output.key.startswith(STATE):
                        self.figures.saves += 1
                    try:
                        if revision:
                            answer = Answer(await bucket.update(key, value, last=revision))
                        else:
                            answer = Answer(await bucket.create(key, value))
                    except nats.js.errors.KeyWrongLastSequenceError:
                        answer = Answer(None)
                case Get(ask, _):
                    try:
                        found = await bucket.get(key)
                        answer = Answer(found.revision, found.value or b"")
                    except nats.js.errors.KeyNotFoundError:
                        answer = Answer(None)
                case Delete(_, revision):
                    await self._delete(bucket, key, revision)
                    return
        except ERRORS as error:
            self.figures.unanswered += 1
            if self._connection.is_connected and not self._is_over:
                self._log.warning("bucket_not_answering", key=output.key.partition(".")[0], why=word(error))
            return
        self.perform_node(self.node.bucket_answered(ask, answer, self.now_us()))

    async def _delete(self, bucket: KeyValue, key: str, revision: int) -> None:
        # Not bucket.delete: its markers stay for ever, one for each room that there ever was.
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        if revision:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        stream = self._connection.jetstream(timeout=2)
        subject = f"$KV.{self.cluster.bucket}.{key}"
        with contextlib.suppress(nats.js.errors.APIError):  # it has changed since: it is another's
            await stream.publish(subject, b"", headers=headers, msg_ttl=MARKER_SECONDS)

    async def _send(self) -> None:
        """Messages, one after the other."""
        while True:
            message = await self._unsent.get()
            self.figures.sent += 1
            with contextlib.suppress(*ERRORS):
                await self._connection.publish(self._subject(message.to), message.data)

    def _subject(self, address: str) -> str:
        return f"tcrp.{self.cluster.bucket}.{address}"

    # --- what NATS says --------------------------------------------------------------------------

    async def _on_message(self, message: Any) -> None:
        self.figures.received += 1
        self.perform_node(self.node.receive_message(message.data, self.now_us()))

    async def _watch(self, shown: asyncio.Event) -> None:
        """Show the node the bucket's keys, and again from the beginning whenever the watcher is lost."""
        while True:
            with contextlib.suppress(*ERRORS):
                await self._watch_once(shown)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _watch_once(self, shown: asyncio.Event) -> None:
        assert self._bucket is not None, "it has joined"
        watcher: Any = await self._bucket.watch(f"{LIVE}>")
        seen: set[str] = set()
        is_whole = False
        # Its own lease is written three times in a lease: where that is not shown, the watcher is dead.
        patience = self.cluster.lease_us / 1_000_000
        try:
            while True:
                try:
                    entry = await watcher.updates(timeout=patience)
                except TimeoutError:
                    return
                if entry is None:
                    is_whole = True
                    for key in [key for key in self._shown if key not in seen]:  # gone while nobody watched
                        self._show(key, None, self._shown[key] + 1)
                    shown.set()
                    continue
                key = entry.key.removeprefix(LIVE)
                if not is_whole:
                    seen.add(key)
                is_gone = entry.operation in ("DEL", "PURGE")
                self._show(key, None if is_gone else entry.value or b"", entry.revision)
        finally:
            with contextlib.suppress(*ERRORS):
                await watcher.stop()

    def _show(self, key: str, value: bytes | None, revision: int) -> None:
        if revision <= self._shown.get(key, 0) and value is not None:
            return
        if value is None:
            self._shown.pop(key, None)
        else:
            self._shown[key] = revision
        outputs = self.node.bucket_changed(Entry(key, value, revision), self.now_us())
        if self._ports:
            self.perform_node(outputs)

    async def _on_error(self, error: Exception) -> None:
        self._last_error = word(error)

    async def _on_closed(self, connection: Any) -> None:
        """NATS is gone, or has put the server out, as when its credentials are valid no more."""
        if connection is not self._connection or self._is_over or self._watching is None:
            return
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._join_again(connection))

    async def _join_again(self, lost: Any) -> None:
        why = word(lost.last_error) if lost.last_error is not None else "the connection is gone"
        self._log.warning("nats_lost", why=why)
        self.perform_node(self.node.connected(False, self.now_us()))
        seconds = AGAIN_SECONDS  # one that begins or ends may take a connection and not answer: first tries are short
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            seconds = min(2 * seconds, CONNECT_SECONDS)
            try:
                await self.join(seconds)  # with the credentials that the file has now
                await self._subscribe()
                break
            except (CannotJoin, *ERRORS) as error:
                if why != (why := word(error)):
                    self._log.warning("nats_lost", why=why)
        self._log.info("nats_back")
        assert self._watching is not None, "it has begun"
        self._watching.cancel()
        self._watching = asyncio.create_task(self._watch(asyncio.Event()))
        self.perform_node(self.node.connected(True, self.now_us()))
