"""The servers of a scenario that has several: their names, and the words for what only they have."""

from __future__ import annotations

import re
from typing import Any

from tcrp.sim.scenario.kinds import DURATION, Scene, Schema, Simple
from tcrp.sim.scenario.nodes import Value
from tcrp.spec.cluster_names import LEASE_LEAST_US, LEASE_MOST_US, LEASE_US

BUCKET = "bucket"
"""What all servers of a cluster share: NATS, as an actor and an end of links."""
SERVERS_MAX = 16
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_servers(value: Value, reserved: tuple[str, ...]) -> tuple[str, ...]:
    """The names, in the order of the file."""
    names = []
    for key, name, each in value.entries():
        if not NAME.fullmatch(name):
            key.fail(f"servers: a name has 1 to 64 letters, digits, - and _, not {name!r}")
        if name in (*reserved, BUCKET):
            key.fail(f"{name!r} is a word of the format and cannot be a server")
        if not (each.is_nothing or (each.is_mapping and not list(each.entries()))):
            each.fail(f"{name}: nothing is expected here; settings of all servers stand under server:")
        names.append(name)
    if not 1 <= len(names) <= SERVERS_MAX:
        value.fail(f"servers: 1 to {SERVERS_MAX} are expected, not {len(names)}")
    return tuple(names)


_SHAPE: Schema = {
    "type": "object",
    "propertyNames": {"pattern": f"^{NAME.pattern}$", "not": {"enum": [BUCKET]}},
    "additionalProperties": {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]},
    "minProperties": 1,
    "maxProperties": SERVERS_MAX,
}
SERVERS: Simple[tuple[str, ...]] = Simple(
    lambda _, scene: scene.cast.servers, _SHAPE, lambda names: {name: {} for name in names}
)
"""They are read before anything else: all of the file may name them."""


def _lease_us(value: Value, scene: Scene) -> int:
    lease_us = DURATION.read(value, scene)
    if not scene.cast.servers:
        value.fail("cluster_lease: there is one server; several are declared with servers: {a: {}, b: {}}")
    if not LEASE_LEAST_US <= lease_us <= LEASE_MOST_US:
        value.fail(f"cluster_lease is {DURATION.write(lease_us)}; allowed are 1s to 1m")
    return lease_us


LEASE: Simple[int] = Simple(_lease_us, DURATION.schema(), DURATION.write)
LEASE_SHAPE: Schema = {
    **LEASE.schema(), "description": "with `servers`: how soon the others go on with the rooms of a server that is "
    f"lost; without it, {LEASE_US // 1_000_000}s",
}  # fmt: skip


def no_server(value: Value, servers: tuple[str, ...]) -> Any:
    """Fail where the one server is named, and there are several."""
    value.fail(f"which server? there are several: {', '.join(servers)}")
