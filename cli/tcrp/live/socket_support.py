"""Says which scenarios can run on real sockets, and why others cannot."""

from __future__ import annotations

from typing import Any

from tcrp.sim.hosts.server import SERVER
from tcrp.sim.network.draws import PPM
from tcrp.sim.run import Verdict
from tcrp.sim.scenario.model import (
    Abandon,
    At,
    Clock,
    Create,
    Flood,
    Hold,
    Join,
    LinkPatch,
    LinkSettings,
    MachineIs,
    Pause,
    Replay,
    Reset,
    Scenario,
    SetFate,
    SetLimits,
    SetLinks,
    Shutdown,
    Span,
    Spoof,
    Stall,
    StateClaim,
    Step,
    When,
)
from tcrp.spec.limits import SECOND_US, SHUTDOWN_LINGER_US
from tcrp.spec.names import Machine, RoomState, SessionState

USERS_MAX = 100
PATIENCE_US = 60_000_000
HANDSHAKE_LEAST_US = SECOND_US
DELAYS_IN_IDLE_TIMEOUT_LEAST = 4
"""So many delays of the slowest link must fit into the idle timeout, or the moments of two runs differ too much."""

# Actions that sockets cannot perform, and the reason.
IMPOSSIBLE: dict[type[Any], str] = {
    Clock: "it sets a user's clock",
    Spoof: "it spoofs a source address",
    SetLimits: "it changes the server's settings while it runs",
    Replay: "it replays a recorded datagram",
    Flood: "it sends a flood of datagrams",
    Hold: "it holds datagrams back",
    Stall: "it stalls streams",
    Reset: "it resets streams",
    SetFate: "it decides about a packet by its name",
}


def unsupported(scenario: Scenario) -> str | None:
    """Why a scenario cannot run on sockets however short it is, as a phrase, or None if it can."""
    if scenario.servers:
        return "it has several servers, which share a bucket that only the simulator has"
    for step in scenario.script:
        action = step.action
        if type(action) in IMPOSSIBLE:
            return f"line {step.place.line}: {IMPOSSIBLE[type(action)]}"
        if isinstance(action, Pause) and step.actor != SERVER:
            return f"line {step.place.line}: it pauses a user's machine"
        if isinstance(action, Abandon) and action.after == "accepted":
            return f"line {step.place.line}: it closes a connection at a moment that only a simulator can hit"
        if isinstance(step.when, When) and _is_brief(step.when.state):
            return f"line {step.place.line}: it waits for a state of the server that is over before a trace can show it"
        if isinstance(action, Create | Join) and _is_after_shutdown(step, scenario):
            return f"line {step.place.line}: it sends a request to a server whose process has ended after a shutdown"
    if (line := _line_of_a_race(scenario)) is not None:
        return f"line {line}: two users request the same name at the same time, and either may be first"
    settings: list[LinkSettings | LinkPatch] = [
        scenario.network.default,
        *(rule.settings for rule in scenario.network.links),
    ]
    settings += [step.action.settings for step in scenario.script if isinstance(step.action, SetLinks)]
    for each in settings:
        if why := _beyond_a_proxy(each):
            return why
    if scenario.limits.handshake_timeout < HANDSHAKE_LEAST_US:
        return "its handshake_timeout leaves real processes too little time to keep to the simulated order"
    slowest = max((each.delay.most_us for each in settings if isinstance(each.delay, Span)), default=0)
    if DELAYS_IN_IDLE_TIMEOUT_LEAST * slowest > scenario.limits.idle_timeout:
        return "its delays are a large part of its idle_timeout, and a proxy does not delay the opening of a connection"
    if any(":" in (user.address or "") for user in scenario.users):
        return "it needs several IPv6 addresses, and the loopback has only one"
    if len(scenario.users) > USERS_MAX:
        return f"it has {len(scenario.users)} users, at most {USERS_MAX} are supported"
    return None


def too_long(verdict: Verdict, patience_us: int) -> str | None:
    """Why a scenario takes too long on sockets, or None if it does not. `verdict` is of its simulated run."""
    if verdict.ended_us > patience_us:
        return f"it takes {verdict.ended_us / 1e6:.0f} s of real time; use --patience {verdict.ended_us // 10**6 + 1}s"
    return None


def _beyond_a_proxy(settings: LinkSettings | LinkPatch) -> str | None:
    """Why a proxy cannot apply the settings of a link so that runs can be compared."""
    if settings.loss is not None and (0 < settings.loss.share_ppm < PPM or settings.loss.burst is not None):
        return "its datagrams are lost at random"
    if settings.duplicate_ppm or settings.corrupt_ppm or (settings.reorder is not None and settings.reorder.share_ppm):
        return "its datagrams are duplicated, corrupted or reordered at random"
    if settings.rate_bps:
        return "its links have a rate, which a proxy does not support"
    return None


def _is_brief(claim: StateClaim) -> bool:
    """Whether a state of the server may last no longer than the transit of a packet."""
    return isinstance(claim, MachineIs) and (
        claim.machine is Machine.HANDSHAKE or claim.state in (SessionState.TOKENED, RoomState.VACANT)
    )


def _line_of_a_race(scenario: Scenario) -> int | None:
    """The line of a step that requests a name in a room at the same time as another user's step, or None."""
    names = {user.id: user.name for user in scenario.users}
    asked: dict[tuple[int, str, str], str] = {}  # at_us, room and name -> the user
    for step in scenario.script:
        if isinstance(step.action, Create | Join) and isinstance(step.when, At):
            what = (step.when.at_us, step.action.room, names[step.actor])
            if asked.setdefault(what, step.actor) != step.actor:
                return step.place.line
    return None


def _is_after_shutdown(step: Step, scenario: Scenario) -> bool:
    when = step.when
    shutdowns = [each.when for each in scenario.script if isinstance(each.action, Shutdown)]
    return isinstance(when, At) and any(
        isinstance(shutdown, At) and when.at_us >= shutdown.at_us + SHUTDOWN_LINGER_US for shutdown in shutdowns
    )
