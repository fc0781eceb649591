"""`chat-sim step` on a full screen: keys, mouse, prompts, and where each part of the screen is.

Knows textual. What is shown is made in `step_text`, what a key looks for is found by `tcrp.view.index`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tcrp.cli.exits import OurFault, UsageError
from tcrp.cli.step_focus import Focus
from tcrp.cli.step_help import KEYS, NARROW_KEYS, Help
from tcrp.cli.step_text import (
    heading,
    lifelines_for,
    machine_entry,
    machine_line,
    narrow_row,
    record_lines,
    seconds,
    sequence_row,
)
from tcrp.cli.what_if import Opened, run_with_fates, save
from tcrp.engine.text import shown
from tcrp.sim.scenario.model import DROP, DUPLICATE, SetFate
from tcrp.spec.durations import parse_duration, write_duration
from tcrp.spec.names import Machine
from tcrp.trace.causes import chain_of_causes
from tcrp.trace.lines import TraceError
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record
from tcrp.view.index import DROPS, FAULTS, NETWORK, REFUSALS, SERVER, MachineId, Pattern, holding, steps_of

WIDTH_LEAST, HEIGHT_LEAST = 30, 10
NAMES_SHOWN_MAX = 8
LIFELINES_FROM = 60
"""Narrower screens show sentences instead of lifelines."""
ALL_MACHINES_FROM, ALL_MACHINES_CELLS = 120, 44
CAUSES_MAX = 20
DONE = {DROP: "dropped", DUPLICATE: "duplicated"}


class Pane(Static):
    """A part of the screen. Clicks and the wheel are the app's affair."""

    def on_click(self, event: events.Click) -> None:
        assert isinstance(self.app, StepApp), "there is no other app"
        self.app.clicked(self.id or "", event.y)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        assert isinstance(self.app, StepApp), "there is no other app"
        self.app.action_next_record()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        assert isinstance(self.app, StepApp), "there is no other app"
        self.app.action_previous_record()


def _moves(key: str, action: str) -> Binding:
    return Binding(key, action, show=False)


