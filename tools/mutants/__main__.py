"""`python -m tools.mutants`: the command line, and the report."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.mutants.forks import fork, warm_up
from tools.mutants.in_place import end_group
from tools.mutants.mutations import Mutant, mutants_of
from tools.mutants.outcomes import CAUGHT, Count, Memory, explained_in, key_of
from tools.mutants.targets import PACKAGES, ROOT, SOURCE_ROOTS, Target, Tests, digest_of, targets_of
from tools.mutants.trial import (
    DIFFERS,
    NO_TESTS,
    OUTCOMES,
    TIMEOUT_FACTOR,
    BaselineError,
    Reaches,
    Swarm,
    run,
    stages_of,
)

TIMEOUT_LEAST_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Judges:
    """What is to catch mutants: the tests, a swarm of so many scenarios, or first the tests and then the swarm."""

    tests: bool
    swarm: int
    jobs: int
    least: float  # seconds that a mutant has at least
    memory: Memory
    explained: frozenset[tuple[str, str, str]]
    reaches: Reaches

    def judge(self, target: Target, mutants: Sequence[Mutant]) -> Count:
        """Try a module's mutants, print which survived unexplained, and count."""
        count = Count(len(mutants))
        left = mutants
        if self.tests:
            digest = digest_of(ROOT / each for stage in target.stages for each in stage)
            outcomes = self._try("tests", target, left, target.stages, digest)
            left = [each for each in left if outcomes.get(key_of(each)) not in CAUGHT]
            count.by_tests = len(mutants) - len(left)
            count.timeouts += sum(outcomes.get(key_of(each)) == "timeout" for each in mutants)
        if self.swarm:
            digest = digest_of(path for root in SOURCE_ROOTS for path in sorted((ROOT / root).rglob("*.py")))
            with TemporaryDirectory() as folder:
                swarm = Swarm(self.swarm, Path(folder, "traces"))
                outcomes = self._try("swarm", target, left, [swarm], f"{digest} {self.swarm}")
            count.timeouts += sum(outcomes.get(key_of(each)) == "timeout" for each in left)
            count.differ = sum(outcomes.get(key_of(each)) == "differs" for each in left)
            before, left = left, [each for each in left if outcomes.get(key_of(each)) not in CAUGHT]
            count.by_swarm = len(before) - len(left)
        unexplained = [each for each in left if (target.short, each.old, each.new) not in self.explained]
        count.neither, count.explained = len(left), len(left) - len(unexplained)
        print(f"{target.short}: {count}")
        for mutant in unexplained:
            path = target.path.relative_to(ROOT) if target.path.is_relative_to(ROOT) else target.path
            seen = "  (seen in traces)" if self.swarm and outcomes.get(key_of(mutant)) == "differs" else ""
            print(f"  {path}:{mutant.line} #{mutant.number}: {mutant.change}{seen}", flush=True)
        return count

    def _try(
        self, by: str, target: Target, mutants: Sequence[Mutant], stages: Sequence[Tests | Swarm], judge: str
    ) -> dict[str, str]:
        """The outcome of each mutant by its key: remembered, or found out now."""
        source = digest_of([target.path])
        outcomes = self.memory.outcomes(by, target, source, judge)
        left = [mutant for mutant in mutants if key_of(mutant) not in outcomes]
        for result in run(target, left, stages, self.jobs, self.least, self.reaches) if left else ():
            outcomes[key_of(result.mutant)] = result.outcome
            self.memory.add(by, target, source, judge, result)
        return outcomes


def sample(mutants: dict[str, list[Mutant]], number: int, seed: int) -> dict[str, list[Mutant]]:
    """Some of the modules' mutants, chosen by a hash of each change: a line that stays is chosen again later."""
    ranked: list[tuple[str, str, Mutant]] = []
    for name, all_of_module in mutants.items():
        times: dict[str, int] = {}
        for mutant in all_of_module:
            nth = times[mutant.change] = times.get(mutant.change, 0) + 1
            rank = hashlib.sha256(f"{seed} {name} {mutant.change} {nth}".encode()).hexdigest()
            ranked.append((rank, name, mutant))
    ranked.sort(key=lambda each: each[0])
    chosen: dict[str, list[Mutant]] = {name: [] for name in mutants}
    for _, name, mutant in ranked[:number]:
        chosen[name].append(mutant)
    return {name: sorted(some, key=lambda each: each.number) for name, some in chosen.items()}


