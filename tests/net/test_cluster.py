"""Real processes: NATS and three servers on the loopback, clients of several dialects in one room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nats_credentials import Operator
from nats_process import Nats
from processes import BIN, CREATE, PATIENCE, LiveServer, Peer, ctl, frame, live_server, read_all, until
from system_tools import required
from tcrp.engine.codec import codec
from tcrp.spec.names import Operation

LEASE = 2.0
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    server = Nats(tmp_path_factory.mktemp("nats"))
    yield server
    server.end()


class Member(Peer):
    """A peer that speaks another dialect than `text`: its datagrams are the same."""

    def __init__(self, server: LiveServer, name: str, dialect: str) -> None:
        super().__init__(server, name)
        self.codec = codec(dialect)

    def enters(self, operation: Operation, room: str) -> Member:
        self.room = room.encode()
        port = self.udp.getsockname()[1]
        with self.connect() as tcp:
            tcp.sendall(self.codec.write_request(operation, self.room, self.name, "", "127.0.0.1", port))
            answer = read_all(tcp)
        found = re.search(rb"[0-9a-f]{32}", answer)
        assert found is not None, answer
        self.token = found[0]
        self.says("")
        return self


def free_ports(count: int) -> list[int]:
    """Ports that the system gives to nobody by itself, so that a server can have its own again."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20000, 32000)  # noqa: S311 - no secret
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as tried:
                try:
                    tried.bind(("127.0.0.1", port))
                except OSError:
                    break
        else:
            found.append(port)
    return found


class Cluster:
    """Three servers of one cluster."""

    def __init__(self, nats: Nats, name: str) -> None:
        lease = f"{LEASE:g}s"
        # A text is said again and again until it is heard, which a server may take for too many.
        many = ("--texts-per-second-max", "1000")
        self.options = ("--cluster", nats.url, "--cluster-name", name, "--cluster-lease", lease, *many)
        self.servers: dict[str, LiveServer] = {}

    def begins(self) -> None:
        with ThreadPoolExecutor() as pool:
            ports = iter(free_ports(2 * len(NAMES)))
            made = pool.map(
                lambda each: (each[0], LiveServer(*self.options, "--node", each[0], tcp=each[1], udp=each[2])),
                [(name, next(ports), next(ports)) for name in NAMES],
            )
            self.servers.update(made)
        for each in NAMES:
            until(lambda each=each: self.servers[each].log().count("node_joined") == 2, f"{each} sees the others")
        self.alice = Member(self.servers["a"], "alice", "json").enters(Operation.CREATE, "lobby")
        self.bob = Peer(self.servers["b"], "bob").joins("lobby")
        self.carol = Member(self.servers["c"], "carol", "json-name").enters(Operation.JOIN, "lobby")
        self.have_entered(self.alice, self.bob, self.carol)
        self.talk(self.alice, self.bob, self.carol)

    def have_entered(self, *members: Peer) -> None:
        """Entering by a datagram takes a moment, by way of a gateway one more."""
        for each in members:
            words = f"session_entered session={each.name}@{each.room.decode()}"
            until(lambda words=words: any(words in server.log() for server in self.servers.values()), words)

    def talk(self, *members: Peer) -> None:
        """Each says something that all others hear, once."""
        for speaker in members:
            text = f"{speaker.name} at {time.monotonic_ns()}"
            speaker.says(text)
            for listener in members:
                if listener is not speaker:
                    assert hears(listener, text) == 1

    def close(self) -> None:
        logs = [each.log() for each in self.servers.values()]
        for each in self.servers.values():
            each.close()
        for log in logs:
            print(log)  # noqa: T201 - shown if the test fails
            assert "internal_error" not in log
            assert "Traceback" not in log


