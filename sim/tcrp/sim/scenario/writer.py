"""A scenario as a file: the reader's words, written back. What is as it would be anyway is left out.

Expectations are not written: a story that a swarm has found is judged by the properties alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, assert_never

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from tcrp.sim.scenario.model import (
    CALM,
    ORDINARY,
    Abandon,
    Action,
    At,
    Clock,
    Crash,
    Create,
    Cut,
    Datagram,
    Delay,
    Exponential,
    Flood,
    Heal,
    Hold,
    In,
    Join,
    KeepAlive,
    Leave,
    LinkId,
    LinkSettings,
    Loss,
    MachineIs,
    Move,
    Pause,
    Release,
    Remove,
    Reorder,
    Replay,
    Reset,
    Say,
    Scenario,
    SetLinks,
    Shutdown,
    Spoof,
    Stall,
    Start,
    StealToken,
    Step,
    Stream,
    User,
    UserIs,
    When,
)
from tcrp.spec.durations import write_duration
from tcrp.spec.limits import SETTINGS, Limits, Unit, write_setting

WIDTH = 120


def word_of(action: Action) -> str:
    """The verb of an action, as a scenario writes it."""
    special: dict[type[Any], str] = {KeepAlive: "keep_alive", SetLinks: "set", StealToken: "steal_token"}
    return special.get(type(action), type(action).__name__.lower())


def numbered(script: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with the identities and rows that they have in a file that holds just these, in this order."""
    counts: dict[tuple[str, str], int] = {}
    steps = []
    for row, step in enumerate(script):
        kind = step.actor, word_of(step.action)
        counts[kind] = counts.get(kind, 0) + 1
        steps.append(replace(step, id=f"{kind[0]}.{kind[1]}#{counts[kind]}", row=row))
    return tuple(steps)


def write_scenario(scenario: Scenario, comments: Iterable[str] = ()) -> str:
    """The text of a file that reads back as this scenario, without its expectations."""
    top: dict[str, Any] = {"claim": scenario.claim}
    if scenario.covers:
        top["covers"] = _flow_list([str(rule) for rule in scenario.covers])
    if scenario.seed:
        top["seed"] = scenario.seed
    if scenario.until_us is not None:
        top["until"] = write_duration(scenario.until_us)
    if server := _server(scenario):
        top["server"] = _flow(server)
    if users := _users(scenario):
        top["users"] = users
    if network := _network(scenario):
        top["network"] = network
    if scenario.script:
        top["script"] = [_flow(_step(step)) for step in scenario.script]
    if scenario.leave_out:
        top["leave_out"] = [
            _flow({"property": each.name, "reason": _quoted(each.reason)}) for each in scenario.leave_out
        ]
    yaml = YAML()
    yaml.width = WIDTH * 4  # a row is a line
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(top, text)
    return "".join(f"# {comment}\n" for comment in comments) + text.getvalue()


def _flow(entries: dict[str, Any]) -> CommentedMap:
    mapping = CommentedMap(entries)
    mapping.fa.set_flow_style()
    return mapping


def _flow_list(items: list[Any]) -> Any:
    from ruamel.yaml.comments import CommentedSeq

    sequence = CommentedSeq(items)
    sequence.fa.set_flow_style()
    return sequence


def _quoted(text: str) -> Any:
    """A text as a file needs it: quoted, so that YAML takes it for nothing else."""
    return DoubleQuotedScalarString(text)


# --- the head --------------------------------------------------------------------------------------


def _server(scenario: Scenario) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        if getattr(scenario.limits, name) != getattr(Limits(), name):
            written = write_setting(name, scenario.limits)
            given[name] = int(written) if setting.unit in (Unit.COUNT, Unit.BYTES) else written
    if scenario.server_dialect != "auto":
        given["dialect"] = scenario.server_dialect
    return given


def _users(scenario: Scenario) -> dict[str, Any]:
    """The users who need an entry; all of them, if their order would be another one without: it gives addresses."""
    entries = {user.id: _user(user) for user in scenario.users}
    declared = [id for id, entry in entries.items() if entry is not None]
    appearing = [step.actor for step in scenario.script if step.actor in entries]
    if list(dict.fromkeys(declared + appearing)) != list(entries):
        declared = list(entries)
    return {id: _flow(entries[id] or {}) for id in declared}


def _user(user: User) -> dict[str, Any] | None:
    """A user's entry, or None: his acting in the script says all. An attacker has to be declared."""
    entry: dict[str, Any] = {}
    if user.name != user.id:
        entry["name"] = _quoted(user.name)
    if user.dialect != "json":
        entry["dialect"] = user.dialect
    if user.address is not None:
        entry["address"] = user.address
    if user.attacker:
        entry["attacker"] = True
    if user.allow_invalid_name:
        entry["allow_invalid"] = True
    return entry or None


def _network(scenario: Scenario) -> dict[str, Any]:
    network: dict[str, Any] = {}
    if default := _settings(scenario.network.default, ORDINARY):
        network["default"] = _flow(default)
    if scenario.network.links:
        network["links"] = [
            _flow({"from": rule.link.source, "to": rule.link.target, **_settings(rule.settings, None)})
            for rule in scenario.network.links
        ]
    return network


