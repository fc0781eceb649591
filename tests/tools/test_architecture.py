"""The walls between packages that import-linter cannot express, and that its own configuration is complete."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCE_ROOTS = ("spec", "engine", "sim", "cli")
LINTER = PROJECT["tool"]["importlinter"]
ROOT_FILES = {
    ".dockerignore", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.ja.md",
    "README.md", "mkdocs.yml", "pyproject.toml",
}  # fmt: skip
ROOT_FOLDERS = {
    ".ci", ".github", "bench", "cli", "deploy", "docs", "engine", "examples", "sim", "spec", "tests", "tools",
}  # fmt: skip
OF_SIMULATORS = re.compile(r"simulat|swarm|stor(y|ies)\b|scenario", re.IGNORECASE)


def test_every_package_stands_under_the_import_contracts() -> None:
    packages = {f"tcrp.{path.name}" for root in SOURCE_ROOTS for path in (ROOT / root / "tcrp").glob("[a-z]*")}
    assert packages == set(LINTER["root_packages"])


@pytest.mark.parametrize("contract", LINTER["contracts"], ids=lambda contract: contract["name"])
def test_a_contract_forbids_modules_that_exist(contract: dict[str, list[str]]) -> None:
    """A misspelt module can never be imported, so its contract could never fail."""
    names = contract.get("forbidden_modules", [])
    assert [name for name in names if find_spec(name) is None] == []


def test_the_wheel_has_the_source_roots_the_scenarios_and_nothing_else() -> None:
    build = PROJECT["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert wheel["sources"] == {f"{root}/tcrp": "tcrp" for root in SOURCE_ROOTS} | {
        "sim/scenarios": "tcrp/sim/scenarios"
    }
    assert sorted(wheel["only-include"]) == sorted(wheel["sources"])
    assert build["dev-mode-dirs"] == list(SOURCE_ROOTS)


def test_the_spec_knows_nothing_of_simulators() -> None:
    files = [path for path in (ROOT / "spec").rglob("*") if path.suffix in (".py", ".md", ".toml", ".json")]
    assert files
    assert [path.name for path in files if OF_SIMULATORS.search(path.read_text(encoding="utf-8"))] == []


def test_every_path_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if not path.startswith(".")]
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_contributing_names_every_package() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in LINTER["root_packages"] if f"{name.replace('.', '/')}/ " not in text] == []


def test_only_what_is_known_stands_at_the_root() -> None:
    """What a program has written there by mistake, such as a trace named `-`, is not committed."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    assert {str(path) for path in paths if len(path.parts) == 1} == ROOT_FILES
    assert {path.parts[0] for path in paths if len(path.parts) > 1} == ROOT_FOLDERS
