"""Prints a verdict: the claim, whether it holds, and if not the nearest miss and its causes."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tcrp.sim.evaluate import seconds
from tcrp.sim.fate import fate_of
from tcrp.sim.run import Verdict, records_of
from tcrp.sim.scenario.model import Scenario, SetFate, Step, UserIs, When
from tcrp.sim.scenario.verbs import verb_of
from tcrp.spec.properties import CLAIMS
from tcrp.trace.causes import chain_of_causes
from tcrp.trace.plural import counted
from tcrp.trace.records import Record
from tcrp.trace.sentences import timed_sentence

CAUSES_SHOWN_MAX = 6
REFUSED_SHOWN_MAX = 5


def print_verdict(console: Console, verdict: Verdict, *, is_strict: bool = False) -> None:
    """The verdict of one run, its digest last."""
    console.print(Text.assemble(_sign(verdict, is_strict=is_strict), "  ", verdict.scenario.claim))
    if verdict.holds and verdict.claims_nothing:
        console.print(Text("  ! there is no `expect:`: only the properties of the protocol were checked", "yellow"))
    if not verdict.holds:
        _print_failures(console, verdict)
    for refused in verdict.refused_steps[:REFUSED_SHOWN_MAX]:
        console.print(
            Text(
                f"  ! at {seconds(refused.t_us)} {refused.actor} could not do: {refused.event} ({refused.why})",
                "yellow",
            )
        )
    if (more := len(verdict.refused_steps) - REFUSED_SHOWN_MAX) > 0:
        console.print(Text(f"  ! and {counted(more, 'more step')} could not be done", "yellow"))
    if verdict.claims_nothing:  # expectations would say which refusals are meant
        _print_refused_requests(console, verdict)
    console.print(
        Text(
            f"{counted(verdict.records, 'record')}, {counted(verdict.arrivals, 'datagram')} arrived, "
            f"{seconds(verdict.ended_us)} of virtual time, seed {verdict.seed}",
            style="dim",
        )
    )


def _sign(verdict: Verdict, *, is_strict: bool) -> Text:
    if not verdict.holds:
        return Text("✗ does not hold", style="bold red")
    if verdict.claims_nothing:
        return Text("✗ claims nothing", style="bold red") if is_strict else Text("✔ claims nothing", "bold yellow")
    return Text("✔ holds", style="bold green")


def _print_refused_requests(console: Console, verdict: Verdict) -> None:
    for refused in verdict.refused_requests[:REFUSED_SHOWN_MAX]:
        why = f" ({refused.why})" if refused.why else ""
        console.print(Text(f"  ! at {seconds(refused.t_us)} the request of {refused.actor} was refused{why}", "yellow"))
    if (more := len(verdict.refused_requests) - REFUSED_SHOWN_MAX) > 0:
        console.print(Text(f"  ! and {counted(more, 'more refused request')}", "yellow"))


def replay_line(verdict: Verdict) -> str:
    """The command that replays the run."""
    return replay_command(verdict.scenario, verdict.seed)


def replay_command(scenario: Scenario, seed: int) -> str:
    """The command that runs a scenario with a seed."""
    return f"chat-sim run {shlex.quote(scenario.path)} --seed {seed}"


def digest_line(digests: Sequence[str]) -> str:
    """The last line of a run: its digest, or the digest of several digests."""
    if len(digests) != 1:
        digests = [hashlib.sha256("\n".join(digests).encode()).hexdigest()]
    return f"digest sha256:{digests[0]}"


def _print_failures(console: Console, verdict: Verdict) -> None:
    path = verdict.scenario.path
    records = records_of(verdict)
    violation = verdict.violation
    if violation is not None:
        claim = CLAIMS[violation.property]
        console.print(Text(f"  property {violation.property}: {claim.sentence}", "red"))
        console.print(f"    at {seconds(violation.t_us)}: {violation.what}")
        _print_causes(console, records, violation.n)
    for step in verdict.never_taken:
        console.print(Text(f"  {path}:{step.place.line}: {waited(step)}", "red"))
    for miss in verdict.misses:
        place = miss.expectation.place
        console.print(Text(f"  {path}:{place.line}: expected {miss.expectation.text}", "red"))
        console.print(Text(f"    nearest: {miss.nearest}"))
        fate = fate_of(miss, verdict.scenario, records)
        if fate is not None:
            console.print(Text(f"    fate: {fate.what}"))
        _print_causes(console, records, fate.n if fate is not None and fate.n else miss.n)
    console.print(Text(f"  replay: {replay_line(verdict)}"))


def waited(step: Step) -> str:
    """What a step that was never taken would have done, and what it waited for."""
    if not isinstance(step.when, When):
        assert isinstance(step.action, SetFate), "other steps that wait for nothing are taken"
        return f"no packet was sent that is called {step.action.packet!r}"
    claim = step.when.state
    what = f"{claim.user}'s client" if isinstance(claim, UserIs) else f"the server's {claim.machine} {claim.id}"
    verb = verb_of(step.action).word
    return (
        f"the step {step.actor}: {verb} was not taken: it waited for {what} to be {claim.state}, which never occurred"
    )


def _print_causes(console: Console, records: list[Record], n: int) -> None:
    for number in chain_of_causes(n, lambda n: records[n - 1].cause, CAUSES_SHOWN_MAX):
        console.print(Text(f"      {timed_sentence(records[number - 1])}", "dim"))
