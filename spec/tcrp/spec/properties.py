"""What must be true of every server and its clients, whatever users, attackers and the network do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tcrp.spec.cluster_names import AnyRule, OwnRule
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import Property, Rule


@dataclass(frozen=True, slots=True)
class Claim(Frozen):
    """A sentence that is true of every run, and the rules that it follows from."""

    sentence: str
    rules: tuple[AnyRule, ...]


CLAIMS: Mapping[Property, Claim] = MappingProxyType(
    {
        Property.TABLE_STEPS: Claim(
            "Every step of a machine is a row of its table, beginning in the machine's last state.", ()
        ),
        Property.SHADOW_AGREES: Claim(
            "The library's machine, run beside each table, takes the same steps as the table.", ()
        ),
        Property.RELAY_TO_MEMBERS_ONLY: Claim(
            "A relay goes only to an address with a session in the sender's room.", (Rule.REL_1, Rule.TOK_2)
        ),
        Property.RELAY_NEEDS_A_LIVING_TOKEN: Claim(
            "Every relay is caused by a datagram with a living token from the token's own IP address.",
            (Rule.TOK_2, Rule.TOK_3),
        ),
        Property.RELAY_NOT_TO_ITS_SENDER: Claim("No text is relayed to the session that sent it.", (Rule.REL_1,)),
        Property.RELAY_TO_EVERY_MEMBER: Claim(
            "A relayed text goes to every other session in the room, or is counted as withheld.",
            (Rule.REL_1,),
        ),
        Property.RELAY_AT_MOST_ONCE: Claim(
            "The server sends a text at most once to each member; without duplication it is shown at most once.",
            (Rule.REL_1,),
        ),
        Property.RELAYS_IN_ORDER: Claim(
            "The texts of one sender are relayed in the order in which they arrived.", (Rule.REL_2,)
        ),
        Property.RELAY_NAMES_ITS_SENDER: Claim(
            "A relay, as the receiver's dialect reads it, names the session that sent the text.", (Rule.REL_3,)
        ),
        Property.NO_FORGED_NOTICE: Claim("No relay can be read as a notice by its receiver.", (Rule.REL_3,)),
        Property.NO_TALK_ON_TCP: Claim(
            "TCP carries requests, answers, completions and trailers, and a datagram causes no TCP bytes.",
            (Rule.TCP_1,),
        ),
        Property.TOKEN_ENDS_FOR_GOOD: Claim(
            "An expired session never steps again: its token stays ended.", (Rule.TOK_4,)
        ),
        Property.TOKENS_UNIQUE: Claim("No token is granted twice.", (Rule.TOK_1,)),
        Property.REJECTED_CHANGES_NOTHING: Claim(
            "A datagram whose token is not valid causes no step; the only answer to it is a notice to an ended "
            "token's own address.",
            (Rule.UDP_3,),
        ),
        Property.ENDED_ARE_TOLD: Claim(
            "A session with a known address that ends other than by leaving is sent the reason at once.", (Rule.END_1,)
        ),
        Property.ENDED_ARE_TOLD_AGAIN: Claim(
            "The reason is sent again after 0.5, 1.5 and 3.5 s, while the end is remembered and no session uses the "
            "address.",
            (Rule.END_1,),
        ),
        Property.NO_AMPLIFICATION: Claim(
            "An ended token is answered at most once a second, with at most three times the bytes received, "
            "and never at an address of a living session.",
            (Rule.END_1,),
        ),
        Property.NAMES_LINGER: Claim(
            "If its host had entered, a room's name is not free before the linger is over.", (Rule.ROOM_2,)
        ),
        Property.TAKEOVER_IS_BY_OWNER: Claim(
            "A name in use is granted again only to its holder's IP address, and only to a request that holds the "
            "holder's token or, where takeover is same_address, after the holder's silence.",
            (Rule.NAME_2,),
        ),
        Property.CLOSED_ROOM_LEAVES_NOTHING: Claim(
            "The server keeps no session, name, timer or remembered token of a closed room.",
            (Rule.ROOM_3,),
        ),
        Property.HOST_ENDS_THE_ROOM: Claim("No room is open after the session of its host has ended.", (Rule.ROOM_2,)),
        Property.LIVE_SESSION_HAS_A_DEADLINE: Claim(
            "A living session ends at the latest when its timeout has passed since it was last heard.",
            (Rule.IDLE_1, Rule.TOK_5),
        ),
        Property.ONLY_THE_SILENT_IDLE: Claim(
            "No session is idled before its timeout has passed since it was last heard.", (Rule.IDLE_1, Rule.TOK_5)
        ),
        Property.HANDSHAKE_ENDS: Claim(
            "Every connection ends within handshake_timeout of its opening.", (Rule.TCP_5, Rule.TCP_3)
        ),
        Property.LIMITS_HOLD: Claim(
            "Rooms, members, sessions, connections, rooms whose host has not entered, and a user's texts a second "
            "never exceed their limits. matches-reference checks the other settings.",
            (Rule.LIM_1,),
        ),
        Property.DATAGRAMS_FIT: Claim(
            "No datagram of our server or client exceeds its limit.", (Rule.UDP_1, Rule.UDP_2)
        ),
        Property.KEEP_ALIVE_CHANGES_NOTHING: Claim(
            "A keep-alive, by which a client also asks whether the server still knows it, moves no machine from its "
            "state and sends nothing but an empty datagram to its own session.",
            (Rule.IDLE_1, Rule.NAME_2),
        ),
        Property.STREAMS_HALF_CLOSE: Claim(
            "After its last frame the server half-closes; it closes at the peer's end or at the handshake timeout.",
            (Rule.TCP_3,),
        ),
        Property.STREAMS_KEEP_ORDER: Claim(
            "What an end of a TCP connection reads is what the other end sent: the same bytes in the same order, then "
            "its end.",
            (),
        ),
        Property.MATCHES_REFERENCE: Claim(
            "Given the same input, the server puts out what a second server does that is written from the rules "
            "alone: the same bytes to each receiver in the same order, the same steps, refusals, drops and withheld "
            "relays; and it asks to be woken no later than that one.",
            (),
        ),
        Property.SPEAKERS_ARRIVE: Claim(
            "Two seconds after a client has spoken, if no fault came later and its link loses nothing, its session "
            "is in-room or has ended.",
            (Rule.UDP_4, Rule.TOK_2),
        ),
        Property.NO_CLIENT_WAITS_FOR_EVER: Claim(
            "At the end of a run no client is in a handshake or session without a deadline, or past its deadline.",
            (Rule.TCP_5, Rule.IDLE_1),
        ),
        Property.CLOSING_ROOMS_CLOSE: Claim(
            "At the end of a run no room has been closing for longer than its linger.", (Rule.ROOM_3,)
        ),
        Property.ONE_OWNER_RELAYS: Claim(
            "Of a room in a cluster at most one owner relays: once an owner has relayed, none with a smaller fencing "
            "number does, and no two have the same number.",
            (OwnRule.OWN_1, OwnRule.OWN_2, OwnRule.OWN_3),
        ),
        Property.NO_STALE_OUTPUT: Claim(
            "A gateway sends out nothing of an owner after it has heard one with a higher fencing number.",
            (OwnRule.OWN_4,),
        ),
        Property.HANDOVER_LOSES_NO_SESSION: Claim(
            "Each session of a room that is handed over is at the next owner, or has ended by the protocol.",
            (OwnRule.OWN_7,),
        ),
    }
)
"""Safety, checked at every step; liveness, checked at the end of a run: from `speakers-arrive` to
`closing-rooms-close`; and three of clusters alone.
"""

OF_CLUSTERS = frozenset((Property.ONE_OWNER_RELAYS, Property.NO_STALE_OUTPUT, Property.HANDOVER_LOSES_NO_SESSION))
"""The properties that only several servers can break."""
