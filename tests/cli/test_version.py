"""`--version`: what is installed, and whether it is compiled."""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tcrp.cli import version
from tcrp.cli.version import COMPILED, PURE, ShowVersion, tcrp_build, tcrp_version


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tcrp_version() == importlib.metadata.version("tcrp")

    def missing(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert tcrp_version() == "not installed"


@pytest.mark.parametrize(
    ("origin", "build"),
    [("x/server.py", PURE), ("x/server.cpython-313-x86_64-linux-gnu.so", COMPILED), (None, PURE)],
)
def test_the_build_is_known_by_the_file_of_the_engine(
    origin: str | None, build: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "find_spec", lambda name: ModuleSpec(name, None, origin=origin))
    assert tcrp_build() == build


def test_what_more_there_is_to_say_is_looked_up_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def more() -> str:
        asked.append("asked")
        return ", more"

    parser = argparse.ArgumentParser(prog="chat-x")
    parser.add_argument("--version", action=ShowVersion, more=more)
    assert parser.parse_args([]) == argparse.Namespace()
    assert asked == []
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"chat-x {tcrp_version()} ({tcrp_build()}), more\n"


@pytest.mark.parametrize("program", ["client", "sim"])
def test_neither_client_nor_simulator_loads_an_engine_to_say_its_version(program: str) -> None:
    code = (
        f"import sys; sys.argv = ['x', '--version']; from tcrp.cli.{program} import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('tcrp.engine.server', 'statemachine', 'tcrp.sim'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    assert tcrp_version() in done.stdout