@pytest.fixture
def cluster(nats: Nats, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = Cluster(nats, re.sub(r"\W", "-", request.node.name)[:60])
    try:
        made.begins()
        yield made
    finally:
        made.close()


def hears(listener: Peer, text: str) -> int:
    """How often it hears a text, which comes once at least."""
    while text.encode() not in listener.hears():
        pass
    times = 1
    listener.udp.settimeout(0.05)
    try:
        while True:
            times += text.encode() in listener.udp.recv(65536)
    except TimeoutError:
        listener.udp.settimeout(None)
    return times


def speaks_until_heard(speaker: Peer, listener: Peer) -> float:
    """Seconds until something that is said again and again is heard."""
    began, number = time.monotonic(), 0
    listener.udp.settimeout(0.1)
    while time.monotonic() - began < PATIENCE:
        number += 1
        speaker.says(f"{speaker.name} again {number}")
        try:
            while f"{speaker.name} again ".encode() not in listener.udp.recv(65536):
                pass
        except TimeoutError:
            continue
        listener.udp.settimeout(None)
        return time.monotonic() - began
    raise AssertionError(f"{listener.name} never hears {speaker.name}")


def test_a_room_goes_on_when_its_owner_is_killed(cluster: Cluster) -> None:
    cluster.servers["a"].kill()
    seconds = speaks_until_heard(cluster.bob, cluster.carol)
    assert seconds < 1.01 * LEASE + 3
    time.sleep(0.3)
    cluster.talk(cluster.bob, cluster.carol)
    dave = Peer(cluster.servers["c"], "dave").joins("lobby")
    cluster.have_entered(dave)
    cluster.talk(cluster.bob, cluster.carol, dave)


def test_an_owner_that_was_stopped_for_longer_than_its_lease_is_a_gateway_when_it_goes_on(cluster: Cluster) -> None:
    a = cluster.servers["a"]
    a.signal(signal.SIGSTOP)
    speaks_until_heard(cluster.bob, cluster.carol)
    cluster.alice.says("into the socket of a stopped process")
    time.sleep(0.3)
    a.signal(signal.SIGCONT)
    assert hears(cluster.bob, "into the socket of a stopped process") == 1
    until(lambda: a.log().count("lease_held") == 2, "its lease again")
    speaks_until_heard(cluster.bob, cluster.alice)  # texts are lost until both servers know who owns the room
    speaks_until_heard(cluster.alice, cluster.bob)
    cluster.talk(cluster.alice, cluster.bob, cluster.carol)
    owners = [name for name, each in cluster.servers.items() if "event=room_recovered room=" in each.log()]
    assert len(owners) == 1
    assert owners != ["a"]


def test_nats_may_start_again_within_the_lease(cluster: Cluster, nats: Nats) -> None:
    nats.end()
    cluster.alice.says("")
    nats.begin()
    until(lambda: all("nats_back" in each.log() for each in cluster.servers.values()), "all are back")
    time.sleep(LEASE)
    cluster.talk(cluster.alice, cluster.bob, cluster.carol)
    assert not any("members_told" in each.log() for each in cluster.servers.values())


def test_members_are_told_within_the_lease_when_nats_is_away_for_longer(cluster: Cluster, nats: Nats) -> None:
    nats.end()
    gone = time.monotonic()
    for each, words in ((cluster.bob, b"Server shutdown"), (cluster.carol, b"__ROOM_CLOSED__")):
        while each.hears() != words:
            pass
    assert time.monotonic() - gone < LEASE + 1
    until(lambda: "event=members_told members=1" in cluster.servers["b"].log(), "it is logged")
    refused = Peer(cluster.servers["b"], "dave").ask(frame(CREATE, 0, b"attic", b"dave"))
    assert refused[-1] == 7
    nats.begin()
    until(lambda: all(each.log().count("lease_held") == 2 for each in cluster.servers.values()), "leases again")
    Peer(cluster.servers["b"], "dave").creates("attic")
    assert Peer(cluster.servers["c"], "erin").joins("attic")


def test_a_server_that_stops_hands_its_rooms_over(cluster: Cluster) -> None:
    a = cluster.servers["a"]
    a.process.terminate()
    seconds = speaks_until_heard(cluster.bob, cluster.carol)
    assert a.process.wait(PATIENCE) == 0
    assert seconds < LEASE
    again = LiveServer(*cluster.options, "--node", "a", tcp=a.tcp, udp=a.udp)
    try:
        cluster.talk(cluster.alice, cluster.bob, cluster.carol)
    finally:
        assert again.stop() == 0
        again.close()


# --- what an operator asks -----------------------------------------------------------------------


def test_an_operator_sees_all_rooms_and_is_sent_to_the_server_that_has_them(nats: Nats, tmp_path: Path) -> None:
    def server(name: str) -> contextlib.AbstractContextManager[LiveServer]:
        options = ("--cluster", nats.url, "--cluster-name", "ctl", "--cluster-lease", "1s", "--node", name)
        listen = ("tcp=0,udp=0,name=wide", "tcp=0,udp=0,name=old,dialect=json-name")
        return live_server(*options, "--control", str(tmp_path / name), listen=listen)

    with server("n1") as n1, server("n2") as n2:
        for each in (n1, n2):
            until(lambda each=each: "node_joined" in each.log(), "they see each other")
        Peer(n1, "ann").creates("lobby")
        Peer(n2, "bob").creates("attic")
        Peer(n2, "cem").joins("lobby")
        until(lambda: "lobby" in ctl(tmp_path / "n2", "list"), "the room of the other")
        rows = [line.split() for line in ctl(tmp_path / "n2", "list").splitlines()]
        assert rows == [
            ["room", "state", "host", "members", "server"],
            ["attic", "open", "bob", "1", "n2"],
            ["lobby", "-", "-", "-", "n1"],
        ]
        assert json.loads(ctl(tmp_path / "n1", "list", "--json")) == [
            {"room": "lobby", "state": "open", "host": "ann", "members": 2, "server": "n1"},
            {"room": "attic", "state": None, "host": None, "members": None, "server": "n2"},
        ]
        members = [line.split() for line in ctl(tmp_path / "n1", "list", "lobby").splitlines()]
        assert members[0][-2:] == ["server", "listener"]
        assert [(each[0], *each[-2:]) for each in members[1:]] == [("ann", "n1", "wide"), ("cem", "n2", "wide")]

        sent_away = "the room 'lobby' is at the server n1: ask there"
        for command in (["list", "lobby"], ["remove", "cem", "lobby"], ["close", "lobby"]):
            assert ctl(tmp_path / "n2", *command, code=2) == sent_away
        assert ctl(tmp_path / "n2", "list", "cellar", code=2) == "there is no room 'cellar'"
        assert ctl(tmp_path / "n1", "remove", "cem", "lobby") == ""
        assert ctl(tmp_path / "n1", "close", "lobby") == ""


# --- what goes wrong at the beginning ------------------------------------------------------------


def refused(*options: str) -> str:
    """What a server says that does not begin."""
    shown = subprocess.run(
        [BIN / "chat-server", "--tcp-port", "0", "--udp-port", "0", *options],
        capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert shown.returncode == 2, shown
    return shown.stderr


def test_a_server_says_why_it_cannot_join(nats: Nats) -> None:
    assert "cannot be reached: Connection refused. Is nats-server -js running there?" in refused(
        "--cluster", "nats://127.0.0.1:9"
    ).replace("\n", " ")
    assert "nats://HOST:4222" in refused("--cluster", "http://127.0.0.1:9")
    assert "--cluster-credentials FILE" in refused("--cluster", "nats://me:secret@127.0.0.1:9")

    async def others() -> None:
        import nats as client

        connection = await client.connect(nats.url)
        bucket = await connection.jetstream().create_key_value(bucket="theirs")
        await bucket.put("orders.7", b"{}")
        await connection.close()

    asyncio.run(others())
    assert "is of another application" in refused("--cluster", nats.url, "--cluster-name", "theirs")
    with live_server("--cluster", nats.url, "--node", "a", "--cluster-lease", "1s"):
        said = refused("--cluster", nats.url, "--node", "a", "--cluster-lease", "1s")
        assert "another server of this cluster is called a and is alive. Give --node another name" in said


def test_credentials_come_from_a_file(tmp_path: Path) -> None:
    locked = Nats(tmp_path / "nats", "--user", "chat", "--pass", "sesame")
    try:
        assert "wants credentials. Give --cluster-credentials FILE" in refused("--cluster", locked.url)
        file = tmp_path / "login"
        file.write_text("chat:open\n")
        wrong = refused("--cluster", locked.url, "--cluster-credentials", str(file))
        assert f"refuses the credentials of {file}. Are they another's, or expired?" in wrong.replace("\n", " ")
        file.write_text("chat:sesame\n")
        with live_server("--cluster", locked.url, "--cluster-credentials", str(file)) as server:
            assert Peer(server, "alice").creates("lobby")
            assert Peer(server, "bob").joins("lobby").token
    finally:
        locked.end()


def test_credentials_may_be_a_file_of_nats(tmp_path: Path) -> None:
    operator, file = Operator(), tmp_path / "chat.creds"
    nats = Nats(tmp_path / "nats", "-c", operator.config(tmp_path / "nats.conf"))
    try:
        options = ("--cluster", nats.url, "--cluster-credentials", str(file))
        for wrong in (Operator().user(), operator.user(exp=1)):
            file.write_text(wrong)
            assert f"refuses the credentials of {file}" in refused(*options).replace("\n", " ")
        file.write_text(operator.user())
        with live_server(*options) as server:
            assert Peer(server, "alice").creates("lobby").token
    finally:
        nats.end()


def test_a_server_whose_credentials_are_valid_no_more_goes_on_with_those_that_replace_them(tmp_path: Path) -> None:
    config, file = tmp_path / "nats.conf", tmp_path / "login"

    def is_let_in_with(password: str) -> None:
        config.write_text(f"authorization {{ user: chat, password: {password} }}")

    is_let_in_with("sesame")
    nats = Nats(tmp_path / "nats", "-c", str(config))
    try:
        file.write_text("chat:sesame")
        with live_server("--cluster", nats.url, "--cluster-credentials", str(file), "--cluster-lease", "1s") as server:
            alice = Peer(server, "alice").creates("lobby")
            is_let_in_with("poppy")
            nats.reads_its_config_again()
            assert alice.hears() == b"Server shutdown"
            until(lambda: server.logs(f"refuses the credentials of {file}"), "it is not let in")
            file.write_text("chat:poppy")
            until(lambda: server.log().count("event=lease_held") == 2, "it has joined again")
            assert Peer(server, "bob").creates("attic").token
            assert server.log().count("event=nats_lost") == 2
    finally:
        nats.end()


def test_tls_is_checked_both_ways(tmp_path: Path) -> None:
    required("openssl")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=own",
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    ):
        (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1")
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    ca, own, key = (str(tmp_path / name) for name in ("ca.pem", "own.pem", "own.key"))
    nats = Nats(tmp_path / "nats", "--tlsverify", "--tlscert", own, "--tlskey", key, "--tlscacert", ca)
    url = nats.url.replace("nats:", "tls:")
    try:
        assert "Try --cluster-ca FILE" in refused("--cluster", url)
        assert "and --cluster-key if it asks for them" in refused("--cluster", url, "--cluster-ca", ca)
        assert f"{tmp_path}/no.pem: the certificates" in refused("--cluster", url, "--cluster-ca", f"{tmp_path}/no.pem")
        options = ("--cluster-ca", ca, "--cluster-cert", own, "--cluster-key", key)
        with live_server("--cluster", url, *options) as server:
            assert Peer(server, "alice").creates("lobby").token
    finally:
        nats.end()