class StepApp(App[None]):
    """Shows one record of a trace, and what was before it."""

    TITLE = "chat-sim step"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = ""  # the prompt is focused when something is asked
    CSS = """
    Screen { layers: base; }
    #title { height: 1; background: $primary-background; }
    #keys { height: 1; background: $primary-background; }
    #message { height: 1; }
    #prompt { height: 1; border: none; padding: 0; display: none; }
    #middle { height: 1fr; }
    #sequence { width: 1fr; height: 100%; }
    #all { width: 44; height: 100%; border-left: solid $primary-background; display: none; }
    """
    BINDINGS = [  # noqa: RUF012 (textual's own form)
        _moves("right,down,space,l,j", "next_record"),
        _moves("left,up,h,k", "previous_record"),
        _moves("pagedown", "page(1)"),
        _moves("pageup", "page(-1)"),
        _moves("home", "go(1)"),
        _moves("end", "go(0)"),
        _moves("s", "step_of_actor(1)"),
        _moves("S", "step_of_actor(-1)"),
        _moves("a", "ask('actor')"),
        _moves("d", "find('drop', 1)"),
        _moves("D", "find('drop', -1)"),
        _moves("r", "find('refusal', 1)"),
        _moves("R", "find('refusal', -1)"),
        _moves("f", "find('fault', 1)"),
        _moves("F", "find('fault', -1)"),
        _moves("v", "violation(1)"),
        _moves("V", "violation(-1)"),
        _moves("t", "ask('time')"),
        _moves("g", "ask('record')"),
        _moves("c", "cause"),
        _moves("b", "where_i_was"),
        _moves("slash", "ask('search')"),
        _moves("n", "again(1)"),
        _moves("N", "again(-1)"),
        _moves("u", "ask('user')"),
        _moves("o", "ask('room')"),
        _moves("escape", "clear"),
        _moves("x", "fate('drop')"),
        _moves("y", "fate('duplicate')"),
        _moves("z", "ask('delay')"),
        _moves("backspace", "undo"),
        _moves("w", "ask('file')"),
        _moves("question_mark", "help"),
        _moves("q", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, opened: Opened, start: int = 1) -> None:
        super().__init__()
        self.opened = opened
        self.n = min(max(start, 1), len(opened.index))
        self.user = self.room = self.actor = self.searched = ""
        self._filter: list[Pattern] = []
        self._search: Pattern | None = None
        self._was_at: list[int] = []
        self._focus = Focus()
        self._rows: list[int] = []
        self._lines: list[int] = []
        self._asking = ""
        self._message = ""
        self._is_running = False

    # --- the screen ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Pane(id="title")
        yield Pane(id="machines")
        with Horizontal(id="middle"):
            yield Pane(id="sequence")
            yield Pane(id="all")
        yield Pane(id="record")
        yield Pane(id="message")
        yield Input(id="prompt", compact=True)
        yield Pane(id="keys")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def _pane(self, id: str) -> Static:
        return self.screen_stack[0].query_one(f"#{id}", Static)

    def draw(self) -> None:
        """Show the present record."""
        width, height = self.size
        is_small = width < WIDTH_LEAST or height < HEIGHT_LEAST
        for id in ("machines", "middle", "record", "message", "keys"):
            self.screen_stack[0].query_one(f"#{id}").display = not is_small
        if is_small:
            self._pane("title").update(f"at least {WIDTH_LEAST}x{HEIGHT_LEAST}")
            return
        try:
            self._draw(width, height)
        except TraceError as error:
            self._message = shown(str(error))
        self._pane("title").update(self._title(width))
        message = self._message or ("running …" if self._is_running else "")
        self._pane("message").update(Text(message, "bold yellow", no_wrap=True))
        self._pane("message").display = not self._asking
        self._pane("keys").update(Text(KEYS if width >= len(KEYS) else NARROW_KEYS, no_wrap=True))

    def _draw(self, width: int, height: int) -> None:
        record = self._record(self.n)
        machines = self._machine_lines(record, width) if height >= 16 else []
        self._put("machines", machines, len(machines))
        record_height = min(max(height // 3, 5), 14)
        shows_all = width >= ALL_MACHINES_FROM
        sequence_width = width - (ALL_MACHINES_CELLS if shows_all else 0)
        sequence_height = height - 3 - len(machines) - record_height
        self._pane("sequence").update(Text("\n").join(self._sequence(sequence_width, sequence_height)))
        self._pane("all").display = shows_all
        if shows_all:
            entries = [machine_entry(each, ALL_MACHINES_CELLS - 2)
                       for each in self.opened.index.machines_at(self.n, sequence_height - 1)]  # fmt: skip
            self._pane("all").update(Text("\n").join([Text("machines, latest first", "bold"), *entries]))
        chain = [self._record(n) for n in chain_of_causes(self.n, lambda n: self._record(n).cause, CAUSES_MAX)[:-1]]
        lines = record_lines(record, chain, width)[: record_height - 1]
        rule = Text("─" * width, "dim", no_wrap=True)
        self._lines = [0, *(n for _, n in lines)]
        self._put("record", [rule, *(text for text, _ in lines)], record_height)

    def _put(self, id: str, lines: Sequence[Text], height: int) -> None:
        pane = self._pane(id)
        pane.styles.height = height
        pane.update(Text("\n").join(lines))

    def _record(self, n: int) -> Record:
        """Record `n`; in place of one that cannot be read, a fault that says so."""
        try:
            return self.opened.index.record(n)
        except TraceError as error:
            what = f"line {error.line} cannot be read:"
            return FaultRecord(actor=NETWORK, cause=0, n=n, t_us=0, what=what, why=shown(error.what))

    def _title(self, width: int) -> Text:
        opened = self.opened
        record = self._record(self.n)
        name = Path(opened.index.path).name
        parts = [name, f"#{self.n} of {len(opened.index)}", f"{seconds(record.t_us)} s"]
        only = [each for each in (self.user, self.room) if each]
        parts += [f"only {' in '.join(only)}"] if only else []
        parts += [f"what if: {len(opened.fates)}"] if opened.fates else []
        if opened.verdict is not None:
            parts.append("claim holds" if opened.verdict.holds else "claim does not hold")
        if opened.index.is_cut_off:
            parts.append("its end is cut off")
        return Text(shown(" · ".join(parts))[:width], "bold", no_wrap=True)

    def _sequence(self, width: int, height: int) -> list[Text]:
        index = self.opened.index
        before = islice(index.backwards(self.n - 1, self._filter), max(height - 2, 0))
        self._rows = [*reversed(list(before)), self.n]
        records = [self._record(n) for n in self._rows]
        if width < LIFELINES_FROM:
            rows = [narrow_row(each, width, is_current=each.n == self.n) for each in records]
            self._rows = [0, *self._rows]
            return [Text("time     what happened", "bold", no_wrap=True), *rows]
        lifelines = lifelines_for(records, list(index.header.cast), width, self.user)
        self._rows = [0, *self._rows]
        rows = [sequence_row(each, lifelines, width, is_current=each.n == self.n) for each in records]
        return [heading(lifelines, width), *rows]

    # --- the machines ----------------------------------------------------------------------------

    def _machine_lines(self, record: Record, width: int) -> list[Text]:
        index, n = self.opened.index, self.n
        user, room = self._focus.of(index, record, self.user, self.room)
        member = index.header.cast.get(user)
        name = member.name if member is not None else user
        lines = []
        for machine, id in ((Machine.SESSION, f"{name}@{room}"), (Machine.ROOM, room), (Machine.HANDSHAKE, user)):
            known = machine is Machine.HANDSHAKE or bool(room)
            has_own = known and user and machine is not Machine.ROOM  # rooms are the server's
            own = index.state_of(MachineId(user, machine, id), n) if has_own else None
            server = index.state_of(MachineId(SERVER, machine, id), n) if known else None
            is_named = known and (user in index.header.cast or server or own)  # an address has no session
            lines.append(machine_line(str(machine), machine, id if is_named else "", server or own, width))
            if machine is Machine.SESSION:
                view = own if own is not None and server is not None else None
                lines.append(machine_line("  as seen by", machine, user if is_named else "", view, width))
        return lines

    # --- going somewhere -------------------------------------------------------------------------

    def go(self, n: int | None, otherwise: str = "", *, remembers: bool = True) -> None:
        """Show record `n`; if there is none, say `otherwise`."""
        self._message = ""
        if n is None:
            self._message = otherwise
        else:
            if remembers and n != self.n:
                self._was_at.append(self.n)
            self.n = n
        self.draw()

    def _say(self, message: str) -> None:
        self._message = shown(message)
        self.draw()

    def _look(self, patterns: Sequence[Pattern], way: int, what: str) -> None:
        where = [*patterns, *self._filter]
        index = self.opened.index
        found = index.after(self.n, where) if way > 0 else index.before(self.n, where)
        self.go(found, f"no {what} {'after' if way > 0 else 'before'} this", remembers=what != "record")

    def action_next_record(self) -> None:
        self._look([], 1, "record")

    def action_previous_record(self) -> None:
        self._look([], -1, "record")

    def action_page(self, way: int) -> None:
        index, n = self.opened.index, self.n
        for _ in range(max(len(self._rows) - 2, 1)):
            found = index.after(n, self._filter) if way > 0 else index.before(n, self._filter)
            n = found or n
        self.go(n)

    def action_go(self, n: int) -> None:
        self.go(n or len(self.opened.index))

    def action_step_of_actor(self, way: int) -> None:
        actor = self.actor or self._record(self.n).actor
        self._look([steps_of(actor)], way, f"step of {actor}")

    def action_find(self, what: str, way: int) -> None:
        self._look([{"drop": DROPS, "refusal": REFUSALS, "fault": FAULTS}[what]], way, what)

    def action_violation(self, way: int) -> None:
        if self.opened.verdict is None:
            self.go(None, "a trace does not say what was expected: open the scenario to see violations")
            return
        places, words = self.opened.violations, self.opened.misses
        found = [n for n in sorted(places) if (n - self.n) * way > 0]
        if found:
            self.go(n := found[0 if way > 0 else -1])
            self._say(places[n])
        elif not places and words:
            self._say(words[0])
        else:
            self._say(f"no violation {'after' if way > 0 else 'before'} this")

    def action_cause(self) -> None:
        cause = self._record(self.n).cause
        self.go(cause or None, "nothing in the trace has led to this record")

    def action_where_i_was(self) -> None:
        self.go(self._was_at.pop() if self._was_at else None, "you were nowhere else", remembers=False)

    def action_again(self, way: int) -> None:
        if self._search is None:
            self.go(None, "nothing was searched for: / searches")
        else:
            self._look([self._search], way, f"'{self.searched}'")

    def action_clear(self) -> None:
        self.user = self.room = self.actor = self.searched = ""
        self._filter, self._search = [], None
        self.go(self.n)

    def action_help(self) -> None:
        self.push_screen(Help())

    def clicked(self, pane: str, y: int) -> None:
        """Go to what stands in a row."""
        numbers = {"sequence": self._rows, "record": self._lines}.get(pane, [])
        if 0 <= y < len(numbers) and numbers[y]:
            self.go(numbers[y])

    # --- asking ----------------------------------------------------------------------------------

    def action_ask(self, what: str) -> None:
        """Open the prompt."""
        if what in ("delay", "file") and not self._may_change(wants_packet=what == "delay"):
            return
        if what == "file" and not self.opened.fates:
            self.go(None, "nothing was changed: x, y and z change the fate of a packet")
            return
        self._asking = what
        prompt = self.query_one("#prompt", Input)
        prompt.placeholder = {
            "actor": "step of which actor? (server, or a user)", "time": "time, such as 2.5s",
            "record": "number of a record",
            "search": "search for", "user": "only which user?", "room": "only which room?",
            "delay": "how much later, such as 300ms", "file": "file for the scenario",
        }[what]  # fmt: skip
        name = Path(self.opened.index.path)
        prompt.value = f"{name.stem}-what-if.yaml" if what == "file" else ""
        prompt.cursor_position = len(prompt.value)
        prompt.display = True
        prompt.focus()
        self.draw()

    def on_key(self, event: events.Key) -> None:
        if self._asking and event.key == "escape":
            event.stop()
            event.prevent_default()
            self._close_prompt()
            self.draw()

    def _close_prompt(self) -> None:
        self._asking = ""
        self.query_one("#prompt", Input).display = False
        self.set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was asked for is there."""
        what, value = self._asking, event.value.strip()
        self._close_prompt()
        if not value:
            self.go(None)
            return
        answers: dict[str, Callable[[str], None]] = {
            "actor": self._answer_actor, "time": self._answer_time, "record": self._answer_record,
            "search": self._answer_search, "user": self._answer_user, "room": self._answer_room,
            "delay": self._answer_delay, "file": self._answer_file,
        }  # fmt: skip
        answers[what](value)

    def _answer_actor(self, value: str) -> None:
        self.actor = value
        self.action_step_of_actor(1)

    def _answer_time(self, value: str) -> None:
        try:
            t_us = parse_duration(value if value[-1:].isalpha() else f"{value}s")
        except ValueError as error:
            self.go(None, shown(str(error)))
        else:
            index = self.opened.index
            n = index.at_time(t_us)
            self.go(index.after(n - 1, self._filter), "nothing that is shown happens after this")

    def _answer_record(self, value: str) -> None:
        digits = value.lstrip("#")
        last = len(self.opened.index)
        n = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
        self.go(n if 1 <= n <= last else None, f"there are records 1 to {last}")

    def _answer_search(self, value: str) -> None:
        self.searched, self._search = value, holding(value)
        self.action_again(1)

    def _answer_user(self, value: str) -> None:
        index = self.opened.index
        if index.after(0, [pattern := index.about_user(value)]) is None:
            self.go(None, f"nothing is about a user {value}{_known(index.header.cast)}")
            return
        self.user = value
        self._narrow(pattern)

    def _answer_room(self, value: str) -> None:
        index = self.opened.index
        if index.after(0, [index.room_itself(value)]) is None:
            self.go(None, f"nothing is about a room {value}")
            return
        self.room = value
        self._narrow(index.about_room(value))

    def _narrow(self, _pattern: Pattern) -> None:
        index = self.opened.index
        self._filter = [index.about_user(self.user)] if self.user else []
        self._filter += [index.about_room(self.room)] if self.room else []
        if not index.matches(self.n, self._filter):
            found = index.after(self.n, self._filter) or index.before(self.n, self._filter)
            self.go(found, "no record is about both")
            return
        self.go(self.n)

    # --- what if ---------------------------------------------------------------------------------

    def _may_change(self, *, wants_packet: bool) -> bool:
        if self.opened.scenario is None:
            self.go(None, "what-if runs a scenario again: open the scenario, not its trace")
        elif self._is_running:
            self.go(None, "it still runs")
        elif wants_packet and self._packet() is None:
            self.go(None, "select a packet first: a row with an arrow")
        else:
            return True
        return False

    def _packet(self) -> PacketRecord | None:
        """The selected packet, as it was sent."""
        record = self._record(self.n)
        if isinstance(record, PacketRecord) and record.kind is not Kind.SEND and record.actor == NETWORK:
            record = self._record(record.cause) if record.cause else record
        if isinstance(record, PacketRecord) and record.kind is Kind.ARRIVE and record.cause:
            record = self._record(record.cause)
        return record if isinstance(record, PacketRecord) and record.kind is Kind.SEND else None

    def action_fate(self, fate: str) -> None:
        if self._may_change(wants_packet=True):
            self._change(SetFate(self._sent().packet, DROP if fate == "drop" else DUPLICATE))

    def _sent(self) -> PacketRecord:
        packet = self._packet()
        assert packet is not None, "it was asked whether there is one"
        return packet

    def _answer_delay(self, value: str) -> None:
        try:
            delay_us = parse_duration(value)
        except ValueError as error:
            self.go(None, shown(str(error)))
            return
        self._change(SetFate(self._sent().packet, delay_us=delay_us))

    def _change(self, fate: SetFate) -> None:
        kept = tuple(each for each in self.opened.fates if each.packet != fate.packet)
        what = self._sent().what
        done = f"{write_duration(fate.delay_us)} later" if fate.delay_us is not None else DONE[fate.fate or DROP]
        self._run((*kept, fate), self._sent().n, f"{what} {done}: w writes this as a scenario, Backspace undoes it")

    def action_undo(self) -> None:
        if not self.opened.fates:
            self.go(None, "nothing was changed")
        elif self._may_change(wants_packet=False):
            self._run(self.opened.fates[:-1], self.n, "undone")

    def _run(self, fates: tuple[SetFate, ...], n: int, message: str) -> None:
        self._is_running, self._message = True, ""
        self.draw()
        self._run_again(fates, n, message)

    @work(thread=True)
    def _run_again(self, fates: tuple[SetFate, ...], n: int, message: str) -> None:
        assert self.opened.scenario is not None, "it was asked whether there is one"
        try:
            opened: Opened | str = run_with_fates(self.opened.scenario, self.opened.seed, fates)
        except (OurFault, UsageError) as fault:
            opened = str(fault).partition("\n")[0]
        self.call_from_thread(self._has_run, opened, n, message)

    def _has_run(self, opened: Opened | str, n: int, message: str) -> None:
        self._is_running = False
        if isinstance(opened, str):
            self.go(None, opened)
            return
        self.opened = opened
        self._was_at.clear()
        self.n = min(n, len(opened.index))
        self._message = message
        self.draw()

    def _answer_file(self, value: str) -> None:
        try:
            save(self.opened, Path(value))
        except FileExistsError:
            self.go(None, f"{value} exists: choose another name")
        except OSError as error:
            self.go(None, f"{value}: cannot be written: {error.strerror}")
        else:
            self.go(None, f"written to {value}")


def _known(ids: Iterable[str]) -> str:
    names = list(islice(ids, NAMES_SHOWN_MAX))
    return f"; there are {', '.join(names)}" if names else ""
