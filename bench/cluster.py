"""What a cluster costs: relays by way of gateway and owner beside a single server, and what each process does.

    python -m bench.cluster [--texts 1000] [--members 600]
    python -m bench.cluster --largest        # how many members one room can have at one, two and three servers

NATS, three servers and the clients stay on the loopback. One text is under way at a time, so latencies are those of an
idle cluster; processor times are the processes' own. The figures are written to `.bench/cluster.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.results import Found
from bench.sockets import OPTIONS

NATS_PORT, PORTS = 19222, (19002, 19012, 19022)
TICKS = os.sysconf("SC_CLK_TCK")
CREATE, JOIN = 1, 2
PATIENCE = 20.0
LARGEST_SECONDS = 50.0


class Client:
    """Somebody who speaks the dialect `text`, at the server with these ports."""

    def __init__(self, port: int, room: bytes, name: str, operation: int, udp: socket.socket | None = None) -> None:
        request = bytes((len(room), operation, 0)) + len(name).to_bytes(29, "big") + room + name.encode()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as tcp:
            tcp.sendall(request)
            answer = b""
            while more := tcp.recv(4096):
                answer += more
        self.head = bytes((len(room), 32)) + room + answer[-32:]
        self.udp = udp if udp is not None else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect(("127.0.0.1", port + 1))
        self.udp.send(self.head)

    def says(self, text: str) -> None:
        """A text to everybody else."""
        self.udp.send(self.head + text.encode())


def wait_for(clients: Sequence[Client], text: str) -> None:
    """Until all have heard it."""
    waiting = {client.udp for client in clients}
    ends = time.monotonic() + PATIENCE
    while waiting:
        readable, _, _ = select.select(list(waiting), [], [], PATIENCE)
        if not readable or time.monotonic() > ends:
            raise SystemExit(f"bench: {len(waiting)} clients never heard {text!r}")
        for each in readable:
            if each.recv(4096).endswith(text.encode()):
                waiting.discard(each)


def enter(port: int, room: bytes, name: str, operation: int, other: Client | None) -> Client:
    """A client that is in the room: `other` is heard by it."""
    client = Client(port, room, name, operation)
    while other is not None:
        other.says(f"is {name} here?")
        if select.select([client.udp], [], [], 0.05)[0]:
            break
    return client


@contextlib.contextmanager
def process(*command: str, ready: bool) -> Iterator[int]:
    """A program, up and ready; gives its process id."""
    out = subprocess.PIPE if ready else subprocess.DEVNULL
    with subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, text=True) as started:
        try:
            if ready and started.stdout is not None and "ready" not in started.stdout.readline():
                raise SystemExit(f"bench: {' '.join(command[:4])} did not begin")
            yield started.pid
        finally:
            started.terminate()


@contextlib.contextmanager
def servers(is_cluster: bool) -> Iterator[list[int]]:
    """NATS, behind three servers; or a single server. Gives their process ids."""
    with contextlib.ExitStack() as stack:
        server = (sys.executable, "-m", "tcrp.cli.server", *OPTIONS, "--members-max", "30000")
        if not is_cluster:
            yield [stack.enter_context(process(*server, "--tcp-port", "19002", "--udp-port", "19003", ready=True))]
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        command = str(Path(sys.executable).parent / "nats-server")
        nats = stack.enter_context(
            process(command, "-js", "-sd", folder, "-a", "127.0.0.1", "-p", str(NATS_PORT), ready=False)
        )
        time.sleep(1)
        pids = []
        for number, port in enumerate(PORTS):
            options = ("--cluster", f"nats://127.0.0.1:{NATS_PORT}", "--node", f"n{number}")
            at = ("--tcp-port", str(port), "--udp-port", str(port + 1))
            pids.append(stack.enter_context(process(*server, *options, *at, ready=True)))
        time.sleep(2)  # until all have seen each other
        yield [*pids, nats]


def cpu_seconds(pid: int) -> float:
    """The processor time of a process so far."""
    fields = re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text(encoding="ascii")).split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def names_of(pids: Sequence[int]) -> list[str]:
    """What the processes are for."""
    return ["owner", "second", "third", "NATS"] if len(pids) > 1 else ["server"]


def latency(found: Found, what: str, pids: Sequence[int], sender: int, listener: int, texts: int) -> None:
    """From a text to its relay, by the ports of two clients. The room is at the first server."""
    room = what.encode()
    host = enter(PORTS[0], room, "host", CREATE, None)
    speaker = enter(sender, room, "speaker", JOIN, host)
    hearer = enter(listener, room, "hearer", JOIN, host)
    wait_until_quiet([host, speaker, hearer])
    took = []
    before = [cpu_seconds(pid) for pid in pids]
    for number in range(texts):
        began = time.perf_counter()
        speaker.says(f"text {number}")
        wait_for([hearer], f"text {number}")
        took.append(1e3 * (time.perf_counter() - began))
        time.sleep(0.001)
    spent = [1e6 * (cpu_seconds(pid) - start) / texts for pid, start in zip(pids, before, strict=True)]
    host.says("exit")
    time.sleep(0.3)
    cuts = statistics.quantiles(took, n=100)
    found.figure(f"{what}, p50", statistics.median(took), "ms")
    found.figure(f"{what}, p99", cuts[98], "ms")
    for name, each in zip(names_of(pids), spent, strict=True):
        found.figure(f"{what}: {name}", each, "us of processor time for each text")


def wait_until_quiet(clients: Sequence[Client]) -> None:
    """Read what is under way."""
    while readable := select.select([each.udp for each in clients], [], [], 0.1)[0]:
        for each in readable:
            each.recv(4096)


def fan_out(found: Found, what: str, ports: Sequence[int], pids: Sequence[int], members: int) -> None:
    """One room with members at several servers: the processor time of each process for a relay."""
    room = f"{what}, all".encode()
    host = enter(PORTS[0], room, "host", CREATE, None)
    guests = [Client(ports[number % len(ports)], room, f"guest{number}", JOIN) for number in range(members)]
    time.sleep(1)
    wait_until_quiet([host, *guests])
    texts = 60
    before = [cpu_seconds(pid) for pid in pids]
    began = time.perf_counter()
    for number in range(texts):
        host.says(f"text {number}")
        wait_for(guests, f"text {number}")
    took = time.perf_counter() - began
    spent = [cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    for name, seconds in zip(names_of(pids), spent, strict=True):
        found.figure(f"{what}: {name}", 1e6 * seconds / (texts * members), "us of processor time for each relay")
    found.figure(f"{what}: a text to all of {members}", 1e3 * took / texts, "ms")
    host.says("exit")
    time.sleep(1)


class Crowd:
    """Guests of one room, at servers in turn. Those of one server share a socket, to be read with little work."""

    def __init__(self, room: bytes, ports: Sequence[int]) -> None:
        self.host = enter(ports[0], room, "host", CREATE, None)
        self.guests: list[Client] = []
        self._room, self._ports = room, ports
        self._readers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in ports]
        for reader, port in zip(self._readers, ports, strict=True):
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
            reader.connect(("127.0.0.1", port + 1))
            reader.setblocking(False)

    def grows(self, count: int, ends: float) -> bool:
        """Guests join until there are so many. False: there was no time for it."""
        while len(self.guests) < count:
            if time.monotonic() > ends:
                return False
            number = len(self.guests)
            at = number % len(self._ports)
            self.guests.append(Client(self._ports[at], self._room, f"g{number}", JOIN, self._readers[at]))
        while self._read(0.5):
            pass
        return True

    def hears(self, texts: int) -> tuple[int, float]:
        """Ten texts a second from the host: relays that were lost, and the latest one's seconds."""
        sent: list[float] = []
        heard = [0] * texts
        latest = 0.0
        began = time.perf_counter()
        while len(sent) < texts or (sum(heard) < texts * len(self.guests) and time.perf_counter() < sent[-1] + 1):
            if len(sent) < texts and time.perf_counter() >= began + len(sent) / 10:
                sent.append(time.perf_counter())
                self.host.says(f"text {len(sent) - 1}")
            for data in self._read(0.002):
                number = int(data.rpartition(b" ")[2])
                heard[number] += 1
                latest = max(latest, time.perf_counter() - sent[number])
        return texts * len(self.guests) - sum(heard), latest

    def _read(self, seconds: float) -> list[bytes]:
        """What is there, or comes within so long; not more at once than lets the clock have its turn."""
        found: list[bytes] = []
        for each in select.select(self._readers, [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    found.append(each.recv(4096))
        return [each for each in found if b": text " in each]


def largest(found: Found, what: str, ports: Sequence[int], seconds: float) -> None:
    """The most members of one room who hear 10 texts a second, each within 100 ms, and lose none."""
    ends = time.monotonic() + seconds
    crowd = Crowd(f"{what}, largest".encode(), ports)
    count, most, latest, failed = 500, 0, 0.0, 0
    while failed < 2 and crowd.grows(count, ends):  # once may be the machine's doing
        lost, took = crowd.hears(20)
        print(f"  {count} guests: {lost} relays lost, the last one after {1e3 * took:.0f} ms", flush=True)
        if lost or took > 0.1:
            failed += 1
        else:
            most, latest, count, failed = count, took, round(1.2 * count), 0
    if failed < 2:
        print(f"  there was no time for {count}")
    found.figure(f"{what}: members who hear 10 texts a second", most + 1, "in one room")
    found.figure(f"{what}: their last relay", 1e3 * latest, "ms")
    crowd.host.says("exit")
    time.sleep(1)


def largest_rooms() -> None:
    """One process, two, three. Written to `.bench/cluster-largest.json`."""
    found = Found("cluster-largest")
    with servers(is_cluster=False):
        largest(found, "a single server", PORTS[:1], LARGEST_SECONDS)
    with servers(is_cluster=True):
        for count in (2, 3):
            largest(found, f"at {count} of 3 servers", PORTS[:count], LARGEST_SECONDS)
    print(found.write())


def main(texts: int, members: int) -> None:
    """Latencies and processor times."""
    found = Found("cluster")
    with servers(is_cluster=False) as pids:
        latency(found, "a single server", pids, PORTS[0], PORTS[0], texts)
        fan_out(found, "a single server", PORTS[:1], pids, members)
    with servers(is_cluster=True) as pids:
        latency(found, "a cluster, both at the owner", pids, PORTS[0], PORTS[0], texts)
        latency(found, "a cluster, the listener at a gateway", pids, PORTS[0], PORTS[1], texts)
        latency(found, "a cluster, both at a gateway", pids, PORTS[1], PORTS[1], texts)
        latency(found, "a cluster, at two gateways", pids, PORTS[1], PORTS[2], texts)
        for count in (1, 2, 3):
            fan_out(found, f"members at {count} of 3 servers", PORTS[:count], pids, members)
    print(found.write())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--members", type=int, default=600)
    parser.add_argument("--largest", action="store_true", help="search for the largest room instead, for 3 minutes")
    given = parser.parse_args()
    if given.largest:
        largest_rooms()
    else:
        main(given.texts, given.members)