def _settings(settings: LinkSettings, usual: LinkSettings | None) -> dict[str, Any]:
    """The settings that differ from the usual ones; all that are given, if there are no usual ones."""
    words: dict[str, Any] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value is None or (usual is not None and value == getattr(usual, each.name)):
            continue
        match each.name:
            case "delay":
                words["delay"] = _delay(value)
            case "loss":
                words["loss"] = _loss(value)
            case "duplicate_ppm":
                words["duplicate"] = _share(value)
            case "reorder":
                words["reorder"] = _reorder(value)
            case "corrupt_ppm":
                words["corrupt"] = _share(value)
            case "mtu_bytes" if value:
                words["mtu"] = value
            case "rate_bps" if value:
                words["rate"] = f"{value}bit/s"
            case "queue_bytes":
                words["queue"] = value
            case "segment" if value != CALM.segment:
                words["segment"] = f"{value.least_us}..{value.most_us}"
    return words


def _delay(delay: Delay) -> Any:
    if isinstance(delay, Exponential):
        parts = {"exp": write_duration(delay.mean_us)}
        return _flow({**parts, "min": write_duration(delay.least_us)} if delay.least_us else parts)
    if delay.least_us == delay.most_us:
        return write_duration(delay.least_us)
    return f"{write_duration(delay.least_us)}..{write_duration(delay.most_us)}"


def _loss(loss: Loss) -> Any:
    if loss.burst is None:
        return _share(loss.share_ppm)
    burst = {"enter": _share(loss.burst.enter_ppm), "leave": _share(loss.burst.leave_ppm)}
    return _flow({"burst": _flow({**burst, "share": _share(loss.share_ppm)})})


def _reorder(reorder: Reorder) -> Any:
    return _flow({"share": _share(reorder.share_ppm), "by": write_duration(reorder.by_us)})


def _share(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


# --- the script ------------------------------------------------------------------------------------


def _step(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {}
    match step.when:
        case At(at_us, every_us, times):
            row["at"] = write_duration(at_us)
            if times > 1:
                row["every"], row["times"] = write_duration(every_us), times
        case In(after_us):
            row["in"] = write_duration(after_us)
        case When(UserIs(user, state)):
            row["when"] = _flow({user: str(state)})
        case When(MachineIs(machine, id, state)):
            row["when"] = _flow({str(machine): _quoted(id), "state": str(state)})
        case _:
            raise AssertionError(f"{step.when} is no moment")
    words, companions = _action(step.action)
    row[step.actor] = words if isinstance(words, str) else _flow(words)
    row.update(companions)
    if step.allow_invalid:
        row["allow_invalid"] = True
    return row


def _action(action: Action) -> tuple[Any, dict[str, Any]]:
    """What stands behind the actor, and what stands beside it."""
    word = word_of(action)
    match action:
        case KeepAlive() | Leave() | Start() | Shutdown():
            return word, {}
        case Crash(restart_us):
            return (word if restart_us is None else {word: _flow({"restart": write_duration(restart_us)})}), {}
        case Create(room, password) | Join(room, password):
            return {word: _room(room, password)}, {}
        case Say(text):
            return {word: _quoted(text)}, {}
        case Move(address):
            return {word: _flow({"port": "new"} if address is None else {"address": address})}, {}
        case Pause(for_us):
            return {word: write_duration(for_us)}, {}
        case Clock(skew_us, drift_ppm):
            skew = ("-" if skew_us < 0 else "") + write_duration(abs(skew_us))
            return {word: _flow({"skew": skew, "drift": f"{drift_ppm}ppm"})}, {}
        case Datagram(token_of, room, text, data):
            parts: dict[str, Any] = {} if token_of is None else {"token_of": token_of}
            if data is not None:
                parts["hex"] = _quoted(data.hex())
            else:
                parts["room"], parts["text"] = _quoted(room or ""), _quoted(text or "")
            return {word: _flow(parts)}, {}
        case Stream(data):
            return {word: _flow({"hex": _quoted(data.hex())})}, {}
        case Abandon(after, request):
            return {word: _flow({"after": after, word_of(request): _room(request.room, request.password)})}, {}
        case StealToken(victim):
            return {word: victim}, {}
        case Spoof(victim, text):
            return {word: _flow({"as": victim, "say": _quoted(text)})}, {}
        case Replay(victim, nth, is_spoofed):
            return {word: _flow({"from": victim, "nth": nth, "spoofed": is_spoofed})}, {}
        case Flood(every_us, for_us, size):
            rate = f"{1_000_000 // every_us}/s"
            return {word: _flow({"rate": rate, "for": write_duration(for_us), "size": size})}, {}
        case Remove(user, room):
            return {word: _flow({"user": _quoted(user), "room": _quoted(room)})}, {}
        case SetLinks(links, settings):
            return {word: _flow(_settings(settings, None))}, _ends(links)
        case Cut(links, for_us):
            lasting = {} if for_us is None else {"for": write_duration(for_us)}
            return {word: _links(links)}, lasting
        case Stall(links, for_us):
            return {word: _links(links)}, {"for": write_duration(for_us)}
        case Heal(links) | Hold(links) | Release(links) | Reset(links):
            return {word: _links(links)}, {}
        case _:
            assert_never(action)


def _room(room: str, password: str) -> Any:
    return _flow({"room": _quoted(room), "password": _quoted(password)}) if password else _quoted(room)


def _links(links: tuple[LinkId, ...]) -> Any:
    ends = _ends(links)
    return ends["between"] if "between" in ends else _flow(ends)


def _ends(links: tuple[LinkId, ...]) -> dict[str, Any]:
    """One link, or one each way: what a file can name in one row."""
    first = links[0]
    if len(links) == 1:
        return {"from": first.source, "to": first.target}
    if len(links) != 2 or links[1] != LinkId(first.target, first.source):
        raise ValueError(f"{len(links)} links of a crowd cannot be written in one row: {json.dumps(first.source)} …")
    return {"between": _flow_list([first.source, first.target])}
