"""Runs the suite on a ground: what is found broken is tried again, and a server that dies of a probe is noticed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tcrp.engine.codec import Codec
from tcrp.judge.ground import Ground
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest, Skip, Waits, agreed, is_bad
from tcrp.judge.stage import TRIES, Stage
from tcrp.judge.suite import REPAIRS, unasked
from tcrp.judge.verdicts import Finding, Judgement, Outcome, merge
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Rule

CONFIRMATIONS = 2
"""How often a probe that finds something broken is run again: all runs must agree."""
PROBE_US = 40 * SECOND_US
"""How long a probe may take, besides the patience."""
LOAD_US = 90 * SECOND_US
CONTROLS = 3
"""How often two users try to meet until the server counts as dead."""
LONG_US = 15 * SECOND_US
"""A probe that waits longer than this is not run again."""


class Runner:
    """One judgement of one server. `progress` is told of each probe that begins."""

    def __init__(
        self, ground: Ground, codec: Codec, waits: Waits, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ground = ground
        self._codec = codec
        self._waits = waits
        self._progress = progress
        self._numbers = itertools.count(1)
        self._findings: dict[str, list[Finding]] = {}
        self._certain: list[Finding] = []  # what needs no second look
        self._granted: set[bytes] = set()
        self._met = False  # whether texts have ever reached everybody: if not, trying again is of no use
        self._lost = self._said = 0  # texts of all probes that did not arrive, though others did
        self._dead_after: str | None = None

    async def run(self, probes: Sequence[Probe], subject: str) -> Judgement:
        """Run the probes. Those that wait run beside the gentle ones, once the core has shown that they can."""
        by_group = {group: [each for each in probes if each.group is group] for group in Group}
        await self._in_turn(by_group[Group.CORE])
        blocked = any(
            each.outcome is Outcome.BROKEN and each.rule is Rule.TCP_5
            for each in itertools.chain(*self._findings.values())
        )
        waiting, after = by_group[Group.WAITING], list[Probe]()
        if blocked:  # an unfinished request would hold up every other probe
            waiting, after = [each for each in waiting if Rule.TCP_5 not in each.rules], waiting
            after = [each for each in after if each not in waiting]
        await self._ground.together([self._in_turn(by_group[Group.GENTLE]), *map(self._one, waiting)])
        await self._in_turn(after)
        await self._in_turn(by_group[Group.LOAD])
        await self._in_turn(by_group[Group.HOSTILE])
        findings = [finding for probe in probes for finding in self._findings.get(probe.name, [])]
        if self._lost and self._met:
            said = f"the network, or the server, lost {self._lost} of {self._said} texts that others followed"
            findings.append(Finding(Rule.REL_1, Outcome.NOT_TESTED, said, "all probes", inconclusive=True))
        notes = [] if self._dead_after is None else [self._death]
        return Judgement(
            subject,
            self._codec.dialect.name,
            merge([*findings, *self._certain], unasked(tuple(probes))),
            tuple(notes),
            REPAIRS,
        )

    async def _in_turn(self, probes: Sequence[Probe]) -> None:
        for probe in probes:
            await self._one(probe)

    async def _one(self, probe: Probe) -> None:
        if self._dead_after is not None:
            self._findings[probe.name] = [
                Finding(rule, Outcome.NOT_TESTED, self._death, probe.name, inconclusive=True) for rule in probe.rules
            ]
            return
        self._progress(probe.name)
        tries = [await self._try(probe)]
        while is_bad(tries[-1]) and len(tries) <= self._confirmations(probe):
            if probe.group is not Group.CORE and not await self._is_alive():
                self._dead_after = self._dead_after or probe.name
                break
            tries.append(await self._try(probe))
        if probe.group is Group.HOSTILE and self._dead_after is None and not await self._is_alive():
            self._dead_after = probe.name
        self._findings[probe.name] = agreed(tries)
        is_blamed = any(each.outcome is Outcome.BROKEN for each in tries[0]) or probe.group is Group.WAITING
        if self._dead_after == probe.name and not is_blamed:
            self._findings[probe.name] = [
                Finding(probe.rules[0], Outcome.BROKEN, "the server stops answering", probe.name, tries[0][0].evidence)
            ]

    def _confirmations(self, probe: Probe) -> int:
        is_long = probe.group is Group.WAITING and self._waits.patience_us > LONG_US
        return CONFIRMATIONS if (self._met or probe.group is Group.CORE) and not is_long else 0

    @property
    def _death(self) -> str:
        return f"the server stopped answering during the probe «{self._dead_after}»"

    async def _try(self, probe: Probe) -> list[Finding]:
        """What one run of the probe finds: at least one finding."""
        tries = TRIES if self._met or probe.group is Group.CORE else 0
        stage = Stage(self._ground, self._codec, self._waits, probe.name, self._numbers, tries)
        within_us = (LOAD_US if probe.group is Group.LOAD else PROBE_US) + self._waits.patience_us
        try:
            if not await self._ground.bounded(_story(probe, stage), within_us):
                stage.left_open(
                    probe.rules, f"the probe did not end within {within_us / SECOND_US:.0f} s", inconclusive=True
                )
        finally:
            stage.close()
        self._remember(stage, probe)
        self._met = self._met or stage.met
        if probe.group is not Group.HOSTILE:
            self._lost += stage.lost
            self._said += len(stage.controls)
        return stage.findings

    def _remember(self, stage: Stage, probe: Probe) -> None:
        """No token of the whole run may be granted twice."""
        for token in stage.granted:
            if token in self._granted and all(each.rule is not Rule.TOK_1 for each in self._certain):
                said = f"the token {token[:40]!r} was granted again, to somebody else"
                evidence = tuple(each for each in stage.exchanges if token in each.data)[:2]
                self._certain.append(Finding(Rule.TOK_1, Outcome.BROKEN, said, probe.name, evidence))
            self._granted.add(token)

    async def _is_alive(self) -> bool:
        """Whether two users can still meet, as far as they ever could."""
        if not self._met:
            return True
        for _ in range(CONTROLS):
            stage = Stage(self._ground, self._codec, self._waits, "control", self._numbers)
            alive: list[bool] = []
            try:
                await self._ground.bounded(_control(stage, alive), PROBE_US)
            finally:
                stage.close()
            if alive:
                return True
        return False


async def _story(probe: Probe, stage: Stage) -> None:
    try:
        await probe.story(stage)
    except Skip as skip:
        stage.left_open(probe.rules, str(skip), inconclusive=False)
    except CannotTest as error:
        stage.left_open(probe.rules, str(error), inconclusive=True)


async def _control(stage: Stage, alive: list[bool]) -> None:
    try:
        await stage.room("ann", "bob")
    except CannotTest:
        return
    alive.append(True)
