"""What a probe is: rules, a claim, and a story on a stage that finds out whether they hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from tcrp.judge.stage import Stage
from tcrp.spec.names import Rule


class Group(StrEnum):
    """When a probe runs: in this order, those that wait beside the gentle ones."""

    CORE = "core"
    WAITING = "waiting"
    GENTLE = "gentle"
    LOAD = "load"
    HOSTILE = "hostile"


class Probe(NamedTuple):
    """One question to a server. The first rule is the one that is broken if the server dies of it."""

    name: str
    group: Group
    rules: tuple[Rule, ...]
    claim: str
    story: Callable[[Stage], Awaitable[None]]
