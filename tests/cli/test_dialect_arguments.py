"""The arguments of `chat-sim dialect`: what is required, what is assumed, and that parsing them loads no dialect."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from tcrp.cli.dialect_arguments import add_dialect
from tcrp.cli.exits import CANNOT, HOLDS
from tcrp.cli.sim import main

Said = pytest.CaptureFixture[str]


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_dialect(parser.add_subparsers(required=True))
    return parser.parse_args(["dialect", *words])


def test_a_new_description_begins_with_the_dialect_text_and_is_called_mine() -> None:
    options = parsed("new")
    assert (options.like, options.name) == ("text", "mine")
    options = parsed("new", "--from", "json", "--name", "日本")
    assert (options.like, options.name) == ("json", "日本")


def test_check_takes_as_many_files_as_there_are() -> None:
    assert parsed("check", "a.toml", "b.toml").files == ["a.toml", "b.toml"]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ([], "COMMAND"),
        (["check"], "FILE"),
        (["show"], "NAME|FILE"),
        (["ambiguous", "text"], "B"),
        (["new", "--from"], "expected one argument"),
        (["shw"], "did you mean show?"),
        (["nonsense"], "choose from"),
    ],
)
def test_what_is_missing_is_named(words: list[str], missing: str, capsys: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dialect", *words])
    assert ended.value.code == CANNOT
    assert missing in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show", "text"], ["new"], ["ambiguous", "text", "json"]])
def test_each_command_reaches_its_code(words: list[str], capsys: Said) -> None:
    assert main(["dialect", *words]) == HOLDS
    assert capsys.readouterr().out


def test_the_arguments_load_no_dialect_and_no_simulator() -> None:
    code = (
        "import sys; from tcrp.cli.sim import main\n"
        "try: main(['dialect', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('tcrp.spec', 'tcrp.sim', 'tcrp.engine', 'rich'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