def _show(target: Target, number: int, swarm: int, least: float, *, tests: bool) -> int:
    """Run one mutant with the tests' and the swarm's output, each as long as a mutant may take."""
    mutant = next((each for each in mutants_of(target.path.read_text(encoding="utf-8")) if each.number == number), None)
    if mutant is None:
        raise ValueError(f"{target.short} has no mutant {number}")
    print(f"{target.path}:{mutant.line}: {mutant.change}")
    outcome = "survived"
    with TemporaryDirectory() as folder:
        judges: list[Tests | Swarm] = [*(target.stages if tests else ())]
        judges += [Swarm(swarm, Path(folder, "traces"))] if swarm else []
        for stage in stages_of(target, judges, least, Reaches([target])):
            work = stage.work(mutant)
            if work is None:
                continue
            warm_up([target.name])
            pid = fork(target, mutant.source, work, stage.timeout, is_loud=True)
            _, status = os.waitpid(pid, 0)
            end_group(pid)
            code = os.waitstatus_to_exitcode(status)
            if code == DIFFERS:
                outcome = "survived, seen in traces"
            elif OUTCOMES.get(code) == "timeout":
                print(f"killed by the timeout: it took longer than {stage.timeout:.0f} s")
                return 0
            elif code not in (0, NO_TESTS):
                print("killed")
                return 0
    print(outcome)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: no mutant survived unexplained; 1: some did; 2: it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Mutation tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: {' '.join(PACKAGES)}")
    parser.add_argument(
        "--swarm", type=int, default=0, metavar="N", help="scenarios for what the tests let through (0)"
    )
    parser.add_argument("--by", choices=("tests", "swarm"), help="only by these")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many of all mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at once (1)")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_LEAST_SECONDS, metavar="SECONDS",
        help=f"what a mutant has at least ({TIMEOUT_LEAST_SECONDS}); else {TIMEOUT_FACTOR} times what the module takes",
    )  # fmt: skip
    parser.add_argument("--only", type=int, metavar="N", help="only this mutant, with the output of its tests")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSON lines of outcomes, read and appended to")
    parser.add_argument("--explained", type=Path, metavar="FILE", default=ROOT / "docs" / "mutants.md")
    parser.add_argument("--tests", nargs="+", default=(), metavar="PATH", help="these tests instead of the module's")
    options = parser.parse_args(arguments)
    explained = explained_in(options.explained.read_text(encoding="utf-8") if options.explained.exists() else "")
    by_tests, runs = options.by != "swarm", 0 if options.by == "tests" else options.swarm
    if options.by == "swarm" and not runs:
        parser.error("--by swarm: of how many scenarios? --swarm 300")
    together = Count()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was forked is ended too
    try:
        targets = targets_of(options.modules or PACKAGES, options.tests)
        if options.only is not None:
            return _show(targets[0], options.only, runs, options.timeout, tests=by_tests)
        mutants = {each.name: mutants_of(each.path.read_text(encoding="utf-8")) for each in targets}
        if options.sample is not None:
            mutants = sample(mutants, options.sample, options.seed)
        memory = Memory(options.resume)
        judges = Judges(by_tests, runs, options.jobs, options.timeout, memory, explained, Reaches(targets))
        for target in targets:
            if by_tests and not target.stages:
                print(f"{target.short}: no tests")
            elif mutants[target.name] or options.sample is None:
                together.add(judges.judge(target, mutants[target.name]))
    except (ValueError, BaselineError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    if len(targets) > 1:
        print(f"together: {together}")
    return 1 if together.neither > together.explained else 0


if __name__ == "__main__":
    sys.exit(main())
