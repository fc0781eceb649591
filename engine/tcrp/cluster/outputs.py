"""What a process of a cluster asks of its driver, and what it is told in return, as data.

The bucket is any key-value store with compare-and-set: each change of a key has a revision, larger than all before.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tcrp.engine.outputs import ServerOutput
from tcrp.spec.cluster_names import ClusterMachine, OwnRule


class Put(NamedTuple):
    """Write a key if its revision is still `revision`; 0: if there is no such key. Answered by `bucket_answered`."""

    ask: int
    key: str
    value: bytes
    revision: int


class Get(NamedTuple):
    """Read a key's latest value, not an older copy. Answered by `bucket_answered`."""

    ask: int
    key: str


class Delete(NamedTuple):
    """Remove a key if its revision is still `revision`. Not answered: whoever watches sees it."""

    key: str
    revision: int


class SendMessage(NamedTuple):
    """Send bytes to the process of that address, once, in the order of these outputs. They may be lost."""

    to: str
    data: bytes


class Answer(NamedTuple):
    """How an ask ended. `revision` None: not done, because the key has another revision or, of a Get, is not there."""

    revision: int | None
    value: bytes = b""


class Entry(NamedTuple):
    """A key of the bucket as it is now. `value` None: it is gone."""

    key: str
    value: bytes | None
    revision: int


class ClusterStepped(NamedTuple):
    """A machine of the cluster took a step. `subject` is a process's address or a room's name."""

    machine: ClusterMachine
    subject: str
    event: str
    from_: str
    to: str
    rule: OwnRule


class What(StrEnum):
    """What an operator is told of a cluster."""

    NODE_JOINED = "node_joined"
    NODE_LOST = "node_lost"
    NAME_IN_USE = "name_in_use"
    STRANGER = "stranger"
    STALE_OWNER = "stale_owner"
    ROOM_RECOVERED = "room_recovered"
    ROOM_NOT_RECOVERED = "room_not_recovered"
    MEMBERS_TOLD = "members_told"
    INPUTS_LOST = "inputs_lost"


class Happened(NamedTuple):
    """Something that an operator is told: which process or room it is about, and in which way."""

    what: What
    subject: str
    why: str = ""


ClusterEffect = Put | Get | Delete | SendMessage
ClusterOutput = ClusterEffect | ClusterStepped | Happened
NodeOutput = ServerOutput | ClusterOutput
