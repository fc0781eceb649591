"""What is compiled: the list in pyproject.toml is whole, and nothing interpreted derives from a compiled class."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tools.compiled import CompiledWheel, sources_of

import tcrp.engine.server

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK: dict[str, Any] = SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
FREE = {"NamedTuple", "Protocol", "StrEnum", "IntEnum", "Enum"}  # mypyc leaves these classes to Python


@cache
def classes_of(path: Path) -> dict[str, set[str]]:
    """The classes of a file, and the names of their bases."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            found[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return found


def test_each_pattern_of_the_hook_finds_a_module() -> None:
    for pattern in [*HOOK["compile"], *HOOK["interpreted"]]:
        assert list(ROOT.glob(pattern)), pattern
    compiled = sources_of(ROOT, HOOK)
    assert "engine/tcrp/engine/server.py" in compiled
    assert "spec/tcrp/spec/session.py" not in compiled
    assert (ROOT / HOOK["path"]).exists()


def test_no_machine_is_compiled() -> None:
    """python-statemachine reads what a class statement of Python makes: a compiled one fails when it is imported."""
    compiled = [ROOT / each for each in sources_of(ROOT, HOOK)]
    machines = [
        path.name for path in compiled if any("ProtocolMachine" in bases for bases in classes_of(path).values())
    ]
    assert machines == []


def test_each_frozen_class_that_is_compiled_can_be_pickled() -> None:
    wrong = [
        f"{source}: {node.name}"
        for source in sources_of(ROOT, HOOK)
        for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any("frozen=True" in ast.unparse(each) for each in node.decorator_list)
        and "Frozen" not in map(ast.unparse, node.bases)
    ]
    assert wrong == []


def test_no_interpreted_class_derives_from_a_compiled_one() -> None:
    compiled = [ROOT / each for each in sources_of(ROOT, HOOK)]
    native = {name for path in compiled for name, bases in classes_of(path).items() if not bases & FREE}
    roots = ("spec", "engine", "sim", "cli", "tests", "bench", "tools", "examples")
    others = [path for root in roots for path in (ROOT / root).rglob("*.py") if path not in compiled]
    # Words that several modules use for a class of their own.
    own = {name for path in others for name in classes_of(path)}
    wrong = [
        f"{path.relative_to(ROOT)}: {name} derives from {base}"
        for path in others
        for name, bases in classes_of(path).items()
        for base in sorted(bases & native - own)
    ]
    assert wrong == []


def test_what_mypyc_compiles_but_python_cannot_import_is_left_out() -> None:
    wrong = []
    for path in (ROOT / each for each in sources_of(ROOT, HOOK)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base) for base in node.bases]
                has_slots = any("slots=True" in ast.unparse(each) for each in node.decorator_list)
                is_generic = any(base.startswith("Generic[") for base in bases)
                if "ProtocolMachine" in bases or (is_generic and has_slots):
                    wrong.append(f"{path.name}: {node.name}")
    assert wrong == []


@pytest.mark.parametrize(("variable", "version"), [("", "standard"), ("1", "editable")])
def test_without_its_variable_and_in_a_checkout_the_hook_does_nothing(
    variable: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCRP_COMPILED", variable)
    metadata = SimpleNamespace(core=SimpleNamespace(dependencies=["rich"]))
    hook = CompiledWheel(str(ROOT), HOOK, None, metadata, "", "wheel")  # type: ignore[arg-type]
    data: dict[str, Any] = {"force_include": {}}
    hook.initialize(version, data)
    assert data == {"force_include": {}}
    assert ("rich" in hook.dependencies()) == (variable == "1")


@pytest.mark.parametrize("program", ["client", "server", "sim"])
def test_the_version_says_which_build_it_is(program: str) -> None:
    command = [sys.executable, "-m", f"tcrp.cli.{program}", "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    build = "pure Python" if str(tcrp.engine.server.__file__).endswith(".py") else "compiled"
    assert said.startswith(f"chat-{program} ")
    assert f" ({build})" in said
