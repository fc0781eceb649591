"""`chat-sim conform client` as its users meet it, with our own chat-client and with what is no client at all."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import shlex
import signal
import subprocess
from functools import cache
from pathlib import Path

import pytest

from judge.client_judging import FOREIGN, PLACES, Judged, judge_all
from judge.judging import broken, doubtful
from processes import BIN, PATIENCE, until
from tcrp.cli.sim import main
from tcrp.judge.client_suite import ALONE
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Judgement, Outcome
from tcrp.live.conform_client import LiveClientGround
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import Rule

OURS = (
    str(BIN / "chat-client"), "--plain", "--host", "{host}", "--tcp-port", "{tcp_port}", "--udp-port", "{udp_port}",
    "--name", "{name}", "--{operation}", "{room}", "--dialect",
)  # fmt: skip
FEW = ("refused to join", "lost at entering", "end of the room")
"""Probes that depend on the dialect, and need a run of the client each."""
WAITS = Waits()


COMMANDS = {
    "ours": (*OURS, "json"),
    "flawed": (*FOREIGN, "small_buffer", *PLACES),
}
OPTIONS = {"ours": ("--at-a-time", "8"), "flawed": ("--dialect", "text", "--patience", "4s", "--at-a-time", "8")}


@cache
def reports() -> dict[str, tuple[int, str, str]]:
    """Exit code and output of the command for each of these clients, judged at the same time."""
    judges = {
        name: subprocess.Popen(
            [BIN / "chat-sim", "conform", "client", *OPTIONS[name], "--", *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name, command in COMMANDS.items()
    }  # fmt: skip
    shown = {name: judge.communicate(timeout=4 * PATIENCE) for name, judge in judges.items()}
    return {name: (judge.returncode, *shown[name]) for name, judge in judges.items()}


@cache
def ours() -> dict[str, Judgement]:
    """The verdicts on our client in each of the eight dialects but json, which the command judges below."""
    few = [each for each in ALONE if each.name in FEW]
    names = [each for each in NAMES if each != "json"]
    clients = [Judged((*OURS, name), name, "chat-client", few) for name in names]
    return dict(zip(names, judge_all(clients, WAITS, at_a_time=4, runs=2), strict=True))


@pytest.mark.parametrize("dialect", [each for each in NAMES if each != "json"])
def test_our_client_conforms_in_each_dialect(dialect: str) -> None:
    judgement = ours()[dialect]
    assert (broken(judgement), doubtful(judgement)) == ({}, {})
    assert len(judgement.with_outcome(Outcome.HOLDS)) >= 14


def test_the_command_judges_our_client_and_knows_its_dialect() -> None:
    code, shown, said = reports()["ours"]
    assert code == 0, shown + said
    assert shown.splitlines()[0].endswith(", dialect json")
    assert "12s for a timeout of the client" in shown
    assert shown.splitlines()[-1] == "0 rules are broken, 21 hold, 10 were not tested."


def test_the_report_of_a_flawed_client_names_rule_proof_and_repair() -> None:
    code, shown, said = reports()["flawed"]
    assert code == 1, shown + said
    assert "R-UDP-2 is broken" in shown
    assert "Receive with recvfrom(4096) or more" in shown
    assert "(4094 bytes)" in shown
    assert shown.splitlines()[-1].startswith("1 rule is broken, 19 hold")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("no-such-program",), "no-such-program {tcp_port}: there is no such command"),
        (("sh", "-c", "exit 3"), "it ended with 3 before it made a request; it said: nothing"),
        (("sh", "-c", "yes"), "it prints without end"),
        (("sh", "-c", "read -p Colour? x"), "made no request within 8 s"),
    ],
)
def test_what_is_no_client_is_named_and_cannot_be_judged(
    command: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conform", "client", "--", *command, "{tcp_port}"])  # with the placeholder ports are free ones
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert said in shown.err
    assert "Colour?" not in command[-1] or "it said: 'Colour?'. If it asks something, answer that" in shown.err
    assert len(shown.err.splitlines()) == 1


def test_a_client_and_what_it_has_started_end_with_the_judge(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    stray = shlex.quote(f"echo $$ >> {shlex.quote(str(note))}; exec sleep 60")
    script = f"setsid sh -c {stray} & sh -c {stray} & sleep 60"
    judge = subprocess.Popen(
        [BIN / "chat-sim", "conform", "client", "--", "sh", "-c", script, "{tcp_port}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: note.exists() and len(note.read_text().splitlines()) == 2, "what the client starts")
    judge.send_signal(signal.SIGINT)
    _, said = judge.communicate(timeout=PATIENCE)
    assert judge.returncode == 130, said
    assert "Traceback" not in said
    for pid in note.read_text().split():
        until(lambda pid=pid: not runs(int(pid)), "the end of what it has started")


def test_a_probe_that_never_had_its_turn_ends_with_the_judge() -> None:
    async def judged() -> list[str]:
        began = asyncio.Event()

        async def under_way() -> None:
            began.set()
            await asyncio.Event().wait()

        probes = [under_way(), under_way()]
        judge = asyncio.create_task(LiveClientGround(at_a_time=1).together(probes))
        await began.wait()
        judge.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await judge
        return [inspect.getcoroutinestate(each) for each in probes]

    assert asyncio.run(judged()) == [inspect.CORO_CLOSED] * 2


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True


def test_a_script_waits_types_and_expects(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "enter:\n  - {wait: colour}\n  - {type: red}\n  - {had: request, within: 10s}\n"
        "say:\n  - {type: '{text}'}\n  - {had: datagram}\nleave:\n  - {key: ctrl-d}\n"
    )  # fmt: skip
    words = " ".join(shlex.quote(each) for each in (*FOREIGN, "none", *PLACES))
    command = ("sh", "-c", f"read -p 'colour? ' x; test $x = red && exec {words}")
    [judgement] = judge_all([Judged(command, "text", str(path), ())])
    assert broken(judgement) == {}
    assert {each.rule for each in judgement.with_outcome(Outcome.HOLDS)} >= {Rule.TCP_2, Rule.REL_1, Rule.UDP_1}
