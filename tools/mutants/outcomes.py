"""What is known of mutants: outcomes that are kept, what the documents explain, and the counts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

from tools.mutants.mutations import Mutant
from tools.mutants.targets import Target
from tools.mutants.trial import Result


@dataclass(frozen=True, slots=True)
class Memory:
    """Outcomes as JSON lines: what was killed stays so, what survived is tried again once what judged it changes."""

    file: Path | None

    def outcomes(self, by: str, target: Target, source: str, judge: str) -> dict[str, str]:
        """What is known of a module's mutants, by key."""
        if self.file is None or not self.file.exists():
            return {}
        found: dict[str, str] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if (entry["module"], entry["source"], entry["by"]) != (target.name, source, by):
                continue
            if entry["outcome"] in CAUGHT:
                found[entry["key"]] = entry["outcome"]
            elif entry["judge"] == judge:
                found.setdefault(entry["key"], entry["outcome"])
        return found

    def add(self, by: str, target: Target, source: str, judge: str, result: Result) -> None:
        """Keep an outcome."""
        if self.file is None:
            return
        entry = {
            "module": target.name, "source": source, "by": by, "judge": judge, "key": key_of(result.mutant),
            "line": result.mutant.line, "change": result.mutant.change, "outcome": result.outcome,
            "seconds": round(result.seconds, 2),
        }  # fmt: skip
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


CAUGHT = ("killed", "timeout")


def key_of(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.source.encode()).hexdigest()[:16]


EXPLAINED = re.compile(r"^- (?P<module>[\w.]+): `(?P<old>.*?)` → `(?P<new>.*?)`: ", re.MULTILINE)
"""A line of the list. Several changes of one line stand there one behind the other: `old` → `new`, `new`: why."""


def explained_in(text: str) -> frozenset[tuple[str, str, str]]:
    """Module, old and new of each mutant that a list explains."""
    return frozenset(
        (each["module"], each["old"], new) for each in EXPLAINED.finditer(text) for new in each["new"].split("`, `")
    )


@dataclass(slots=True)
class Count:
    """How many mutants there are, and what became of them."""

    mutants: int = 0
    by_tests: int = 0
    by_swarm: int = 0
    timeouts: int = 0
    differ: int = 0
    neither: int = 0
    explained: int = 0

    def add(self, other: Count) -> None:
        """Add another module's counts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def __str__(self) -> str:
        return (
            f"{self.mutants} mutants, caught by tests {self.by_tests}, by swarm {self.by_swarm} "
            f"({self.timeouts} by timeout), by neither {self.neither}: {self.explained} explained, "
            f"{self.differ} seen in traces"
        )
