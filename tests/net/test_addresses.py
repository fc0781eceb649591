"""Addresses: one text for a peer, whatever carries its bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processes import PATIENCE
from tcrp.engine.outputs import Address
from tcrp.net.addresses import address_of, sockaddr_of

SOCKADDRS = [
    (("192.0.2.1", 9), "192.0.2.1"),
    (("::ffff:192.0.2.1", 9, 0, 0), "192.0.2.1"),
    (("2001:db8::1", 9, 0, 0), "2001:db8::1"),
    (("fe80::1", 9, 0, 2), "fe80::1%2"),
    (("fe80::1%eth0", 9, 0, 2), "fe80::1%2"),
]


@pytest.mark.parametrize(("sockaddr", "ip"), SOCKADDRS)
def test_a_peer_has_one_text(sockaddr: tuple[str, int], ip: str) -> None:
    assert address_of(sockaddr) == Address(ip, 9)


@pytest.mark.parametrize(
    ("ip", "sockaddr"),
    [
        ("192.0.2.1", ("::ffff:192.0.2.1", 9)),
        ("2001:db8::1", ("2001:db8::1", 9, 0, 0)),
        ("fe80::1%2", ("fe80::1", 9, 0, 2)),
    ],
)
def test_an_ipv6_socket_reaches_it(ip: str, sockaddr: tuple[object, ...]) -> None:
    assert sockaddr_of(Address(ip, 9)) == sockaddr


LINK_LOCAL = """
import socket, sys
from processes import LiveServer, Peer, frame, read_all, until

class Neighbour(Peer):
    def __init__(self, server, name):
        super().__init__(server, name, "::1")
        self.udp.close()
        self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.udp.bind(("fe80::2", 0, 0, scope))
    def sends(self, data):  # not connected: both addresses are this machine's, and the system answers from either
        self.udp.sendto(data, ("fe80::1", self.server.udp, 0, scope))
    def connect(self):
        return socket.create_connection(("fe80::1%lo", self.server.tcp), 20, source_address=("fe80::2", 0, 0, scope))

scope = socket.if_nametoindex("lo")
for host in ("::", "fe80::1%lo"):
    server = LiveServer(host=host)
    try:
        ann = Neighbour(server, "ann").creates("lobby")
        bob = Neighbour(server, "bob").joins("lobby")
        ann.hears_within(bob, "over the link")
        until(lambda: server.logs(f"peer=[fe80::2%{scope}]:"), "its address in the log")
        assert server.stop() == 0
    finally:
        server.close()
print("heard")
"""


def test_link_local_peers_are_heard_and_answered() -> None:
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    make = "ip link set lo up && ip addr add fe80::1/64 dev lo && ip addr add fe80::2/64 dev lo"
    if unshare is None or ip is None or subprocess.run([unshare, "-rn", "sh", "-c", make], check=False).returncode:
        pytest.skip("this machine makes no network namespaces")
    shown = subprocess.run(
        [unshare, "-rn", "sh", "-c", f'{make} && exec "$0" -c "$1"', sys.executable, LINK_LOCAL],
        capture_output=True, text=True, timeout=3 * PATIENCE, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "tests"},
    )  # fmt: skip
    assert shown.stdout == "heard\n", shown.stderr
