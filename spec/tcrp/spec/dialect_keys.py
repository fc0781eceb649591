"""The keys of a dialect's file: what each means, what may stand there, and what holds where it is left out.

`tcrp.spec.dialect_file` reads by these declarations, and docs/dialect-format.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from tcrp.spec.limits import NOTICE_AGAIN_AFTER_US, SECOND_US
from tcrp.spec.names import Notice, Operation, Reason

FORMAT = "tcrp-dialect/2"
NUMBER_MAX = 2**32 - 1

STATUS: Mapping[Reason, int] = MappingProxyType(
    {
        Reason.ROOM_EXISTS: 1,
        Reason.NO_SUCH_ROOM: 2,
        Reason.WRONG_PASSWORD: 3,
        Reason.BAD_REQUEST: 4,
        Reason.ROOM_FULL: 5,
        Reason.NAME_TAKEN: 6,
        Reason.TOO_MANY_REQUESTS: 7,
    }
)
"""The status of a refusal where a dialect has no other. Done is 0."""

CODES: Mapping[Operation, int] = MappingProxyType({Operation.CREATE: 1, Operation.JOIN: 2, Operation.LIST: 2})
"""The numbers of the operations where a dialect has no others."""


class LearnedFrom(StrEnum):
    """Where the server learns the UDP port to send to."""

    REQUEST = "request"
    TRAILER = "trailer"  # or the first datagram, whichever is first
    DATAGRAM = "datagram"
    CONNECTION = "connection"  # it is the port from which the client's TCP connection comes


class RelayFrom(StrEnum):
    """From which port of the server its datagrams may come."""

    SAME_PORT = "same-port"
    ANY_PORT = "any-port"


class After(StrEnum):
    """What must have come before the server answers a request."""

    REQUEST = "request"
    HEAD = "head"


class Match(StrEnum):
    """How clients of a dialect compare a datagram with a phrase that ends them."""

    WHOLE = "whole"
    PREFIX = "prefix"
    CONTAINS = "contains"


class Shape(StrEnum):
    """What may stand behind a key."""

    TABLE = "table"
    FIELDS = "fields"  # a list of fields, or a single one
    STRING = "string"
    STRINGS = "list of strings"
    BOOLEAN = "true or false"
    NUMBER = "number"
    DURATION = "duration"
    NOTICE = "sentence, list of sentences, or table with `fields`"


class Key(Struct, frozen=True):
    """One key. Without a `default` it must be there, unless `without` says what holds in its place."""

    meaning: str
    shape: Shape = Shape.TABLE
    default: Any = None
    least: int = 0
    most: int = NUMBER_MAX
    choices: tuple[str, ...] = ()
    without: str = ""


def _optional(meaning: str, without: str) -> Key:
    return Key(meaning, default=MappingProxyType({}), without=without)


def _either(kind: str) -> dict[str, Key]:
    """The tables that say in what creating and joining differ."""
    return {
        f"{kind}.{each}": _optional(f"In what `[{kind}]` differs when a room is {done}.", f"as `[{kind}]`")
        for each, done in ((Operation.CREATE, "created"), (Operation.JOIN, "joined"))
    }


_TOLD = {
    Notice.JOINED: "Somebody has joined.",
    Notice.LEFT: "Somebody has left.",
    Notice.ROOM_CLOSED: "The room was closed.",
    Notice.IDLED: "The receiver was silent for too long.",
    Notice.REMOVED: "An operator removed the receiver.",
    Notice.SUPERSEDED: "The receiver's name was taken over from another client.",
    Notice.SHUTDOWN: "The server ends.",
    Notice.QUIT: "The receiver, a guest, has left.",
}

ENDING = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN)
"""The notices that every dialect must have: every session is told why it ended (R-END-1)."""

MESSAGE_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "fields": Key("The whole message. Then the table has neither `payload` nor `frame`.", Shape.FIELDS,
                      without="`payload` within the frame"),
        "payload": Key("What stands in the frame in place of `\"payload\"`.", Shape.FIELDS, without="`fields`"),
        "frame": Key("The frame of this message alone.", Shape.FIELDS, without="that of the file"),
    }
)  # fmt: skip
"""Keys of every table of a message. A key of another name is the value of the number of that name: `state = 1`."""

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "format": Key(f'`"{FORMAT}"`.', Shape.STRING),
        "name": Key("What the dialect is called.", Shape.STRING),
        "sentence": Key("What it is, in one sentence.", Shape.STRING),
        "frame": Key("What stands around the payload of requests and replies.", Shape.FIELDS,
                     without="each message has `fields`"),
        "reply_frame": Key("The same for replies, where they differ.", Shape.FIELDS, without="`frame`"),
        "parts": _optional('Lists of fields by name: `"@name"` in another list stands for them.', "no parts"),
        "operations": _optional("The numbers of the operations.", "the three defaults"),
        **{f"operations.{each}": Key(f"The number of `{each}`.", Shape.NUMBER, CODES[each]) for each in Operation},
        "greeting": _optional("What the server says as soon as a client connects.", "nothing"),
        "request": Key("What a client asks."),
        **_either("request"),
        "answer": _optional("The first of two replies.", "the completion is the only reply"),
        **_either("answer"),
        "answer.pause": Key(
            "How long after the answer the completion is sent, for clients that read each by itself.",
            Shape.DURATION, 0, most=2 * SECOND_US,
        ),
        "answer.after": Key(
            "`head`: the answer is sent as soon as the fixed fields at the beginning of a request are there.",
            Shape.STRING, After.REQUEST, choices=tuple(After),
        ),
        "answer.exact": Key("Whether its JSON constants count when it is read.", Shape.BOOLEAN, False),
        "completion": Key("The reply with the token."),
        **_either("completion"),
        "refusal": Key("The reply that says no. `fields = []` is the end of the stream."),
        **{
            f"refusal.{each}": _optional(f"In what `[refusal]` differs for `{each}`.", "as `[refusal]`")
            for each in Reason
        },
        "refusal.then": _optional("A second message behind a refusal.", "nothing"),
        "status": _optional("The number of each reason, where a refusal has `status`.", "the defaults"),
        "status.done": Key("The `status` of an answer or completion.", Shape.NUMBER, 0),
        **{f"status.{each}": Key(f"The number of `{each}`.", Shape.NUMBER, STATUS[each]) for each in Reason},
        "words": _optional("The word of each reason, where a refusal has `reason`.", "the reasons' names"),
        **{f"words.{each}": Key(f"The word of `{each}`.", Shape.STRING, str(each)) for each in Reason},
        "list": _optional("How a client asks for the open rooms.", "it cannot"),
        "list.request": Key("The question. Needed if there is a `[list]`."),
        "list.reply": Key("The reply, with `rooms`. Needed if there is a `[list]`."),
        "port": _optional("The client's UDP port.", "an error, because `learned_from` is needed"),
        "port.learned_from": Key(
            "Where the server learns it: from the `request`, from the first `datagram`, from a `trailer` of two bytes "
            "behind the completion (or the first datagram, whichever is first), or as the port of the TCP "
            "`connection`.",
            Shape.STRING, choices=tuple(LearnedFrom),
        ),
        "port.fixed": Key(
            "Whether datagrams to a client go to that port always, not to the port that it last sent from.",
            Shape.BOOLEAN, False,
        ),
        "port.relay_from": Key(
            "From which of its ports a server of this dialect sends datagrams. With `any-port` a client takes "
            "datagrams from every port of the server's IP address, and does not notice at once that the server's "
            "process has ended.",
            Shape.STRING, RelayFrom.SAME_PORT, choices=tuple(RelayFrom),
        ),
        "datagram": Key("What a client says in the chat."),
        "relay": _optional(
            "How a text is told to others. Where it has no `name`, our server puts `name: ` before the text.",
            "an error, because its `fields` are needed",
        ),
        "enter": _optional("How a client enters.", "by an empty text"),
        "enter.word": Key("The text by which it enters.", Shape.STRING, ""),
        "leave": _optional("How a client leaves.", "by silence"),
        "leave.words": Key("Texts that leave; the first is written, all are read.", Shape.STRINGS, []),
        "leave.repeats": Key("Whether our client says it three times.", Shape.BOOLEAN, False),
        "notice": _optional("What stands around the sentence of a notice.", "nothing: the sentence alone"),
        "notices": Key(
            "What the server tells members. Of a list of sentences the first is written and all are read. In a "
            "sentence, `{name}`, `{room}` and `{host}` are filled in; `{any}` stands for anything when it is read."
        ),
        **{
            f"notices.{each}": Key(_TOLD[each], Shape.NOTICE, without="" if each in ENDING else "members are not told")
            for each in Notice
        },
        "notices.host_quit": Key("The receiver, the host, has left.", Shape.NOTICE, without="the host is not told"),
        "notices.repeat": Key(
            "How often an ended session is told in all.", Shape.NUMBER, len(NOTICE_AGAIN_AFTER_US),
            least=1, most=len(NOTICE_AGAIN_AFTER_US),
        ),
        "endings": _optional("What else ends clients of this dialect that are not ours (R-REL-3).", "nothing"),
        "endings.match": Key(
            "Where a datagram holds a phrase: it is the `whole` datagram, its `prefix`, or it `contains` the phrase.",
            Shape.STRING, choices=tuple(Match),
        ),
        "endings.phrases": Key("The phrases.", Shape.STRINGS),
    }
)  # fmt: skip
"""Every other key, by its path in the file, in the order of the document."""
