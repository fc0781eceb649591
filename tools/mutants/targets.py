"""What is mutated, and which tests are run for it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("spec", "engine", "sim", "cli")
PACKAGES = ("spec", "engine", "sim.network", "sim.checks", "sim.reference", "sim.scenario.reader", "sim.evaluate")
"""What is mutated when no module is named."""

SLOW = (
    "tests/engine/test_total.py",
    "tests/sim/test_scenarios.py",
    "tests/sim/swarm",
    "tests/sim/test_pytest_plugin.py",
)
"""Left out: they run for minutes, and a mutant's tests are run hundreds of times."""

WHOLE_SERVER = ("tests/engine/test_handshakes.py", "tests/engine/test_server.py")
"""They take two seconds and notice most of what changes in the engine: asked before the slower tests of the package."""

Tests = tuple[str, ...]  # files of tests, run together


@dataclass(frozen=True, slots=True)
class Target:
    """A module, its file, and the tests that are run for it: its own first, then its package's."""

    name: str
    path: Path
    stages: tuple[Tests, ...]

    @property
    def short(self) -> str:
        """The name without the project's."""
        return self.name.removeprefix("tcrp.")


def targets_of(words: Iterable[str], tests: Sequence[str]) -> list[Target]:
    """What the words name: modules, packages, or files; `tests` are files or folders instead of each one's own.

    Raises `ValueError` for what names nothing.
    """
    tests = [file for path in tests for file in _test_files(path)]
    found: dict[str, Target] = {}
    for word in words:
        paths = list(_paths(word))
        if not paths:
            raise ValueError(f"{word} is no module, package or file; name it as engine.codec")
        for path in paths:
            target = _target(path, tests)
            found[target.name] = target
    return list(found.values())


def _paths(word: str) -> Iterator[Path]:
    if word.endswith(".py"):
        path = Path(word).resolve()
        if path.exists():
            yield path
        return
    inner = Path("tcrp", *word.removeprefix("tcrp.").split("."))
    for root in SOURCE_ROOTS:
        file = (ROOT / root / inner).with_suffix(".py")
        if file.exists():
            yield file
        yield from sorted((ROOT / root / inner).rglob("*.py"))


def _test_files(path: str) -> list[str]:
    if Path(path).is_file():
        return [path]
    files = [str(file) for file in sorted(Path(path).rglob("test_*.py"))]
    if not files:
        raise ValueError(f"{path} is no file of tests, and no folder that has some")
    return files


def _target(path: Path, tests: Sequence[str]) -> Target:
    for root in SOURCE_ROOTS:
        if path.is_relative_to(ROOT / root):
            inner = path.relative_to(ROOT / root).with_suffix("")
            stages = (tuple(tests),) if tests else _stages(inner)
            return Target(".".join(inner.parts), path, stages)
    sys.path.insert(0, str(path.parent))
    return Target(path.stem, path, (tuple(tests),))


def _stages(inner: Path) -> tuple[tuple[str, ...], ...]:
    """Own tests, then those of the package or the whole server, then all. `inner` is `tcrp/sim/network/links`."""
    package = Path("tests", *inner.parts[1:-1])
    own = ROOT / package / f"test_{inner.name}.py"
    wide = Path("tests", inner.parts[1])
    others = [
        str(file.relative_to(ROOT))
        for file in sorted({*(ROOT / wide).glob("test_*.py"), *(ROOT / package).rglob("test_*.py")})
        if file != own and not str(file.relative_to(ROOT)).startswith(SLOW)
    ]
    # The tests that stand nearest to the module are the likeliest to notice.
    others.sort(key=lambda each: not each.startswith(str(package)))
    stages: list[tuple[str, ...]] = [(str(own.relative_to(ROOT)),)] if own.exists() else []
    near = [each for each in others if each in WHOLE_SERVER or (package != wide and each.startswith(f"{package}/"))]
    stages += [tuple(some) for some in (near, [each for each in others if each not in near]) if some]
    return tuple(stages)


def digest_of(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]
