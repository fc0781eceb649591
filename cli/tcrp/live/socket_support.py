"""Which scenarios can be played on real sockets, and why the others cannot."""

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
    Remove,
    Replay,
    Reset,
    Scenario,
    SetLinks,
    Shutdown,
    Spoof,
    Stall,
    StateClaim,
    Step,
    When,
)
from tcrp.spec.limits import SHUTDOWN_LINGER_US
from tcrp.spec.names import Machine, RoomState, SessionState

USERS_MAX = 100
PATIENCE_US = 60_000_000

# What a step asks for that a socket does not give.
IMPOSSIBLE: dict[type[Any], str] = {
    Clock: "it sets a user's clock",
    Spoof: "it sends from somebody else's address",
    Remove: "a server that runs by itself is told to remove nobody",
    Replay: "it sends again what somebody else has sent",
    Flood: "it floods",
    Hold: "it holds datagrams back",
    Stall: "it stalls streams",
    Reset: "it resets streams",
}


def unsupported(scenario: Scenario, verdict: Verdict, patience_us: int) -> str | None:
    """Why a scenario cannot be played, as a phrase, or None. `verdict` is of its simulated run."""
    for step in scenario.script:
        action = step.action
        if type(action) in IMPOSSIBLE:
            return f"line {step.place.line}: {IMPOSSIBLE[type(action)]}"
        if isinstance(action, Pause) and step.actor != SERVER:
            return f"line {step.place.line}: it pauses a user's machine"
        if isinstance(action, Abandon) and action.after == "accepted":
            return f"line {step.place.line}: it breaks a connection off within a moment that only a simulator can hit"
        if isinstance(step.when, When) and _is_brief(step.when.state):
            return f"line {step.place.line}: it waits for a moment inside the server that is over before a socket tells"
        if isinstance(action, Create | Join) and _is_after_shutdown(step, scenario):
            return f"line {step.place.line}: it asks a server that has been shut down, whose process is gone by then"
    if (line := _line_of_a_race(scenario)) is not None:
        return f"line {line}: it asks under the same name in the same moment as another, and either may be first"
    settings: list[LinkSettings | LinkPatch] = [
        scenario.network.default,
        *(rule.settings for rule in scenario.network.links),
    ]
    settings += [step.action.settings for step in scenario.script if isinstance(step.action, SetLinks)]
    for each in settings:
        if why := _beyond_a_proxy(each):
            return why
    if any(":" in (user.address or "") for user in scenario.users):
        return "its users have IPv6 addresses, and a loopback has one"
    if len(scenario.users) > USERS_MAX:
        return f"it has {len(scenario.users)} users, at most {USERS_MAX} are played"
    if verdict.ended_us > patience_us:
        return (
            f"it takes {verdict.ended_us / 1e6:.0f} s of real time; --patience {verdict.ended_us // 10**6 + 1}s waits"
        )
    return None


def _beyond_a_proxy(settings: LinkSettings | LinkPatch) -> str | None:
    """Why a proxy cannot do what a link does, in a way that can be compared."""
    if settings.loss is not None and (0 < settings.loss.share_ppm < PPM or settings.loss.burst is not None):
        return "chance decides which of its datagrams are lost"
    if settings.duplicate_ppm or settings.corrupt_ppm or (settings.reorder is not None and settings.reorder.share_ppm):
        return "chance decides which of its datagrams are doubled, spoiled or late"
    if settings.rate_bps:
        return "its links have a rate, which a proxy does not keep"
    return None


def _is_brief(claim: StateClaim) -> bool:
    """Whether a state of the server's lasts no longer than a packet travels."""
    return isinstance(claim, MachineIs) and (
        claim.machine is Machine.HANDSHAKE or claim.state in (SessionState.TOKENED, RoomState.VACANT)
    )


def _line_of_a_race(scenario: Scenario) -> int | None:
    """Where somebody asks to be in a room under a name under which somebody else asks in the same moment."""
    names = {user.id: user.name for user in scenario.users}
    asked: dict[tuple[int, str, str], str] = {}  # moment, room and name, and who has asked
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
