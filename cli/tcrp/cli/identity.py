"""Which tcrp this is. Two installations that agree in all of it give the same results for the same seeds."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import tcrp
from tcrp.cli.version import tcrp_version

PACKAGES = ("engine", "sim", "spec", "trace")
"""Those that decide what a run does."""
DIALECTS = "spec/dialects"
PARTS = ("version", "source", "dialect files")

Identity = tuple[str, str, str]
"""By `PARTS`. Plain texts: another version has to read them."""


def identity() -> Identity:
    """Version, digest of the source, digest of the dialect files."""
    files = {
        f"{package}/{at.relative_to(folder).as_posix()}": at for package, folder in _folders() for at in _all(folder)
    }
    source = {name: at for name, at in files.items() if at.suffix == ".py"}
    dialects = {name: at for name, at in files.items() if name.startswith(DIALECTS) and at.suffix == ".toml"}
    return tcrp_version(), _digest(source), _digest(dialects)


def difference(theirs: Identity, ours: Identity) -> str:
    """What is not the same, in words; empty: nothing."""
    if theirs[0] != ours[0]:
        return f"tcrp {theirs[0]}, not {ours[0]}"
    other = [part for part, its, here in zip(PARTS, theirs, ours, strict=True) if its != here]
    return f"other {' and '.join(other)} of tcrp {ours[0]}" if other else ""


def _folders() -> Iterable[tuple[str, Path]]:
    """Where more than one place has a package, the first is imported: it comes last here, and so counts."""
    roots = [Path(root) for root in reversed(list(tcrp.__path__))]
    return [(name, root / name) for root in roots for name in PACKAGES if (root / name).is_dir()]


def _all(folder: Path) -> Iterable[Path]:
    return (each for each in folder.rglob("*") if each.is_file())


def _digest(files: dict[str, Path]) -> str:
    digest = sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
