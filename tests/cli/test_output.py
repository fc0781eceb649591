"""What the programs do where their output cannot be written, or cannot show a sign."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tcrp.cli.exits import CANNOT, OUTPUT_LOST, PIPE_CLOSED
from tcrp.cli.output import NEW_OBJECTS_MAX, SIGNS, run_program, shows_signs

ROOT = Path(__file__).parents[2]
SCENARIO = "examples/cut.yaml"
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def run(
    *words: str,
    program: str = "sim",
    stdout: IO[bytes] | int = subprocess.PIPE,
    stderr: IO[bytes] | int = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> tuple[int, bytes, bytes]:
    """The exit code of `chat-sim` or another program, and the bytes that it printed."""
    command = [sys.executable, "-m", f"tcrp.cli.{program}", *words]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NO_C", "FORCE"))}
    roots = os.pathsep.join(str(ROOT / folder) for folder in ("spec", "engine", "sim", "cli"))
    done = subprocess.run(
        command, stdout=stdout, stderr=stderr, cwd=ROOT, timeout=60, check=False,
        env={**inherited, "PYTHONPATH": roots, **(env or {})},
    )  # fmt: skip
    return done.returncode, done.stdout or b"", done.stderr or b""


@needs_full
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("words", [("run", SCENARIO), ("run", SCENARIO, "--format", "jsonl"), ("spec",)])
def test_a_full_disk_has_its_own_exit_code_and_one_line(words: tuple[str, ...], env: dict[str, str]) -> None:
    with FULL.open("wb") as full:
        code, _, said = run(*words, stdout=full, env=env)
    assert (code, said) == (OUTPUT_LOST, b"chat-sim: cannot write the output: No space left on device\n")


@needs_full
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("program", ["sim", "server", "client"])
@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_that_cannot_be_written_is_no_success(program: str, words: tuple[str, ...], env: dict[str, str]) -> None:
    with FULL.open("wb") as full:
        code, _, said = run(*words, program=program, stdout=full, env=env)
    assert (code, said) == (
        OUTPUT_LOST,
        f"chat-{program}: cannot write the output: No space left on device\n".encode(),
    )


@needs_full
@pytest.mark.parametrize(
    ("program", "words"), [("sim", ("run", "--help")), ("server", ("ctl", "--help")), ("server", ("ctl", "list", "-h"))]
)
def test_the_help_of_a_command_that_cannot_be_written_is_no_success(program: str, words: tuple[str, ...]) -> None:
    with FULL.open("wb") as full:
        assert run(*words, program=program, stdout=full, env={"PYTHONUNBUFFERED": "1"})[0] == OUTPUT_LOST


@pytest.mark.parametrize("program", ["sim", "server", "client"])
def test_a_reader_of_help_who_has_enough_ends_any_program_without_a_word(program: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        assert run("--help", program=program, stdout=pipe) == (PIPE_CLOSED, b"", b"")


@needs_full
def test_a_full_stdout_is_not_blamed_on_the_trace(tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        code, _, said = run("run", SCENARIO, "--trace", str(tmp_path / "trace.jsonl"), stdout=full)
    assert (code, b"trace" in said) == (OUTPUT_LOST, False)
    code, _, said = run("run", SCENARIO, "--format", "quiet", "--trace", str(FULL))
    assert (code, said) == (OUTPUT_LOST, b"chat-sim: /dev/full: cannot write the trace: No space left on device\n")


@needs_full
def test_an_error_that_nobody_can_read_keeps_its_exit_code() -> None:
    with FULL.open("wb") as full:
        assert run("run", "nosuch.yaml", stderr=full)[0] == CANNOT


@pytest.mark.parametrize("format", ["table", "jsonl"])
def test_a_reader_who_has_enough_ends_the_program_without_a_word(format: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        assert run("run", SCENARIO, "--format", format, stdout=pipe) == (PIPE_CLOSED, b"", b"")


@pytest.mark.parametrize("encoding", ["latin-1", "cp932", "ascii"])
def test_an_encoding_without_the_signs_gets_ascii_and_straight_columns(encoding: str) -> None:
    code, out, said = run("run", SCENARIO, env={"PYTHONIOENCODING": encoding})
    assert (code, said) == (0, b"")
    text = out.decode("ascii")
    assert "anonymous" in text
    assert "< alice: and now?" in text
    assert "+ holds" in text
    head, *rows = text.splitlines()[:-4]
    column = head.index("rule")
    rules = [row[column:] for row in rows if " R-" in row]
    assert all(rule.startswith("R-") for rule in rules)
    assert len(rules) > 10


def test_what_has_no_ascii_form_is_escaped(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("claim: 部屋 ✓\nscript: [{at: 0s, a: {create: r}}]\n", encoding="utf-8")
    _, out, _ = run("run", str(file), env={"PYTHONIOENCODING": "ascii"})
    assert rb"\u90e8\u5c4b \u2713" in out


def test_a_trace_on_stdout_is_utf8_whatever_the_encoding(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "claim: hi\nscript: [{at: 0s, a: {create: r}}, {at: 1s, a: {say: 部屋}}]\nexpect: [{a: {state: in-room}}]\n",
        encoding="utf-8",
    )
    code, out, said = run("run", str(file), "--trace", "-", env={"PYTHONIOENCODING": "ascii"})
    run("run", str(file), "--trace", str(tmp_path / "trace.jsonl"))
    assert (code, out) == (0, (tmp_path / "trace.jsonl").read_bytes())
    assert b"holds" in said


def test_a_trace_and_a_table_do_not_share_stdout() -> None:
    code, out, said = run("run", SCENARIO, "--trace", "-", "--format", "table")
    assert (code, out) == (CANNOT, b"")
    assert b"leave one of the two out" in said


def test_an_error_of_a_file_is_not_one_of_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x.toml")

    assert run_program("p", body) == CANNOT
    assert capsys.readouterr().err == "p: x.toml: No such file or directory\n"


def test_a_program_without_stdout_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> int:
        return sys.stdout.write("nobody reads this")

    monkeypatch.setattr(sys, "stdout", None)
    assert run_program("p", body) == 17
    sys.stdout.close()


@pytest.mark.parametrize(("encoding", "shows"), [("utf-8", True), ("cp932", False), (None, False), ("nosuch", False)])
def test_an_encoding_shows_all_signs_or_counts_as_without(encoding: str | None, shows: bool) -> None:
    assert shows_signs(encoding) is shows
    assert all(plain.isascii() for plain in SIGNS.values())


def test_a_program_collects_garbage_rarely_and_leaves_it_at_its_end() -> None:
    """A start and an end would otherwise take a fifth longer."""
    code = (
        "import atexit, gc; from tcrp.cli.output import run_program\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"  # called behind what is registered later
        "run_program('chat-sim', lambda: print(gc.get_threshold()[0]) or 0); print(gc.get_freeze_count())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(NEW_OBJECTS_MAX), "0", "True"]
