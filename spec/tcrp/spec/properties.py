"""What must be true of every server and its clients, whatever users, attackers and the network do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tcrp.spec.names import Property, Rule


@dataclass(frozen=True, slots=True)
class Claim:
    """One property: a sentence that is always true, and the rules that it follows from."""

    sentence: str
    rules: tuple[Rule, ...]


CLAIMS: Mapping[Property, Claim] = MappingProxyType(
    {
        Property.TABLE_STEPS: Claim("Every step of every machine is a row of its table, from where it stood.", ()),
        Property.SHADOW_AGREES: Claim("The machine beside each table goes where the table goes.", ()),
        Property.RELAY_TO_MEMBERS_ONLY: Claim(
            "A relay goes only to an address that holds a session in the speaker's room.", (Rule.REL_1, Rule.TOK_2)
        ),
        Property.RELAY_NEEDS_A_LIVING_TOKEN: Claim(
            "A relay follows from a datagram whose token lives and comes from its own IP address.",
            (Rule.TOK_2, Rule.TOK_3),
        ),
        Property.RELAY_NOT_TO_ITS_SENDER: Claim("No text goes back to the session that said it.", (Rule.REL_1,)),
        Property.RELAY_TO_EVERY_MEMBER: Claim(
            "A text that is relayed goes to every other session in the room, or its withholding is counted.",
            (Rule.REL_1,),
        ),
        Property.RELAY_AT_MOST_ONCE: Claim(
            "The server sends one text at most once to each member; without duplication it is shown at most once.",
            (Rule.REL_1,),
        ),
        Property.RELAYS_IN_ORDER: Claim("The texts of one sender leave in the order of their arrival.", (Rule.REL_2,)),
        Property.RELAY_NAMES_ITS_SENDER: Claim(
            "A relay, read by the receiver's dialect, names the session that spoke.", (Rule.REL_3,)
        ),
        Property.NO_FORGED_NOTICE: Claim("No relay is read as a notice by its receiver.", (Rule.REL_3,)),
        Property.NO_TALK_ON_TCP: Claim(
            "TCP carries requests, answers, completions and trailers, and a datagram causes no TCP bytes.",
            (Rule.TCP_1,),
        ),
        Property.TOKEN_ENDS_FOR_GOOD: Claim("A token that has ended is never part of a step again.", (Rule.TOK_4,)),
        Property.TOKENS_UNIQUE: Claim("No token is granted twice.", (Rule.TOK_1,)),
        Property.REJECTED_CHANGES_NOTHING: Claim(
            "A datagram whose token does not hold moves no machine and is answered at most by a notice to the "
            "ended token's own address.",
            (Rule.UDP_3,),
        ),
        Property.ENDED_ARE_TOLD: Claim(
            "A session that ends other than by leaving, at a known address, is sent the reason at once.", (Rule.END_1,)
        ),
        Property.ENDED_ARE_TOLD_AGAIN: Claim(
            "It is sent the reason again after 0.5, 1.5 and 3.5 s, while its end is remembered and no other session "
            "has its address.",
            (Rule.END_1,),
        ),
        Property.NO_AMPLIFICATION: Claim(
            "An ended token is answered at most once a second, with at most three times the bytes received, "
            "never at an address that holds a living token.",
            (Rule.END_1,),
        ),
        Property.NAMES_LINGER: Claim(
            "The name of a room whose host had entered is not free before its linger is over.", (Rule.ROOM_2,)
        ),
        Property.TAKEOVER_NEEDS_SILENCE: Claim(
            "A name in use is granted only to its holder's IP address, after the holder was silent for takeover_after.",
            (Rule.NAME_2,),
        ),
        Property.CLOSED_ROOM_LEAVES_NOTHING: Claim(
            "When a room is closed the server holds no session, name, timer or remembered token of it.",
            (Rule.ROOM_3,),
        ),
        Property.HOST_ENDS_THE_ROOM: Claim("No room is open after the session of its host has ended.", (Rule.ROOM_2,)),
        Property.LIVE_SESSION_HAS_A_DEADLINE: Claim(
            "Every living session ends within its timeout after it was last heard.", (Rule.IDLE_1, Rule.TOK_5)
        ),
        Property.ONLY_THE_SILENT_IDLE: Claim(
            "No session idles before its timeout, counted from when it was last heard.", (Rule.IDLE_1, Rule.TOK_5)
        ),
        Property.HANDSHAKE_ENDS: Claim(
            "Every handshake ends within handshake_timeout after its opening.", (Rule.TCP_5,)
        ),
        Property.LIMITS_HOLD: Claim("No count of the server is above its limit.", (Rule.LIM_1,)),
        Property.DATAGRAMS_FIT: Claim("No datagram of ours is larger than its limit.", (Rule.UDP_1, Rule.UDP_2)),
        Property.SPEAKERS_ARRIVE: Claim(
            "A client that speaks, after the last fault and over a link that loses nothing, is in-room two seconds "
            "later, or its session has ended.",
            (Rule.UDP_4, Rule.TOK_2),
        ),
        Property.NO_CLIENT_WAITS_FOR_EVER: Claim(
            "In the end no client is in a handshake or session that has no deadline, or whose deadline has passed.",
            (Rule.TCP_5, Rule.IDLE_1),
        ),
        Property.CLOSING_ROOMS_CLOSE: Claim(
            "In the end no room is closing for longer than its linger.", (Rule.ROOM_3,)
        ),
    }
)
"""Safety, true after every step, and the last three: liveness, true once nothing more happens."""
