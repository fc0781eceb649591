"""The generated pages of docs/, and the scenarios' JSON Schema.

`python -m tools.generated write` writes them, and `check` says which are not up to date, from the root of the project.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tcrp.sim.scenario.schema import text as schema
from tools import dialect_words, scenario_words, trace_words

FILES: Mapping[str, Callable[[], str]] = {
    "docs/scenarios.md": scenario_words.document,
    "docs/dialect-format.md": dialect_words.document,
    "docs/trace-records.md": trace_words.document,
    "sim/scenarios/scenario.schema.json": schema,
}


def stale(root: Path) -> list[str]:
    """The files under `root` that are not as they would be written."""
    return [
        name
        for name, made in FILES.items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != made()
    ]


def main(arguments: list[str]) -> int:
    """`write` the files, or `check` that they are up to date."""
    if arguments not in (["write"], ["check"]):
        print("usage: python -m tools.generated write|check", file=sys.stderr)
        return 2
    names = stale(Path.cwd())
    for name in names:
        if arguments == ["write"]:
            Path(name).write_text(FILES[name](), encoding="utf-8")
        else:
            print(f"{name} is stale: run `make document`", file=sys.stderr)
    return 1 if names and arguments == ["check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
