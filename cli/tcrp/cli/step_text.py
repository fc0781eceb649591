"""What `chat-sim step` shows, as lines of text: the sequence of packets, the machines, a record and what led to it.

Knows widths and signs, not the terminal: each function returns lines of the width that it is given, or less.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tcrp.engine.text import shown
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.sim.scenario.servers import BUCKET
from tcrp.spec.cluster_names import AnyMachine, LeaseState, OwnershipState
from tcrp.spec.names import HandshakeState, Machine, Rule
from tcrp.spec.render import TABLES
from tcrp.spec.rules import sentence_of
from tcrp.trace.records import (
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
)
from tcrp.trace.sentences import sentence
from tcrp.view.index import NETWORK, SERVER, MachineAt
from tcrp.view.picture import FINAL

TIME_CELLS = 11
EXPLANATION_LINES_MAX = 3
LIFELINE_CELLS_LEAST = 14
STATES = {machine: [str(state) for state in table.states] for machine, table in TABLES.items()}
STATES_CELLS = max(sum(len(state) + 2 for state in states) for states in STATES.values())
ID_CELLS_LEAST, ID_CELLS_MOST = 22, 32
LIT, DIM, HEAD, LIFELINE = "bold reverse", "dim", "bold", "bright_black not bold"
STYLES = {
    Kind.STEP: "green", Kind.REFUSE: "yellow", Kind.SEND: "cyan", Kind.ARRIVE: "blue", Kind.DROP: "bold red",
    Kind.TIMER: "dim", Kind.FAULT: "bold magenta", Kind.SHOW: "bold",
}  # fmt: skip


def seconds(t_us: int) -> str:
    """A time as it stands before each row."""
    return f"{t_us // 1_000_000}.{t_us % 1_000_000:06d}"


# --- the sequence ------------------------------------------------------------------------------------


def ends_of(record: Record) -> list[str]:
    """The actors that a record is about."""
    return record.link.split(">") if isinstance(record, PacketRecord) else [record.actor]


def lifelines_for(records: Sequence[Record], users: Sequence[str], width: int, focus: str) -> list[str]:
    """Whose lifelines are drawn, from left to right: of the users, those who take part here; the server between."""
    fits = max((width - TIME_CELLS) // LIFELINE_CELLS_LEAST, 2)
    taking_part: dict[str, int] = {}
    for number, record in enumerate(records):
        taking_part |= {id: number for id in ends_of(record) if id not in (SERVER, NETWORK, "")}
    if focus:
        taking_part[focus] = len(records)
    known = [id for id in users if not focus or id in taking_part]
    known += [id for id in taking_part if id not in users]
    if len(known) >= fits:
        latest = sorted(known, key=lambda id: -taking_part.get(id, -1))[: fits - 1]
        known = [id for id in known if id in latest]
    if BUCKET not in users and any(BUCKET in ends_of(record) for record in records):
        return known  # a cluster: its servers have names
    half = (len(known) + 1) // 2
    return [*known[:half], SERVER, *known[half:]]


def heading(lifelines: Sequence[str], width: int) -> Text:
    """The names above the lifelines."""
    line = [" "] * width
    places = _places(lifelines, width)
    half = min((after - at for at, after in pairwise(places)), default=width) // 2
    for id, at in zip(lifelines, places, strict=True):
        name = shown(id)
        start = max(at - min(cell_len(name) // 2, half), TIME_CELLS)
        _put(line, start, name, min(at + half - 1, width))  # a blank parts it from the next
    return Text("".join(line).rstrip(), HEAD, no_wrap=True)


def sequence_row(record: Record, lifelines: Sequence[str], width: int, *, is_current: bool) -> Text:
    """One record as a row between the lifelines."""
    places = dict(zip(lifelines, _places(lifelines, width), strict=True))
    line = [" "] * width
    for at in places.values():
        line[at] = "│"
    match record:
        case PacketRecord() if record.actor == NETWORK or record.kind is not Kind.DROP:
            _put_arrow(line, record, places)
        case FaultRecord():
            _put(line, TIME_CELLS, f"! {record.what} {record.why}", width)
        case _:
            _put_label(line, _label(record), places.get(record.actor, TIME_CELLS), width)
    time = seconds(record.t_us).rjust(TIME_CELLS - 1)
    if is_current:
        time = f"▶{time.removeprefix(' ')}"  # also where a terminal shows no attributes
    time = time[: TIME_CELLS - 1]
    text = Text(f"{time} {''.join(line[TIME_CELLS:])}".rstrip(), no_wrap=True)
    if is_current:
        text.append(" " * max(width - text.cell_len, 0))
        text.stylize("bold reverse")
        return text
    text.stylize(DIM, 0, TIME_CELLS)
    text.stylize(STYLES[record.kind], TIME_CELLS)
    for at, letter in enumerate(text.plain):
        if letter == "│":
            text.stylize(LIFELINE, at, at + 1)
    return text


def _places(lifelines: Sequence[str], width: int) -> list[int]:
    if len(lifelines) == 1:  # of a server's own trace: what it does needs the room
        return [TIME_CELLS + 2]
    each = max((width - TIME_CELLS) // max(len(lifelines), 1), 1)
    return [min(TIME_CELLS + each * number + each // 2, width - 1) for number in range(len(lifelines))]


def _put(line: list[str], at: int, words: str, stop: int) -> None:
    """Write into the cells from `at`; what does not fit before `stop` is cut."""
    words = shown(words)
    room = stop - at
    if room <= 0:
        return
    if cell_len(words) > room:
        words = set_cell_size(words, room - 1) + "…"
    for letter in words:
        size = cell_len(letter)
        if size == 0 and at:
            line[at - 1] += letter
            continue
        line[at] = letter
        if size == 2:
            line[at + 1] = ""
        at += size


def _put_arrow(line: list[str], record: PacketRecord, places: dict[str, int]) -> None:
    source, _, target = record.link.partition(">")
    start, end = places.get(source), places.get(target)
    if start is None or end is None:
        _put(line, TIME_CELLS, f"{record.kind} {record.what} {record.link}{_why(record.why)}", len(line))
        return
    is_right = end > start
    low, high = (start + 1, end) if is_right else (end + 1, start)
    stroke = "─" if record.kind is Kind.SEND else "┄"
    for at in range(low, high):
        line[at] = stroke
    head = {Kind.SEND: "▷" if is_right else "◁", Kind.DROP: "✗"}.get(record.kind, "▶" if is_right else "◀")
    line[high - 1 if is_right else low] = head
    words = f" {record.what}{_why(record.why)} "
    room = high - low - 3
    if cell_len(words) > room:
        words = f" {record.what} "
    at = low + max((high - low - cell_len(words)) // 2, 1)
    _put(line, at, words, high - 1)


def _put_label(line: list[str], label: str, at: int, width: int) -> None:
    """Words at a lifeline: on its right, or on its left where they do not fit."""
    if at + 1 + cell_len(label) <= width or at < width // 2:
        _put(line, at, label, width)
    else:
        _put(line, max(at - cell_len(label) + 1, TIME_CELLS), label, width)


def _label(record: Record) -> str:
    match record:
        case StepRecord():
            change = record.to if record.from_ == record.to else f"{record.from_} → {record.to}"
            what = f"{record.machine}"
            if record.actor == SERVER:
                what = record.id if record.machine is Machine.SESSION else f"{record.machine} {record.id}"
            return f"● {what} {change} ({record.event}{_why(record.why)})"
        case RefusalRecord():
            return f"× refuses {record.event}{_why(record.why)}"
        case ShowRecord():
            return f"◂ {record.name}: {record.text}" if record.text else f"◂ {record.what} {record.name}".rstrip()
        case TimerRecord():
            return f"○ {record.what} deadline"
        case PacketRecord():
            return f"✗ drops {record.what}{_why(record.why)}"
        case _:
            return ""


def _why(why: str) -> str:
    return f": {why}" if why else ""


def narrow_row(record: Record, width: int, *, is_current: bool) -> Text:
    """One record as a sentence, where there is no room for lifelines."""
    words = set_cell_size(shown(f"{seconds(record.t_us)} {sentence(record)}"), width)
    return Text(words, "reverse" if is_current else STYLES[record.kind], no_wrap=True)


# --- the machines ------------------------------------------------------------------------------------


def machine_line(label: str, machine: Machine, id: str, at: MachineAt | None, width: int) -> Text:
    """A machine with all its states, the present one lit: in brackets too, for terminals without attributes."""
    states = STATES[machine]
    size = max(min(width - STATES_CELLS, ID_CELLS_MOST), ID_CELLS_LEAST)
    text = Text(set_cell_size(shown(f"{label} {id}".rstrip()), size), no_wrap=True)
    text.stylize(HEAD, 0, len(label))
    if size + STATES_CELLS > width:
        return text.append(f"[{at.state}]" if at is not None else "-", LIT if at is not None else DIM)
    for state in states:
        if at is not None and at.state == state:
            text.append(f"[{state}]", f"{LIT} {_colour(machine, state)}")
        else:
            text.append(f" {state} ", DIM)
    return text


def machine_entry(at: MachineAt, width: int) -> Text:
    """One of all machines, beside the sequence."""
    text = Text(set_cell_size(shown(f"{at.actor} {at.machine} {at.id}"), max(width - 13, 1)), no_wrap=True)
    return text.append(f" {at.state}", _colour(at.machine, at.state))


def _colour(machine: AnyMachine, state: str) -> str:
    if state in (HandshakeState.REFUSED, HandshakeState.ABANDONED, LeaseState.LOST, OwnershipState.ORPHANED):
        return "red"
    return "blue" if state in FINAL[machine] else "green"


# --- a record ----------------------------------------------------------------------------------------


def record_lines(record: Record, chain: Sequence[Record], width: int) -> list[tuple[Text, int]]:
    """A record and why it happened, with the number of the record that each line is about (0: none)."""
    lines = [(Text(set_cell_size(shown(f"#{record.n}  {sentence(record)}"), width), HEAD, no_wrap=True), record.n)]
    if isinstance(record, PacketRecord) and record.packet:
        lines.append((Text(set_cell_size(shown(f"packet {record.packet}"), width), DIM, no_wrap=True), 0))
    lines += [(line, 0) for line in _explanation(record, width)]
    if chain:
        lines.append((Text("because", DIM), 0))
    for each in reversed(chain):
        words = f"  #{each.n}  {seconds(each.t_us)}  {sentence(each)}"
        lines.append((Text(set_cell_size(shown(words), width), STYLES[each.kind], no_wrap=True), each.n))
    return lines


def _explanation(record: Record, width: int) -> list[Text]:
    """Why something was refused or dropped, and what the rule says."""
    rule: Rule | None = getattr(record, "rule", None)
    words = ""
    if isinstance(record, PacketRecord) and record.kind is Kind.DROP:
        words = DROP_REASONS.get(record.why, record.why)
    elif isinstance(record, RefusalRecord):
        words = f"{record.event} is not possible while {record.from_}: {record.why}"
    text = Text(words, "yellow")
    if rule is not None:
        text.append(f"{' ' if words else ''}{rule}: {sentence_of(rule)}", "" if words else DIM)
    if not text.plain:
        return []
    if not words:  # of a step the rule is named, and begun
        text.truncate(width, overflow="ellipsis")
        return [text]
    lines = list(text.wrap(Console(width=width), width))
    if len(lines) > EXPLANATION_LINES_MAX:
        last = lines[EXPLANATION_LINES_MAX - 1]
        last.rstrip()
        last.truncate(width - 1)
        last.append("…")
    return lines[:EXPLANATION_LINES_MAX]
