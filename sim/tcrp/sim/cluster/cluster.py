"""A simulated cluster: servers by name, their bucket, users, and the links between all of them."""

from __future__ import annotations

from collections.abc import Iterable

from tcrp.cluster.node import ClusterNode
from tcrp.engine.codec import codec
from tcrp.sim.cluster.bucket import Bucket
from tcrp.sim.cluster.checks import ClusterChecks
from tcrp.sim.cluster.node import NodeHost
from tcrp.sim.hosts.user import Hosts, UserHost
from tcrp.sim.network.links import Network
from tcrp.sim.network.packets import Origin
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import LinkId, NetworkSettings, UserAction
from tcrp.spec.cluster_names import LEASE_US
from tcrp.spec.limits import Limits
from tcrp.trace.records import Digest, Trace

STEPS_AT_ONCE_MAX = 100_000
EXPIRES_LEASES = 3
"""A process's key stays in the bucket for so many leases after its last renewal."""


class SimulatedCluster:
    """`names` are the servers'. `network`, `seed` and the order of calls decide all that happens."""

    def __init__(
        self, names: Iterable[str], *, seed: int = 0, network: NetworkSettings | None = None,
        limits: Limits | None = None, lease_us: int = LEASE_US, make_node: type[ClusterNode] = ClusterNode,
    ) -> None:  # fmt: skip
        self.trace = Trace()
        self.digest = Digest()
        self.trace.listeners.append(self.digest)
        self.seed = seed
        self.world = World(Network(network or NetworkSettings(), seed), self.trace)
        self.tcp = Tcp(self.world)
        self.checks = ClusterChecks()
        self.bucket = Bucket(self.world, EXPIRES_LEASES * lease_us)
        self.users: dict[str, UserHost] = {}
        self.nodes: dict[str, NodeHost] = {}
        self._steps = 0
        limits = limits or Limits()
        for number, name in enumerate(names, start=1):
            self.nodes[name] = NodeHost(
                self.world, self.tcp, self.bucket, limits, seed, id=name, number=number, lease_us=lease_us,
                checks=self.checks, make_node=make_node,
            )  # fmt: skip
        self._hosts = {name: Hosts(self.world, self.tcp, node, limits) for name, node in self.nodes.items()}

    def user(self, name: str, at: str, dialect: str = "json") -> UserHost:
        """A user whose client speaks to the server `at`."""
        ip = f"10.0.0.{len(self.users) + 1}"
        user = self.users[name] = UserHost(self._hosts[at], name, name, codec(dialect), ip)
        self._hosts[at].users[name] = user
        return user

    def does(self, user: str, action: UserAction) -> None:
        """A user takes a step of a script."""
        self.users[user].act(action, self.origin(user))

    def origin(self, what: str) -> Origin:
        """The cause of what is done from outside, now."""
        self._steps += 1
        return Origin(f"{what}.{self._steps}", self.seed)

    def cut(self, one: str, other: str) -> None:
        """Cut the links between two, both ways: servers, users, `bucket` or `all`."""
        self.world.record_fault("network", "cut", f"{one}, {other}", self.origin("network"))
        self.world.network.cut([LinkId(one, other), LinkId(other, one)])

    def heal(self, one: str, other: str) -> None:
        """Take cuts back."""
        self.world.record_fault("network", "heal", f"{one}, {other}", self.origin("network"))
        self.tcp.heal(self.world.network.heal([LinkId(one, other), LinkId(other, one)]))

    def runs(self, for_us: int) -> None:
        """Time passes, and everything that is due in it happens."""
        until_us = self.world.now_us + for_us
        before_us, steps = self.world.now_us, 0
        while self.world.events and self.world.events[0][0] <= until_us:
            self.world.step()
            steps = steps + 1 if self.world.now_us == before_us else 0
            assert steps < STEPS_AT_ONCE_MAX, f"time stands still at {before_us} us: a node asks to be woken for ever"
            before_us = self.world.now_us
        self.world.now_us = self.trace.now_us = until_us

    def owners(self, room: str) -> list[str]:
        """The servers that run and hold themselves to be a room's owner."""
        return [name for name, node in self.nodes.items() if node.owns(room)]

    def finish(self) -> list[str]:
        """The run is over. Returns what did not hold."""
        self.checks.finish()
        return self.checks.violations
