"""`chat-sim dialect`: check a dialect's file, show its messages, begin a new one, compare two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tcrp.cli.dialects import dialect_named, toml_of
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, UsageError, complain
from tcrp.engine.codec import Codec
from tcrp.engine.notices import write_notice
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.engine.self_check import HOST, IP, NAME, OPERATIONS, PASSWORD, PORT, ROOM, TOKEN
from tcrp.engine.text import user_name_fault
from tcrp.spec.field_words import json_in_words, number_says
from tcrp.spec.fields import Constant, Encoding, Filler, Group, Item, Json, Message, Number, Order, Text, word_for
from tcrp.spec.names import Notice, Operation, Reason
from tcrp.trace.plural import counted

PROGRAM = "chat-sim"
WIDTH = 78
PRINTS_AS_TEXT = 0x6361
"""A port whose two bytes are letters."""
TRIED_PORTS = (PORT, PRINTS_AS_TEXT)


def check(files: Sequence[str]) -> int:
    result = HOLDS
    for file in files:
        try:
            speaks = dialect_named(file)
        except UsageError as error:
            complain(PROGRAM, str(error))
            result = CANNOT
        else:
            data = speaks.dialect
            print(f"{file}: ok ({data.name}: port from {data.learned_from}, {counted(len(data.notices), 'notice')})")
    return result


def new(like: str, name: str) -> int:
    toml = toml_of(like)
    head, _, body = toml.partition("\nformat = ")
    old = next(line for line in body.splitlines() if line.startswith("name = "))
    if not name.replace("-", "").isalnum():
        raise UsageError(f"--name {name!r}: letters, digits and - are expected")
    print(f"# Begun from {like}: {head.lstrip('# ')}")
    print("# docs/dialect-format.md lists each key. Then: chat-sim dialect check FILE, chat-sim dialect show FILE")
    print("format = " + body.replace(old, f'name = "{name}"', 1), end="")
    return HOLDS


# --- show ---------------------------------------------------------------------------------------------


def show(name: str) -> int:
    speaks = dialect_named(name)
    data = speaks.dialect
    print(f"{data.name}: {data.sentence}")
    for title, message, example in _messages(speaks):
        print(f"\n{title}")
        for line in layout(message):
            print(f"  {line}")
        if example:
            print(f"  {in_short(example)}")
    print(f"\nUDP port: learned from the {data.learned_from}{', then fixed' if data.port_fixed else ''}; "
          f"relays come from {data.relay_from}")  # fmt: skip
    print(f"words: enter {data.enter_word!r}, leave {', '.join(map(repr, data.leave_words)) or 'by silence'}")
    for notice in Notice:
        if notice in data.notices:
            telling = data.notices[notice]
            said = [sentence or in_short(_constants(telling.form)) for sentence in telling.sentences]
            print(f"{notice}: {' | '.join(said)}".replace("\n", "\\n"))
    return HOLDS


def _messages(speaks: Codec) -> Iterator[tuple[str, Message, bytes]]:
    """Every kind of message: what it is, its fields, an example."""
    data = speaks.dialect
    if data.greeting is not None:
        yield "greeting: the server, before anything else (TCP)", data.greeting, speaks.write_greeting()
    for what, operations in _by_form(data.request):
        example = speaks.write_request(operations[0], ROOM, NAME, PASSWORD, IP, PORT)
        yield f"request: a client asks to {what} (TCP)", data.request[operations[0]], example
    for what, operations in _by_form(data.answer or {}):
        pause = f"; the completion follows after {data.pause_us // 1000} ms" if data.pause_us else ""
        example = speaks.write_answer(operations[0], ROOM, NAME)
        yield f"answer: the server accepts, to {what} (TCP){pause}", (data.answer or {})[operations[0]], example
    for what, operations in _by_form(data.completion):
        example = speaks.write_completion(operations[0], ROOM, NAME, TOKEN, host=HOST, members=2)
        yield f"completion: the server hands over the token, to {what} (TCP)", data.completion[operations[0]], example
    seen: list[Message] = []
    for reason in Reason:
        refusal = data.refusals[reason]
        if refusal.frame not in seen:
            seen.append(refusal.frame)
            examples = speaks.write_refusal(data.operations[Operation.JOIN], ROOM, reason)
            yield f"refusal, here for {reason} (TCP)", refusal.frame, examples[0]
            if refusal.then is not None:
                yield "and behind it", refusal.then, examples[1]
    if data.list_request is not None and data.list_reply is not None:
        yield "list: a client asks for the open rooms (TCP)", data.list_request, speaks.write_list_request()
        yield "list: the server names them (TCP)", data.list_reply, speaks.write_listing([ROOM, b"room2"])
    yield "datagram: a client says a text (UDP)", data.datagram, speaks.datagram.write(ROOM, TOKEN, NAME, "hello")
    yield "relay: the server hands it on (UDP)", data.relay, speaks.write_relay(NAME, "hello", ROOM, TOKEN) or b""
    forms: list[Message] = []
    for notice, telling in data.notices.items():
        if telling.form not in forms:
            forms.append(telling.form)
            told = write_notice(speaks, notice, name=NAME, room=ROOM.decode(), host=HOST, token=TOKEN)
            yield f"notice, here {notice} (UDP)", telling.form, told or b""


def _by_form(messages: Any) -> Iterator[tuple[str, list[Operation]]]:
    if not messages:
        return
    if messages[Operation.CREATE] == messages[Operation.JOIN]:
        yield "create or join", [Operation.CREATE]
    else:
        for operation in OPERATIONS:
            yield str(operation), [operation]


def layout(message: Message) -> Iterator[str]:
    """A message as boxes: fields above, their sizes in bytes below."""
    cells, notes = [], []
    for item in _flat(message.items):
        label, size = _cell(item)
        if isinstance(item, Json):
            notes.append(json_in_words(item.template))
        cells.append((label, size, max(len(label), len(size)) + 2))
    if not cells:
        yield "nothing: the stream ends"
    while cells:
        row: list[tuple[str, str, int]] = []
        width = 1
        while cells and (not row or width + cells[0][2] + 1 <= WIDTH - 2):
            width += cells[0][2] + 1
            row.append(cells.pop(0))
        edge = "+" + "+".join("-" * cell[2] for cell in row) + "+"
        yield edge
        yield "|" + "|".join(f" {cell[0]}".ljust(cell[2]) for cell in row) + "|"
        yield "|" + "|".join(f" {cell[1]}".ljust(cell[2]) for cell in row) + "|"
        yield edge
    for note in notes:
        yield f"JSON: {note}"


def _flat(items: Sequence[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Group):
            yield from _flat(item.items)
        else:
            yield item


def _cell(item: Item) -> tuple[str, str]:
    """The name of a field and its size."""
    match item:
        case Constant(data=data):
            return in_short(data), str(len(data))
        case Number():
            form = {Order.BIG: "", Order.LITTLE: " le", Order.DIGITS: " digits"}[item.order]
            return word_for(item) + number_says(item), f"{item.width}{form if item.width > 1 else ''}"
        case Text():
            size = "…"
            if item.width:
                size = f"{item.width}, pad {item.pad.hex()}"
            elif item.until:
                size = f"until {in_short(item.until)}"
            return item.role + ("" if item.encoding is Encoding.UTF8 else f" {item.encoding}"), size
        case Filler():
            return item.label, str(item.width or "…")
        case _:
            return "JSON", "…"


def _constants(message: Message) -> bytes:
    return b"".join(item.data for item in _flat(message.items) if isinstance(item, Constant))


def in_short(data: bytes) -> str:
    """Bytes as text in quotes where they print, else in hex; many zeros as `00*27`."""
    pieces: list[str] = []
    rest = data
    while rest:
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        text = _printing(rest)
        if zeros > 2:
            pieces.append(f"00*{zeros}")
            rest = rest[zeros:]
        elif text:
            pieces.append(repr(text))
            rest = rest[len(text.encode()) :]
        else:
            pieces.append(f"{rest[0]:02x}")
            rest = rest[1:]
    return " ".join(pieces)


def _printing(data: bytes) -> str:
    """As much of the beginning of `data` as prints, if that is more than a byte or all there is."""
    text = data.decode(errors="replace")
    end = next((at for at, letter in enumerate(text) if not letter.isprintable() or letter == "\ufffd"), len(text))
    return text[:end] if (end > 1 or end == len(text)) and text[:1] != " " else ""


# --- ambiguous ----------------------------------------------------------------------------------------


def ambiguous(first: str, second: str) -> int:
    a, b = dialect_named(first), dialect_named(second)
    if a.dialect.greeting is not None or b.dialect.greeting is not None:
        print("A server that greets first cannot recognise dialects: what greets needs a listener of its own.")
    found = [line for one, other in ((a, b), (b, a)) for line in _taken(one, other)]
    for line in found:
        print(line)
    if not found:
        print(f"No request of {a.dialect.name} is read by {b.dialect.name}, and none the other way round, "
              f"of those tried: names of 1 and 5 letters, ports {', '.join(map(str, TRIED_PORTS))}.")  # fmt: skip
        return HOLDS
    print("The dialect that is listed first takes such a request; a listener of its own for each takes none wrongly.")
    return DOES_NOT_HOLD


def _taken(one: Codec, other: Codec) -> Iterator[str]:
    """Requests of `one` that `other` reads, with what it takes them for: one example of each kind."""
    alone = Recogniser([other])
    for operation in OPERATIONS:
        for name in (NAME, "a"):
            for port in TRIED_PORTS:
                data = one.write_request(operation, ROOM, name, PASSWORD, IP, port)
                read = alone.read(data, limit=1 << 20, is_over=True)
                if not isinstance(read, Recognised) or read.asked.request is None:
                    continue
                request = read.asked.request
                if user_name_fault(request.name) is None:
                    wrongly = "rightly" if request.name.decode() == name else "wrongly"
                    yield (f"{other.dialect.name} reads this request of {one.dialect.name}, {wrongly}, as of "
                           f"{request.name.decode()!r}:\n  {in_short(data)}")  # fmt: skip
                    return
