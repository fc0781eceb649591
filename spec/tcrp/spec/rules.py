"""What each rule says, in one sentence, for documents and reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tcrp.spec.cluster_names import OWN_SENTENCES, AnyRule, OwnRule
from tcrp.spec.names import Rule

SENTENCES: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.TCP_1: "TCP creates, joins and hands over the token, nothing else; it carries no chat text.",
        Rule.TCP_2: "A request is answered, or refused with the first reason that applies; "
        "a refused request yields no token and changes nothing. A header that no request can have is refused at once, "
        "the rest when the request is whole. JSON is known by its keys alone, and refused in the dialect of its keys. "
        "A server that is shutting down takes nothing new (too_many_requests). A listener of one dialect whose answer "
        "says nothing of the request may send it when the header is there; a refusal may still follow.",
        Rule.TCP_3: "After its last frame the server half-closes, discards what still arrives, then closes: at the "
        "peer's end, or when handshake_timeout has passed since the opening; the client closes when it has the "
        "completion, behind its trailer where its dialect has one. A peer that half-closes behind its request is still "
        "answered.",
        Rule.TCP_4: "A name belongs to at most one room that is not closed.",
        Rule.TCP_5: "A peer that sends half a request, rubbish, or nothing is dropped at the handshake timeout "
        "and delays no other peer.",
        Rule.TOK_1: "A token is 32 lowercase hexadecimal digits from the system's random source, unique, "
        "bound to one user, one room, one IP address.",
        Rule.TOK_2: "Only the holder of a living token enters, is relayed, or receives relays.",
        Rule.TOK_3: "A token is valid only from the IP address to which it was given, and only by the listener that "
        "granted it, by which its holder is also reached. The client's port may change, and relays then follow the "
        "last valid datagram unless the dialect fixes the port.",
        Rule.TOK_4: "A token that has ended never works again.",
        Rule.TOK_5: "A session that has not entered within token_timeout ends.",
        Rule.ADDR_1: "From a request or a trailer only the port is taken, never an IP address; "
        "ports below 1024 are bad requests.",
        Rule.UDP_1: "A client's datagram is at most 4096 bytes: room_len(1) token_len(1) room token text.",
        Rule.UDP_2: "A server's datagram is at most 4094 bytes in the receiver's dialect; "
        "a relay too long for one member is not sent to that member.",
        Rule.UDP_3: "A datagram that is malformed, or whose token is not valid, changes nothing but the count "
        "of R-IDLE-2, and gets no answer but that of R-END-1.",
        Rule.UDP_4: "A client that enters by datagram sends the enter word or an empty text at once, again "
        "after 0.2, 0.6 and 1.4 s, then every 5 s until 25 s, unless something has arrived. "
        "A client that enters by its request or its trailer says nothing to enter.",
        Rule.REL_1: "A text is relayed once to every other member who is in the room, and to no one else: "
        "not back to its sender.",
        Rule.REL_2: "Texts of one sender are relayed in the order in which they arrived.",
        Rule.REL_3: "A relay names its sender, by the name that the server knows: in its text, where the dialect has "
        "no other place; a text that a member's dialect would read as a notice, or that a phrase of its [endings] "
        "table matches, is not sent to that member; nor is a joined or left notice that such a phrase matches.",
        Rule.ROOM_1: "The user who creates a room is its host.",
        Rule.ROOM_2: "The host ending in any way but being superseded closes the room: every other session in it ends "
        "and is told.",
        Rule.ROOM_3: "A closed room leaves nothing behind: no session, no timer, no name, no remembered token.",
        Rule.END_1: "No client hangs: a session that ends other than by leaving is told why, at once and again after "
        "0.5, 1.5 and 3.5 s, and when its token is used during linger, whatever follows the token. Sessions that end "
        "together are all told, also at one address.",
        Rule.EXIT_1: "A user leaves with the dialect's leave word; the token ends at once; the other members are told "
        "where their dialect has a notice for it. The word may be sent again, which changes nothing.",
        Rule.IDLE_1: "A session that is silent for idle_timeout ends; any valid datagram breaks the silence; "
        "an empty text is a keep-alive and is not relayed. A client whose JSON request holds answer_keep_alive: true "
        "is answered with an empty datagram, as is its trailer. Where it holds tell_timeout: true and the completion "
        "is a JSON object, that has idle_timeout, a number of seconds, as its last member.",
        Rule.IDLE_2: "Three rejected datagrams in a row with a living token from its own IP end its session. Rejected "
        "are a wrong room, more than 4096 bytes, and what is no text of the session's dialect; a valid datagram starts "
        "the count anew, and a text over the rate is valid.",
        Rule.NAME_1: "Room and user names are UTF-8 of 1 to 255 bytes, NFC, without control, bidi and "
        "invisible characters (categories Cc and Cf, fillers, joiners and variation selectors) and without U+2028 "
        "and U+2029; "
        "user names also without : [ ], not システム, and unique in their room.",
        Rule.NAME_2: "A name in use is taken over only by its owner, who sends the holder's token from the holder's IP "
        "address (resume_token in a JSON request); where takeover is same_address, also by anyone at that address "
        "after takeover_after of silence. The password must be right. The old session ends (superseded), the new one "
        "takes its place, is host if that was, and is announced (joined) to the others like any other; at most three "
        "times a minute for each name. Creating a room under its host's name is joining it if it is a takeover, else "
        "room_exists, also for a wrong password. A session whose token is not handed over yet cannot be taken over.",
        Rule.PASS_1: "A room may have a password, compared in constant time; it appears in no log, trace or error. "
        "Wrong ones are limited per room and IP address: after password_tries_max of them in a minute, for a minute "
        "only one password a second is looked at. The right one is granted even then, any other request with a "
        "password is too_many_requests. A request without a password is wrong_password and costs no try.",
        Rule.LIM_1: "Everything has a limit; what exceeds it is refused or dropped, and counted by rule. A limit per "
        "IP counts an IPv6 address by its first ipv6_prefix bits, and lingering rooms by who created them.",
        Rule.LIM_2: "Rooms whose host has not entered are limited per IP and close without linger.",
        Rule.SHOW_1: "Text from the network is shown without control, escape and bidi characters; "
        "line ends and tabs become spaces.",
    }
)


def sentence_of(rule: AnyRule) -> str:
    """The sentence of a rule of the protocol, or of a cluster."""
    return OWN_SENTENCES[rule] if isinstance(rule, OwnRule) else SENTENCES[rule]
