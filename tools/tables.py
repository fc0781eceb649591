"""The tables of the protocol's document as rows of words, and Markdown made of them."""

from __future__ import annotations

from collections.abc import Iterable

from tcrp.spec.dialects import NAMES, STATUS, Refusal, Telling, dialect
from tcrp.spec.field_words import lines_in_code, payload_in_words, room_in_words
from tcrp.spec.fields import Message, Number, Role, roles_of
from tcrp.spec.names import Notice, Operation, Reason
from tcrp.spec.render import AnyTable


def grid(table: AnyTable) -> list[list[str]]:
    """The table as rows of words: states down, events across, where each leads; `·` refuses, `=` stays."""
    head = ["", *(str(event) for event in table.events)]
    rows = []
    for state in table.states:
        cells = [table.rows.get((state, event)) for event in table.events]
        rows.append([str(state), *("·" if row is None else "=" if row.to is state else str(row.to) for row in cells)])
    return [head, *rows]


def markdown_table(rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    columns = lines[0].count(" | ") + 1
    return "\n".join([lines[0], "|" + " --- |" * columns, *lines[1:]])


def transitions(table: AnyTable) -> list[list[str]]:
    """Every row of the table with its rule, as a Markdown table's rows."""
    rows = [["from", "event", "to", "rule"]]
    for (state, event), row in table.rows.items():
        rows.append([f"`{state}`", f"`{event}`", f"`{row.to}`", str(row.rule)])
    return rows


def dialect_rows() -> list[list[str]]:
    """What each dialect's bytes look like."""
    rows = [["dialect", "request", "room in replies", "answer", "completion", "relay", "port learned from"]]
    for name in NAMES:
        each = dialect(name)
        fixed = ", then fixed" if each.port_fixed else ", then follows"
        created, joined = (payload_in_words(each.completion[what]) for what in (Operation.CREATE, Operation.JOIN))
        rows.append(
            [
                f"`{name}`",
                payload_in_words(each.request[Operation.CREATE]),
                room_in_words(each.completion[Operation.CREATE]),
                "–" if each.answer is None else payload_in_words(each.answer[Operation.CREATE]),
                created if created == joined else f"{created} or {joined}",
                payload_in_words(each.relay),
                ("trailer or datagram" if each.learned_from == "trailer" else str(each.learned_from)) + fixed,
            ]
        )
    return rows


def word_rows() -> list[list[str]]:
    """How each dialect enters, leaves and refuses."""
    rows = [["dialect", "enter word", "leave words", "refusal"]]
    for name in NAMES:
        each = dialect(name)
        enter = f"`{each.enter_word}`" if each.enter_word else "–"
        leave = ", ".join(f"`{word}`" for word in each.leave_words) or "–"
        refusal, odd = each.refusals[Reason.NO_SUCH_ROOM], each.refusals[Reason.BAD_REQUEST]
        said = _refusal(refusal)
        if odd.frame != refusal.frame:
            said += f"; bad_request: {_refusal(odd)}"
        rows.append([f"`{name}`", enter, leave, said])
    return rows


def _refusal(refusal: Refusal) -> str:
    """A refusal, and its word or status for the reason."""
    says = roles_of(refusal.frame)
    said = payload_in_words(refusal.frame)
    if Role.STATUS in says:
        said += f", status {refusal.status}"
    if Role.REASON in says:
        said += f", reason `{refusal.word}`"
    state = _state(refusal.frame)
    then = f", then state {_state(refusal.then)}: {payload_in_words(refusal.then)}" if refusal.then is not None else ""
    return f"state {state}: {said}{then}"


def _state(message: Message) -> int:
    return next(item.values[0] for item in message.items if isinstance(item, Number) and item.label == "state")


def notice_rows() -> list[list[str]]:
    """Every dialect's sentences."""
    rows = [["notice", *(f"`{name}`" for name in NAMES)]]
    for notice in Notice:
        tellings = [dialect(name).notices.get(notice) for name in NAMES]
        rows.append([str(notice), *map(_telling, tellings)])
    rows.append(["to a host who leaves", *(_telling(dialect(name).host_quit) for name in NAMES)])
    endings = [dialect(name).endings for name in NAMES]
    said = (
        f"{each.match}: " + ", ".join(f"`{phrase}`" for phrase in each.phrases) if each.phrases else "–"
        for each in endings
    )
    rows.append(["other clients are also ended by", *said])
    return rows


def _telling(telling: Telling | None) -> str:
    return "–" if telling is None else lines_in_code(telling.sentences[:1])


def status_rows() -> list[list[str]]:
    """The status byte and the words of refusals, in the order in which reasons are tested."""
    rows = [["reason", "status byte"]]
    return rows + [[f"`{reason}`", str(STATUS[reason])] for reason in Reason]
