"""The servers of a run that has several, and their bucket."""

from __future__ import annotations

from collections.abc import Sequence

from tcrp.cluster.node import ClusterNode
from tcrp.engine.listeners import ListenerConfig
from tcrp.sim.checks.monitor import Cluster, PropertyMonitor
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.cluster.bucket import Bucket
from tcrp.sim.cluster.checks import ClusterChecks
from tcrp.sim.cluster.node import NodeHost
from tcrp.sim.hosts.user import Hosts
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import Scenario

EXPIRES_LEASES = 3
"""A process's key stays in the bucket for so many leases after its last renewal."""
SETTLED_LEASES = 4
"""Without a fault for so long, whatever was on its way has arrived."""


class Servers:
    """All servers of a scenario. They are started by `start`, when users and checks are there."""

    def __init__(
        self, scenario: Scenario, world: World, tcp: Tcp, seed: int, listeners: Sequence[ListenerConfig],
        names: Sequence[str], make_node: type[ClusterNode] | None,
    ) -> None:  # fmt: skip
        self._world = world
        self._lease_us = scenario.lease_us
        self._handshake_us = scenario.limits.handshake_timeout
        self.bucket = Bucket(world, EXPIRES_LEASES * scenario.lease_us)
        self.nodes: dict[str, NodeHost] = {}
        self.checks: ClusterChecks | None = None
        connections: dict[tuple[str, str, int], Connection] = {}
        for number, name in enumerate(scenario.servers, start=1):
            self.nodes[name] = NodeHost(
                world, tcp, self.bucket, scenario.limits, seed, id=name, number=number, lease_us=scenario.lease_us,
                others=self.nodes, connections=connections, listeners=listeners, names=names,
                make_node=make_node or ClusterNode,
            )  # fmt: skip

    def watch(self, hosts: Hosts, monitor: PropertyMonitor, shadows: Shadows) -> None:
        """Check what every server and all of them together do. `monitor` is that of the trace."""
        results = monitor.results
        self.checks = ClusterChecks(results)
        shared = Cluster(results, self._handshake_us + self._lease_us)
        for node in self.nodes.values():
            node.checks = self.checks
            node.rooms.append(monitor)
            node.monitor = PropertyMonitor(hosts, node.limits, frozenset(), shadows, one_of=shared, server=node)

    def start(self) -> None:
        """Each begins."""
        for node in self.nodes.values():
            node.begin()

    def owners(self, room: str) -> list[str]:
        """The servers that run and hold themselves to be a room's owner."""
        return [name for name, node in self.nodes.items() if node.owns(room)]

    def counters(self) -> dict[str, int]:
        """What all servers have counted, together; empty while all are down."""
        counts: dict[str, int] = {}
        for node in self.nodes.values():
            for counter, count in node.counters().items():
                counts[counter] = counts.get(counter, 0) + count
        return counts

    def finish(self, monitor: PropertyMonitor) -> None:
        """The run is over: checks what has to have happened by now."""
        monitor.finish(None)
        for node in self.nodes.values():
            if node.monitor is not None:
                node.monitor.finish(node, monitor)
        is_settled = self._world.now_us - monitor.last_fault_us >= SETTLED_LEASES * self._lease_us
        if self.checks is not None and is_settled and all(node.engine is not None for node in self.nodes.values()):
            self.checks.finish()
