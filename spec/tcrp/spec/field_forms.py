"""What an entry of a list of fields may be, with examples, and what each field means: for docs/dialect-format.md.

`tcrp.spec.fields` reads the entries; the tests read every example by it, and find every word and field here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tcrp.spec.fields import Role
from tcrp.spec.frozen import Frozen


@dataclass(frozen=True, slots=True)
class Form(Frozen):
    """One kind of entry. The examples are entries as a TOML file holds them."""

    examples: tuple[str | Mapping[str, Any], ...]
    meaning: str


FORMS = (
    Form(("room", "name", "text"), "A text in UTF-8. It ends where a length says, else at the end of the payload or "
         "message."),
    Form(("len(room): u1", "len(payload): u29", "len(text): u2 + 1"), "The length of a field that follows, in bytes. "
         "`len(payload)` measures the payload, `len(json)` a table; `+ 1` says one more than the length. Without the "
         "field itself in the message, the length is written and not looked at."),
    Form(("head: '<{name}>'",), "Fields under a label of your own, so that `len(head)` can measure them together."),
    Form(("state: u1 = 1", "state: u1 = 0 or 9", "state: u1 = 0 or any"), "A number with this value. The first is "
         "written, the others are read too."),
    Form(("port: u2", "status: u1", "operation: u1", "members: u2le"), "A number with a meaning, of that many bytes. "
         "It is big-endian unless it ends in `le`. Any other label needs its value in the table of the message: "
         "`state = 1`."),
    Form(("port: digits", "port: digits 5", "len(text): digits 4 pad ' '"), "A number in decimal digits, to the end of "
         "its message or of that width."),
    Form(("hex 00 c8",), "These bytes."),
    Form(("'OK'", "'{name}: {text}'"), "This text; `{…}` are fields, each of which ends where the next text begins."),
    Form(("room: until ':'", "name: until hex 00"), "A text that ends with these bytes, which it cannot hold."),
    Form(("token: fixed 255", "name: fixed 16 pad ' '"), "A text that is filled up to this width, with `00` or what "
         "`pad` says."),
    Form(("name: utf8", "token: raw", "token: hex", "name: json"), "How a text is written: in UTF-8; the same, but "
         "read without asking whether it is UTF-8; as hexadecimal digits; as a JSON string."),
    Form(("ip: ipv4",), "Four bytes."),
    Form(("rooms: separated ','",), "The names of rooms, with this between them."),
    Form(("spare: fixed 25", "rest: rest"), "Bytes without a meaning, under any other label: written as `00`, or as "
         "`pad` says, and ignored when read. `rest` is all that is left, and is written as nothing."),
    Form(({"user": "{name}", "key": "{password?}"},), 'A JSON object. `"{name}"` is the value, `"{password?}"` one '
         'that may be missing or null, `"to {room}"` a text with the value in it.'),
    Form(("payload",), "In `frame`: where the payload of a message stands."),
    Form(("@head",), "The fields of the list `head` of the table `[parts]`."),
)  # fmt: skip

MEANINGS: Mapping[Role, str] = MappingProxyType(
    {
        Role.ROOM: "the name of the room",
        Role.NAME: "the name of the user; in relays that of the speaker",
        Role.TOKEN: "the token; in a request the proof for a name in use, in relays and notices that of the receiver",
        Role.PASSWORD: "the room's password",
        Role.TEXT: "what is said",
        Role.PORT: "the client's UDP port",
        Role.IP: "the client's IP address, which is read and not used (R-ADDR-1)",
        Role.OPERATION: "the number of `create`, `join` or `list`",
        Role.STATUS: "the number of a reason, from `[status]`; in answers and completions that of `done`",
        Role.REASON: "the word of a reason, from `[words]`",
        Role.SENTENCE: "the sentence of a notice",
        Role.HOST: "the name of the room's host",
        Role.MEMBERS: "how many are in the room",
        Role.ROOMS: "the names of the open rooms",
        Role.ANY: "whatever stands there; written as nothing",
    }
)
"""What each field with a meaning is."""
