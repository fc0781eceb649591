"""From a YAML file to a `Scenario`. Strict: what is not understood is an error that says where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tcrp.sim.scenario.cast import RESERVED, USER_ENTRY, Cast
from tcrp.sim.scenario.expectations import EXPECTATIONS
from tcrp.sim.scenario.explore import EXPLORE
from tcrp.sim.scenario.kinds import DURATION, ListOf, Scene, Simple, Word, mapping_of, sentence, whole
from tcrp.sim.scenario.links import NETWORK_SETTINGS
from tcrp.sim.scenario.listeners import DIALECTS, LISTENERS
from tcrp.sim.scenario.model import LeaveOut, Listener, Scenario, User
from tcrp.sim.scenario.nodes import Value, compose, read_text
from tcrp.sim.scenario.records import Field, Record, defaults_of
from tcrp.sim.scenario.servers import LEASE, LEASE_SHAPE, SERVERS, read_servers
from tcrp.sim.scenario.settings import SHAPES, read_settings, write_settings
from tcrp.sim.scenario.steps import Script, actors_of, refuse_slips
from tcrp.spec.cluster_names import LEASE_US, OwnRule
from tcrp.spec.limits import SETTINGS, Limits
from tcrp.spec.names import Property, Rule

SEED_MAX = 2**63 - 1


def _server(value: Value, scene: Scene) -> dict[str, Any]:
    parts = value.mapping((*SETTINGS, "dialect", "listeners", "cluster_lease"))
    lease = parts.pop("cluster_lease", None)
    dialect, several = parts.pop("dialect", None), parts.pop("listeners", None)
    if dialect is not None and several is not None:
        dialect.fail("dialect: each of the listeners has its own")
    listeners: tuple[Listener, ...] = (Listener(),)
    if dialect is not None:
        listeners = (Listener(dialects=DIALECTS.read(dialect, scene)),)
    if several is not None:
        listeners = LISTENERS.read(several, scene)
    lease_us = LEASE.read(lease, scene) if lease is not None else LEASE_US
    return {"limits": Limits().with_settings(read_settings(parts)), "listeners": listeners, "lease_us": lease_us}


def _write_server(scenario: Any) -> dict[str, Any]:
    values = {name: getattr(scenario.limits, name) for name in SETTINGS}
    given = write_settings({name: value for name, value in values.items() if value != getattr(Limits(), name)})
    if scenario.listeners[0].name:
        given["listeners"] = LISTENERS.write(scenario.listeners)
    elif scenario.listeners[0].dialects:
        given["dialect"] = DIALECTS.write(scenario.listeners[0].dialects)
    if scenario.lease_us != LEASE_US:
        given["cluster_lease"] = LEASE.write(scenario.lease_us)
    return given


def _users(_value: Value, scene: Scene) -> tuple[User, ...]:
    return tuple(scene.cast.users.values())  # declared before anything else is read: all of it may name them


def _write_users(users: tuple[User, ...]) -> dict[str, Any]:
    entries = {user.id: USER_ENTRY.write(user) for user in users}
    for user in users:
        if user.name == user.id:
            del entries[user.id]["name"]
    return entries


_DIALECT = {**DIALECTS.schema(), "description": "the dialect of the server, or those that it recognises, in order; "
            "auto recognises that of each request"}  # fmt: skip
_LISTENERS = {**LISTENERS.schema(), "description": "the server's listeners, each a pair of ports, by name; what each "
              "recognises, as dialect has it. Users choose with listener"}  # fmt: skip
SERVER_SETTINGS = Simple(
    _server,
    mapping_of({**SHAPES, "dialect": _DIALECT, "listeners": _LISTENERS, "cluster_lease": LEASE_SHAPE}),
    _write_server,
)
USERS = Simple(_users, {"type": "object", "propertyNames": {"not": {"enum": list(RESERVED)}},
                        "additionalProperties": USER_ENTRY.schema()}, _write_users)  # fmt: skip
SCENARIO: Record[Any] = Record(
    dict,
    Field("claim", sentence("one sentence is expected, which is true if the scenario holds"),
          "One sentence, which is true if the scenario holds. The only key that is required.",
          "claim: a guest who leaves is not relayed to"),
    Field("covers", ListOf(Word((*Rule, *OwnRule))), "The rules of PROTOCOL.md that the scenario exercises.",
          "covers: [R-ROOM-2]"),
    Field("seed", whole(0, SEED_MAX), "Every random draw follows from it; without it, 0.", "seed: 7"),
    Field("until", DURATION, "When the run ends; without it, as soon as nothing is left to happen.", "until: 60s",
          into="until_us"),
    Field("server", SERVER_SETTINGS, "The server's settings, by their names in PROTOCOL.md; its dialect or listeners.",
          "server: {idle_timeout: 60s, members_max: 3, dialect: text}", into="*"),
    Field("servers", SERVERS, "Several servers that share their rooms, by name, in place of the one that is called "
          "`server`. `server:` has the settings of each; `server: b` of a user says to which it speaks.",
          "servers: {a: {}, b: {}}"),
    Field("users", USERS, "Users who are not as usual. A user who only acts in the script needs no entry.",
          "users: {bob: {dialect: text}}"),
    Field("network", NETWORK_SETTINGS, "What the links are like.", "network: {default: {delay: 5ms..20ms}}"),
    Field("script", Script(), "The steps. Those of one instant are taken in the order of the file.",
          "script: [{at: 0s, alice: {create: lobby}}]"),
    Field("expect", EXPECTATIONS, "What has to be true.", "expect: [{bob: {state: anonymous}}]"),
    Field("leave_out", ListOf(Record(LeaveOut, Field("property", Word(Property), "Its name.", into="name"),
                                     Field("reason", sentence("why is the property left out?"), "Why, in a sentence.")),
                              item="leave_out"),
          "Properties of the protocol that are not checked in this scenario.",
          "leave_out: [{property: names-linger, reason: the server is given a bug on purpose}]"),
    Field("explore", EXPLORE, "The bounds within which `chat-sim explore` visits every order of events.",
          "explore: {drops: 1, duplicates: 1}"),
    defaults=defaults_of(Scenario),
)  # fmt: skip


def read_scenario(path: str | Path) -> Scenario:
    """Read a scenario's file. Raises `ScenarioError`."""
    return read_scenario_text(read_text(Path(path), str(path)), str(path))


def read_scenario_text(source: str, path: str = "scenario") -> Scenario:
    """Read a scenario. `path` is how errors and reports call it. Raises `ScenarioError`."""
    root = compose(source, path)
    parts = SCENARIO.parts(root)
    cast = Cast()
    if "server" in parts and parts["server"].is_mapping:
        several = [each for _, word, each in parts["server"].entries() if word == "listeners" and each.is_mapping]
        cast.listeners = tuple(name for each in several for _, name, _ in each.entries())
    if "servers" in parts:
        cast.servers = read_servers(parts["servers"], RESERVED)
    for key, id, value in parts["users"].entries() if "users" in parts else ():
        cast.declare(key, id, value)
    for row in parts["script"].items() if "script" in parts else ():
        row.name = "step"
        for key, id in actors_of(row, cast):
            cast.appear(key, id)
    if "script" in parts:
        refuse_slips(parts["script"], cast, [id for _, id, _ in parts["users"].entries()] if "users" in parts else [])
    until_us = DURATION.read(parts["until"], Scene(cast)) if "until" in parts else None
    given = SCENARIO.from_parts(root, parts, Scene(cast, source=source, until_us=until_us))
    return Scenario(path=path, **{**given, "users": tuple(cast.users.values())})
