"""`chat-sim step`: keys and mouse through textual's pilot, and screens compared with those in `screens/`.

After a change that is meant, `TCRP_WRITE_SCREENS=1 pytest tests/cli/test_step.py` writes the screens anew.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tcrp.cli.exits import CANNOT, UsageError
from tcrp.cli.sim import main
from tcrp.cli.step_app import StepApp
from tcrp.cli.what_if import open_source
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario
from tcrp.spec.rules import SENTENCES
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, RefusalRecord, StepRecord
from terminal import Terminal

ROOT = Path(__file__).parents[2]
CUT = ROOT / "examples" / "cut.yaml"
STORY = ROOT / "sim" / "scenarios" / "the-story.yaml"
SCREENS = Path(__file__).parent / "screens"
Talk = Callable[["Screen"], Awaitable[None]]


class Screen:
    """The app and its pilot."""

    def __init__(self, app: StepApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    async def types(self, key: str, text: str) -> None:
        """Answer the prompt that a key opens."""
        await self.press(key)
        await self.press(*(("full_stop" if letter == "." else letter) for letter in text), "enter")

    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return [strip.text.rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines()) + "\n"

    @property
    def record(self):  # type: ignore[no-untyped-def]
        return self.app.opened.index.record(self.app.n)


def on_screen(source: Path, talk: Talk, width: int = 80, height: int = 24, seed: int | None = None) -> None:
    """Have `talk` use the app."""

    async def use() -> None:
        app = StepApp(open_source(str(source), seed))
        async with app.run_test(size=(width, height)) as pilot:
            await pilot.pause()
            await talk(Screen(app, pilot))

    asyncio.run(use())


def compare(screen: Screen, name: str) -> None:
    path = SCREENS / f"{name}.txt"
    if os.environ.get("TCRP_WRITE_SCREENS"):
        path.write_text(screen.text, encoding="utf-8")
    assert screen.text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 48), (40, 24)])
def test_screens(width: int, height: int) -> None:
    async def talk(screen: Screen) -> None:
        await screen.press("d")
        compare(screen, f"drop-{width}x{height}")
        await screen.press("x")
        compare(screen, f"what-if-{width}x{height}")
        await screen.press("question_mark")
        compare(screen, f"help-{width}x{height}")

    on_screen(CUT, talk, width, height)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_it_ends_at_once_by(key: str) -> None:
    async def talk(screen: Screen) -> None:
        await screen.pilot.press(key)
        assert screen.app.return_code == 0
        assert not screen.app.is_running

    on_screen(CUT, talk)


def test_keys_go_on_back_and_to_the_next_of_a_kind() -> None:
    async def talk(screen: Screen) -> None:
        await screen.press("right", "down", "space")
        assert screen.app.n == 4
        await screen.press("left", "up")
        assert screen.app.n == 2
        await screen.press("left", "left")
        assert screen.app.n == 1
        assert "no record before this" in screen.text
        await screen.press("end", "pageup")
        assert 1 < screen.app.n < len(screen.app.opened.index)
        await screen.press("home", "r")
        assert isinstance(screen.record, RefusalRecord) or screen.record.event == "refused"
        await screen.press("R")
        assert "no refusal before this" in screen.text
        await screen.press("d")
        assert screen.record.kind is Kind.DROP
        await screen.press("D")
        assert screen.record.kind is Kind.DROP
        await screen.press("f")
        assert "no fault after this" in screen.text

    on_screen(STORY, talk)


def test_steps_of_one_actor_are_visited_and_another_can_be_chosen() -> None:
    async def talk(screen: Screen) -> None:
        await screen.press("s")
        assert (type(screen.record), screen.record.actor) == (StepRecord, "alice")
        await screen.types("a", "bob")
        first = screen.record
        assert (type(first), first.actor) == (StepRecord, "bob")
        await screen.press("s", "S")
        assert screen.record == first
        await screen.types("a", "nobody")
        assert "no step of nobody after this" in screen.text

    on_screen(STORY, talk)


def test_times_records_and_texts_are_gone_to() -> None:
    async def talk(screen: Screen) -> None:
        await screen.types("t", "3s")
        assert screen.record.t_us >= 3_000_000
        await screen.types("g", "17")
        assert screen.app.n == 17
        await screen.types("g", "99999")
        assert screen.app.n == 17
        assert "there are records 1 to" in screen.text
        await screen.types("t", "soon")
        assert "soon" in screen.text
        await screen.types("slash", "welcome")
        first = screen.app.n
        await screen.press("n")
        assert screen.app.n > first
        await screen.press("N")
        assert screen.app.n == first
        await screen.press("b", "b", "b")
        assert screen.app.n == 17
        await screen.types("slash", "no such text")
        assert "no 'no such text' after this" in screen.text

    on_screen(STORY, talk)


def test_a_cause_is_gone_to_by_key_and_by_click() -> None:
    async def talk(screen: Screen) -> None:
        await screen.press("d")
        drop = screen.record
        await screen.press("c")
        assert screen.app.n == drop.cause
        await screen.press("b")
        assert screen.record == drop
        row = next(y for y, line in enumerate(screen.lines()) if line.strip().startswith(f"#{drop.cause} "))
        await screen.pilot.click("#record", offset=(5, row - screen.app.query_one("#record").region.y))
        await screen.pilot.pause()
        assert screen.app.n == drop.cause
        await screen.pilot.click("#sequence", offset=(20, 2))
        await screen.pilot.pause()
        assert screen.app.n < drop.cause

    on_screen(CUT, talk)


def test_only_one_user_or_room_is_shown_until_escape() -> None:
    async def talk(screen: Screen) -> None:
        await screen.types("u", "eve")
        for _ in range(8):
            assert "eve" in screen.record.line()
            await screen.press("right")
        assert "only eve" in screen.lines()[0]
        await screen.types("o", "attic")
        assert "only eve in attic" in screen.lines()[0]
        await screen.press("escape")
        assert "only" not in screen.lines()[0]
        await screen.types("u", "zoe")
        assert "nothing is about a user zoe; there are alice, bob" in screen.text
        await screen.types("o", "cellar")
        assert "nothing is about a room cellar" in screen.text

    on_screen(STORY, talk)


def test_a_refusal_says_why_with_the_rule() -> None:
    async def talk(screen: Screen) -> None:
        await screen.press("d")
        words = " ".join(screen.text.split())
        rule = screen.record.rule
        assert f"The server: the token's session has ended. {rule}: {SENTENCES[rule][:60]}" in words

    on_screen(STORY, talk)


def test_the_screen_in_the_document_is_a_real_one(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "view.md").read_text(encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(document.partition("```yaml wrong.yaml\n")[2].partition("```")[0], "utf-8")
    shown = document.partition("```screen\n")[2].partition("```")[0].splitlines()

    async def talk(screen: Screen) -> None:
        await screen.press("d")
        assert screen.lines()[:-2] == shown

    on_screen(tmp_path / "wrong.yaml", talk)


# --- what if -------------------------------------------------------------------------------------


def test_what_if_runs_on_from_the_packet_and_is_written_as_a_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def talk(screen: Screen) -> None:
        await screen.types("t", "3s")
        await screen.types("slash", "relay:bob")
        sent = screen.record
        assert isinstance(sent, PacketRecord)
        before = [screen.app.opened.index.record(n) for n in range(1, sent.n + 1)]
        await screen.press("x")
        index = screen.app.opened.index
        assert screen.record == sent
        assert [index.record(n) for n in range(1, sent.n + 1)] == before
        assert isinstance(index.record(sent.n + 1), FaultRecord)
        assert index.record(sent.n + 2).kind is Kind.DROP
        assert "relay dropped" in screen.text
        assert "claim does not hold" in screen.lines()[0]
        await screen.press("w", "enter")
        assert "written to cut-what-if.yaml" in screen.text
        await screen.press("w", "enter")
        assert "cut-what-if.yaml exists" in screen.text
        await screen.press("backspace")
        assert "claim holds" in screen.lines()[0]
        await screen.types("z", "250ms")
        late = index_of_arrival(screen, sent)
        assert late.t_us - sent.t_us > 250_000
        await screen.press("y")
        assert "duplicated" in screen.text
        assert screen.app.opened.fates[0].delay_us is None  # in place of the delay
        assert len(screen.app.opened.fates) == 1

    on_screen(CUT, talk)
    scenario = read_scenario(tmp_path / "cut-what-if.yaml")
    records: list[object] = []
    verdict = Run(scenario, listeners=[records.append]).go()
    assert not verdict.holds
    assert any(isinstance(each, PacketRecord) and each.why == "fate" for each in records)
    assert main(["run", str(tmp_path / "cut-what-if.yaml"), "--format", "quiet"]) == 1


def index_of_arrival(screen: Screen, sent: PacketRecord) -> PacketRecord:
    index = screen.app.opened.index
    records = (index.record(n) for n in range(sent.n + 1, len(index) + 1))
    return next(each for each in records if isinstance(each, PacketRecord) and each.kind is Kind.ARRIVE
                and each.packet == sent.packet)  # fmt: skip


def test_what_if_needs_a_packet_and_a_scenario(tmp_path: Path) -> None:
    async def of_scenario(screen: Screen) -> None:
        await screen.press("s", "x")
        assert "select a packet first" in screen.text
        await screen.press("w")
        assert "nothing was changed" in screen.text
        await screen.press("backspace")
        assert "nothing was changed" in screen.text

    async def of_trace(screen: Screen) -> None:
        await screen.press("x")
        assert "open the scenario, not its trace" in screen.text
        await screen.press("v")
        assert "a trace does not say what was expected" in screen.text

    on_screen(CUT, of_scenario)
    trace = tmp_path / "trace.jsonl"
    assert main(["run", str(CUT), "--format", "quiet", "--trace", str(trace)]) == 0
    on_screen(trace, of_trace)


def test_a_missed_expectation_is_gone_to(tmp_path: Path) -> None:
    path = tmp_path / "fails.yaml"
    path.write_text(CUT.read_text(encoding="utf-8").replace("count: 1", "count: 2"), encoding="utf-8")

    async def talk(screen: Screen) -> None:
        assert "claim does not hold" in screen.lines()[0]
        await screen.press("v")
        assert screen.record.kind is Kind.DROP
        assert "expected {drop: {why: cut, what: relay}, count: 2}" in screen.text
        await screen.press("v")
        assert "no violation after this" in screen.text

    on_screen(path, talk)


def test_a_missed_expectation_that_no_record_shows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fails.yaml"
    path.write_text(
        "claim: x\nscript:\n  - {at: 0s, a: {create: r}}\nexpect:\n  - {drop: {why: mtu}, count: 1}\n", encoding="utf-8"
    )

    async def talk(screen: Screen) -> None:
        await screen.press("v")
        assert screen.app.n == 1
        assert "expected {drop: {why: mtu}, count: 1}: there are 0 such records" in screen.text

    on_screen(path, talk)


# --- screens and traces that are no good ---------------------------------------------------------


def test_a_tiny_screen_says_what_it_needs_and_recovers() -> None:
    async def talk(screen: Screen) -> None:
        assert screen.lines()[0] == "at least 30x10"
        await screen.pilot.resize_terminal(80, 24)
        await screen.pilot.pause()
        await screen.pilot.pause()
        assert "cut.yaml" in screen.lines()[0]

    on_screen(CUT, talk, 20, 5)


def test_a_broken_line_is_a_message_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    assert main(["run", str(CUT), "--format", "quiet", "--trace", str(path)]) == 0
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[3] = lines[3].replace('"kind":"send"', '"kind":"sent"')
    path.write_text("\n".join(lines)[:-9], encoding="utf-8")

    async def talk(screen: Screen) -> None:
        assert "its end is cut off" in screen.lines()[0]
        await screen.press("right", "right")
        assert "line 4 cannot be read: (kind is 'sent'; allowed are" in screen.text
        await screen.press("right", "right")
        assert screen.app.n == 5
        await screen.types("t", "1s")
        assert screen.record.t_us >= 1_000_000

    on_screen(path, talk)


def test_names_and_texts_are_shown_as_they_are_and_control_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(
        'claim: "[red]x"\nscript:\n  - {at: 0s, bob: {create: "[i]r"}}\n  - {at: 1s, bob: {say: "[/]\\e[31m日本"}}\n',
        encoding="utf-8",
    )

    async def talk(screen: Screen) -> None:
        await screen.types("slash", "spoke")
        assert "bob@[i]r" in screen.text
        assert "\x1b" not in screen.text

    on_screen(path, talk)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.yaml"], "there is no such file or folder"),
        (["{tmp}/empty.jsonl"], "no complete line"),
        (["{tmp}/none.jsonl"], "the trace holds no record"),
        (["{tmp}/none.jsonl", "--seed", "3"], "--seed is for scenarios"),
        (["{tmp}"], "neither scenario.yaml nor trace.jsonl"),
        ([str(CUT)], "step needs a terminal"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "none.jsonl").write_text('{"mode":"sockets","schema":"tcrp-trace/1"}\n', encoding="utf-8")
    assert main(["step", *(word.replace("{tmp}", str(tmp_path)) for word in words)]) == CANNOT
    assert message in capsys.readouterr().err


def test_without_textual_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tcrp.cli.step import step

    monkeypatch.delitem(sys.modules, "tcrp.cli.step_app", raising=False)
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(UsageError, match=re.escape("(in a clone of tcrp: pip install -e '.[view]')")):
        step(str(CUT), None, 1)


def test_other_commands_do_not_load_textual() -> None:
    script = "import sys; from tcrp.cli.sim import main; main(['spec', 'room']); print('textual' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == "False"


def test_in_a_real_terminal_it_starts_steps_and_quits() -> None:
    with Terminal("chat-sim", "step", str(CUT)) as terminal:
        assert terminal.shows("? help")
        terminal.types("d")
        assert terminal.shows("relay: cut")
        terminal.types("q")
        assert terminal.ends() == 0
