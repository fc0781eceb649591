"""The tables of the protocol's document as rows of words, and Markdown made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from tcrp.spec.dialects import (
    NAMES,
    STATUS,
    Dialect,
    RelayForm,
    Reply,
    ReplyForm,
    RequestForm,
    dialect,
)
from tcrp.spec.names import Notice, Reason
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
    rows = [["dialect", "request", "frames", "room in replies", "answer", "completion", "relay", "port learned from"]]
    for name in NAMES:
        each = dialect(name)
        fixed = ", then fixed" if each.port_fixed else ", then follows"
        rows.append(
            [
                f"`{name}`",
                _request(each),
                str(each.frames),
                each.room.replace("-", " "),
                "–" if each.frames == 1 else _reply(each.answer),
                _reply(each.created)
                if each.created == each.joined
                else f"{_reply(each.created)} or {_reply(each.joined)}",
                _relay(each.relay),
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
        refusal = each.refusals[Reason.NO_SUCH_ROOM]
        odd = each.refusals[Reason.BAD_REQUEST]
        said = f"state {refusal.state}: {_reply(refusal.reply, refusal.status)}"
        if odd.state != refusal.state:
            said += f"; bad_request: state {odd.state}, {_reply(odd.reply)}"
        if refusal.completion is not None:
            said += f", then state 2: {_reply(refusal.completion)}"
        rows.append([f"`{name}`", enter, leave, said])
    return rows


def notice_rows() -> list[list[str]]:
    """Every dialect's sentences."""
    rows = [["notice", *(f"`{name}`" for name in NAMES)]]
    for notice in Notice:
        sentences = [dialect(name).notices.get(notice) for name in NAMES]
        rows.append([str(notice), *("–" if each is None else _code(each) for each in sentences)])
    hosts = [dialect(name).host_quit for name in NAMES]
    rows.append(["to a host who leaves", *("–" if each is None else _code(each) for each in hosts)])
    endings = [dialect(name).endings for name in NAMES]
    said = (f"{each.match}: " + ", ".join(map(_code, each.phrases)) if each.phrases else "–" for each in endings)
    rows.append(["other clients are also ended by", *said])
    return rows


def status_rows() -> list[list[str]]:
    """The status byte and the words of refusals, in the order in which reasons are tested."""
    rows = [["reason", "status byte"]]
    return rows + [[f"`{reason}`", str(STATUS[reason])] for reason in Reason]


def _code(text: str) -> str:
    return "<br>".join(f"`{line}`" for line in text.split("\n"))


def _request(each: Dialect) -> str:
    match each.request_form:
        case RequestForm.NAME:
            return "user name"
        case RequestForm.NAME_PORT:
            return "user name, port(2)"
        case RequestForm.JSON if isinstance(each.request_json, str):
            return "the user name as a JSON string"
        case RequestForm.JSON:
            return _code(_json(each.request_json))


def _reply(reply: Reply, status: int | None = None) -> str:
    match reply.form:
        case ReplyForm.BYTE:
            return "status byte" if status is None else f"status byte {status}"
        case ReplyForm.WORD:
            return f"word `{reply.word}`"
        case ReplyForm.TOKEN:
            return "token"
        case ReplyForm.JSON:
            return _code(_json(reply.json, {} if status is None else {"status": status}))


def _relay(form: RelayForm) -> str:
    prefix = f"`{form.prefix.hex(' ')}` " if form.prefix else ""
    if form.json is not None:
        return prefix + _code(_json(form.json))
    if form.length_byte:
        return f"{prefix}length byte, `{form.head}`, text"
    return f"{prefix}`{form.head}{{text}}`"


def _json(template: Any, values: Mapping[str, int] = MappingProxyType({})) -> str:
    """A template as JSON with its roles bare, or filled in from `values`: `{"port": port}`."""
    match template:
        case str() if template.startswith("{") and template.endswith("}") and template.count("{") == 1:
            return str(values.get(template[1:-1], template[1:-1]))
        case str():
            return f'"{template}"'
        case Mapping():
            return "{" + ", ".join(f'"{key}": {_json(value, values)}' for key, value in template.items()) + "}"
        case list():
            return "[" + ", ".join(_json(value, values) for value in template) + "]"
        case _:
            return str(template)
