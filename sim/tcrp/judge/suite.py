"""The suite: all probes, why some rules are not asked about, and how to repair what is broken."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tcrp.engine.frames import HEADER_BYTES
from tcrp.judge import endings, handshakes, hostile, load, relays
from tcrp.judge.endings import REPEATED_AFTER
from tcrp.judge.probe import Group, Probe
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, PORT_MIN, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Rule

ALL: tuple[Probe, ...] = (
    *handshakes.PROBES[:1], *relays.PROBES[:1], *handshakes.PROBES[1:], *relays.PROBES[1:], *endings.PROBES,
    *load.PROBES, *hostile.PROBES,
)  # fmt: skip
"""Every probe. They run by group, within a group in this order."""

OF_CLIENTS = "a rule for clients, which no server shows"
NOT_FROM_OUTSIDE: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.UDP_4: OF_CLIENTS,
        Rule.SHOW_1: OF_CLIENTS,
        Rule.LIM_2: "the server's limit is not known, and reaching it would refuse others",
    }
)
"""Rules that no probe asks a server about, and why."""

ADD_HOSTILE = "only with --hostile: it sends what no client would"

REPAIRS: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.TCP_1: "Send the token and nothing else over TCP; texts go out by UDP only.",
        Rule.TCP_2: f"TCP is a stream: collect bytes until the {HEADER_BYTES} bytes of the header are there, then "
        "until as many as it promises are; one recv() is not one request. Answer a refused request with its reason.",
        Rule.TCP_3: "After the last frame call shutdown(SHUT_WR), read and discard until the client closes (at most "
        "until the handshake timeout), then close. close() over unread bytes resets the connection, and the token on "
        "its way may be lost.",
        Rule.TCP_4: "Look the name up before creating a room, and refuse a create for one that exists.",
        Rule.TCP_5: "Serve each connection apart (a thread, a task, a selector), never read() from one while others "
        "wait in accept(); give each a timeout and close it then.",
        Rule.TOK_1: "Take tokens from the system's random source, at least 16 bytes: secrets.token_hex(16).",
        Rule.TOK_2: "Look the token up among the members of the room that the datagram names, and ignore the datagram "
        "if it is not there.",
        Rule.TOK_3: "Remember with each token the IP address that asked for it, and ignore datagrams from any other; "
        "send relays to the port of the last valid datagram.",
        Rule.TOK_4: "Delete a token when its session ends, before anything else is received.",
        Rule.TOK_5: "Give each new token a deadline, and end the session if no datagram has used it by then.",
        Rule.ADDR_1: "Send relays to the IP address of the TCP connection; take only the port from the request, and "
        f"refuse ports below {PORT_MIN}.",
        Rule.UDP_1: f"Receive with a buffer of more than {CLIENT_DATAGRAM_BYTES_MAX} bytes, "
        f"recvfrom({CLIENT_DATAGRAM_BYTES_MAX + 1}), and ignore longer datagrams.",
        Rule.UDP_2: f"Before sending, compare the length of a relay with {SERVER_DATAGRAM_BYTES_MAX} bytes; leave out "
        "members for whom it is too long, and cut nothing.",
        Rule.UDP_3: "Catch every error of decoding around the handling of one datagram, never around the loop; check "
        "lengths before slicing; answer nothing to what is not valid.",
        Rule.REL_1: "Send each text once to every member of the room but its sender, and to nobody else.",
        Rule.REL_2: "Handle the datagrams of one socket one after the other, in the order in which they arrive.",
        Rule.REL_3: "Put the name that the server knows for the token before the text; do not relay a text that the "
        "receivers' clients would take for a notice of the server.",
        Rule.ROOM_1: "Keep which token created the room; only the end of that session closes it.",
        Rule.ROOM_2: "When the host's session ends, by leaving or by silence, end every other session in its room.",
        Rule.ROOM_3: "Delete the room, its members and their tokens when it closes, and free its name soon after.",
        Rule.END_1: f"Send every member whose session ends the notice of its dialect, and again after "
        f"{REPEATED_AFTER}: a datagram may be lost. Answer an ended token at most once a second, with at most three "
        "times the bytes received.",
        Rule.EXIT_1: "Compare each text with the leave word before relaying it; end the session at once, and tell "
        "the others.",
        Rule.IDLE_1: "Note the time of each valid datagram, an empty one too, and end sessions that are silent for "
        "too long; do not relay or answer empty texts.",
        Rule.IDLE_2: "Count rejected datagrams in a row for each token (wrong room, too long, not UTF-8); end the "
        "session at the third.",
        Rule.NAME_1: "Refuse names that are empty, hold control characters, : [ or ], or are in use in the room.",
        Rule.NAME_2: "Refuse a name that a living member has, unless the request proves to be of its owner.",
        Rule.PASS_1: "Compare the password before granting a token (hmac.compare_digest), and refuse any other.",
        Rule.LIM_1: "Limit the bytes of a request before reserving memory for them, and drop what exceeds a limit "
        "without ending the thread that serves.",
    }
)
"""What to change in a server that breaks a rule."""


def probes(*, is_hostile: bool, is_loaded: bool) -> tuple[Probe, ...]:
    """The probes to run, in order."""
    left_out = {*(() if is_hostile else (Group.HOSTILE,)), *(() if is_loaded else (Group.LOAD,))}
    order = list(Group)
    return tuple(sorted((each for each in ALL if each.group not in left_out), key=lambda each: order.index(each.group)))


def unasked(chosen: tuple[Probe, ...]) -> dict[Rule, str]:
    """Why the rules that no chosen probe asks about are not tested."""
    asked = {rule for probe in chosen for rule in probe.rules}
    return {rule: NOT_FROM_OUTSIDE.get(rule, ADD_HOSTILE) for rule in Rule if rule not in asked}
