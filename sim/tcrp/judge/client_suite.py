"""The suite for clients: its probes, why some rules are not asked about, how to repair what is broken; runs it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tcrp.engine.codec import Codec
from tcrp.judge import client_alone as alone
from tcrp.judge import client_chat as chat
from tcrp.judge.client_ground import ClientGround
from tcrp.judge.client_script import PLACEHOLDER, Script
from tcrp.judge.client_stage import CannotJudge, Client, ClientStage
from tcrp.judge.record import CannotTest, Skip, Waits, agreed, is_bad
from tcrp.judge.verdicts import Finding, Judgement, Outcome, merge
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, PORT_MIN, SECOND_US, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Rule

CONFIRMATIONS = 1
"""How often a probe that finds something broken is run again: both runs must agree. One that waits for a timeout is
not run again: no network is between the judge and the client.
"""
PROBE_US = 60 * SECOND_US
"""How long a probe may take, besides the patience."""


class ChatProbe(NamedTuple):
    """A question to a client that is in its room; the next such question goes to the same run of it."""

    name: str
    rules: tuple[Rule, ...]
    story: Callable[[ClientStage, Client], Awaitable[None]]
    needs_ears: bool = False  # it says nothing of a client that shows no relays


class AloneProbe(NamedTuple):
    """A question that needs a run of the client, or several, for itself."""

    name: str
    rules: tuple[Rule, ...]
    story: Callable[[ClientStage], Awaitable[None]]
    waits_for_a_timeout: bool = False
    needs_ears: bool = False


REQUEST = ChatProbe("request", (Rule.TCP_2, Rule.TCP_3), chat.request)
RELAYS = ChatProbe("relays", (Rule.REL_1, Rule.REL_3), chat.relays)
CORE = (REQUEST, RELAYS)
CHAT: tuple[ChatProbe, ...] = (
    ChatProbe("texts", (Rule.TCP_1, Rule.UDP_1, Rule.TOK_2, Rule.IDLE_2, Rule.REL_1, Rule.REL_2), chat.texts),
    ChatProbe("where it hears", (Rule.TOK_3,), chat.follows, needs_ears=True),
    ChatProbe("order", (Rule.REL_2,), chat.order, needs_ears=True),
    ChatProbe("longest relay", (Rule.UDP_2,), chat.longest, needs_ears=True),
    ChatProbe("too long a line", (Rule.UDP_1,), chat.long_line),
    ChatProbe("harmful characters", (Rule.SHOW_1,), chat.clean, needs_ears=True),
    ChatProbe("others join and leave", (), chat.others_leave, needs_ears=True),
    ChatProbe("a member speaks as the server", (Rule.REL_3,), chat.talk_as_notice, needs_ears=True),
    ChatProbe("malformed datagrams", (Rule.UDP_3,), chat.rubbish, needs_ears=True),
    ChatProbe("leaving", (Rule.EXIT_1, Rule.TOK_4), chat.leaving),
)
ALONE: tuple[AloneProbe, ...] = (
    AloneProbe("no answer", (Rule.TCP_5,), alone.silence, waits_for_a_timeout=True),
    AloneProbe("half a reply", (Rule.TCP_5,), alone.half_a_reply, waits_for_a_timeout=True),
    AloneProbe("closed without an answer", (Rule.TCP_5,), alone.closed, waits_for_a_timeout=True),
    AloneProbe("another kind of answer", (Rule.TCP_5,), alone.wrong_reply, waits_for_a_timeout=True),
    AloneProbe("endless reply", (Rule.LIM_1,), alone.endless, waits_for_a_timeout=True),
    AloneProbe("reply in one segment", (Rule.TCP_3,), alone.together),
    AloneProbe("reply byte by byte", (Rule.TCP_3,), alone.dripped),
    AloneProbe("refused to join", (Rule.TCP_2,), alone.refused_join),
    AloneProbe("refused to create", (Rule.TCP_2,), alone.refused_create),
    AloneProbe("lost at entering", (Rule.UDP_4,), alone.entering),
    AloneProbe("end of the room", (Rule.END_1,), alone.told_of_end, needs_ears=True),
    AloneProbe("other ends", (Rule.END_1,), alone.told_of_other_ends, needs_ears=True),
    AloneProbe("names", (Rule.NAME_1,), alone.names),
)

OF_SERVERS = "a rule for servers, which no client shows"
NOT_OF_CLIENTS: Mapping[Rule, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (Rule.TCP_4, Rule.TOK_1, Rule.TOK_5, Rule.ROOM_1, Rule.ROOM_2, Rule.ROOM_3, Rule.LIM_2), OF_SERVERS
        ),
        Rule.ADDR_1: "this dialect's request announces no port",
        Rule.IDLE_1: "a client may be silent; its server then ends the session",
        Rule.NAME_2: "a client need not take its name over",
        Rule.PASS_1: "no password is given to the client",
    }
)
"""Rules that no probe asks a client about, or not in every dialect, and why."""

REPAIRS: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.TCP_1: "Send texts by UDP only; over TCP go the request and, in some dialects, two bytes behind it.",
        Rule.TCP_2: "Write the lengths of the encoded bytes into the header, operation 1 or 2 and state 0, then room "
        "and payload. Read the reply's state and status before anything else: a refusal has no token. Show the reason "
        "to the user, and send nothing.",
        Rule.TCP_3: "TCP is a stream: collect bytes until the header's 32 are there, then until as many as it promises "
        "are; one recv() is not one frame, and one recv() may hold two. Close the connection when you have the token.",
        Rule.TCP_5: "Set a timeout on the connection (settimeout(10)); when it passes, or the server closes or answers "
        "something else, tell the user, close and end.",
        Rule.TOK_2: "Send no datagram before the completion is there, and then always with the bytes of its token.",
        Rule.TOK_3: "Use one UDP socket to send and to receive: relays follow the address of your last datagram.",
        Rule.TOK_4: "After the leave word stop every thread that sends: keep-alives too.",
        Rule.ADDR_1: "Bind the UDP socket before the request, and announce the port of getsockname(): receive on that "
        f"socket. The port is at least {PORT_MIN}.",
        Rule.UDP_1: "Begin each datagram with the lengths in bytes of room and token, one byte each, then both, then "
        f"the text; {CLIENT_DATAGRAM_BYTES_MAX} bytes in all. Tell the user of a longer line instead of sending it.",
        Rule.UDP_2: f"Receive with recvfrom({SERVER_DATAGRAM_BYTES_MAX + 2}) or more: a smaller buffer cuts what is "
        "longer.",
        Rule.UDP_3: "Catch every error of decoding around the handling of one datagram, never around the loop "
        "(decode(errors='replace')), and ignore what cannot be read.",
        Rule.UDP_4: "Say that you are there at once (an empty text, or the dialect's enter word), and again after 0.2, "
        "0.6 and 1.4 s, then every 5 s until 25 s, unless something has arrived.",
        Rule.REL_1: "Receive in a thread or task of its own, not between two calls of input(); show each relay once, "
        "and send each line once.",
        Rule.REL_2: "Send and show texts in the order in which they come: one thread for each direction.",
        Rule.REL_3: "Show the name that the relay carries. Compare notices with the whole datagram, not with a part.",
        Rule.END_1: "Compare each datagram with the notices of your dialect. At one that ends the session tell the "
        "user, close the socket and end, or ask what to do; send nothing more with the token. That others leave or "
        "join ends nothing.",
        Rule.EXIT_1: "When the user leaves, by whatever key, send the leave word as a text before closing.",
        Rule.IDLE_2: "Use the bytes of the room's name as in the request, and encode texts in UTF-8.",
        Rule.NAME_1: "Encode names in UTF-8 first, then take lengths: len(name.encode()).",
        Rule.LIM_1: "Compare the promised length with a bound before reading; close if it is more.",
        Rule.SHOW_1: "Replace characters of the categories Cc and Cf (unicodedata.category) before printing.",
    }
)
"""What to change in a client that breaks a rule."""


class ClientRunner:
    """One judgement of one client. `progress` is told of each probe that begins."""

    def __init__(
        self,
        ground: ClientGround,
        codecs: Sequence[Codec],
        waits: Waits,
        script: Script,
        command: Sequence[str],
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ground = ground
        self._codecs = codecs
        self._waits = waits
        self._script = script
        self._command = command
        self._progress = progress
        self._numbers = itertools.count(1)
        self._placeholders = frozenset(f"{{{each}}}" for each in PLACEHOLDER.findall(" ".join([*command, script.text])))
        self._findings: dict[str, list[Finding]] = {}
        self._client: Client | None = None  # in its room, for the next chat probe
        self._has_entered = False
        self._is_deaf = False

    async def run(
        self, subject: str, chats: Sequence[ChatProbe] = CHAT, alones: Sequence[AloneProbe] = ALONE
    ) -> Judgement:
        """Run the probes. Raises `CannotJudge`, `CannotStart` where the client never makes a request."""
        try:
            for probe in CORE:
                await self._one(probe)
            self._is_deaf = any(
                each.outcome is Outcome.BROKEN and each.rule in (Rule.REL_1, Rule.ADDR_1)
                for each in self._findings[RELAYS.name]
            )
            await self._ground.together([self._conversation(chats), *map(self._one, alones)])
        finally:
            await self._end_client()
        findings = [each for name in self._names(chats, alones) for each in self._findings.get(name, [])]
        [codec] = self._codecs if len(self._codecs) == 1 else [None]
        name = codec.dialect.name if codec is not None else "?"
        return Judgement(subject, name, merge(findings, NOT_OF_CLIENTS), repairs=REPAIRS, of_client=True)

    @staticmethod
    def _names(chats: Sequence[ChatProbe], alones: Sequence[AloneProbe]) -> list[str]:
        return [*(each.name for each in CORE), *(each.name for each in chats), *(each.name for each in alones)]

    async def _conversation(self, probes: Sequence[ChatProbe]) -> None:
        for probe in probes:
            await self._one(probe)
        await self._end_client()

    async def _end_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.scene.close()

    async def _one(self, probe: ChatProbe | AloneProbe) -> None:
        self._progress(probe.name)
        why = self._why_not(probe)
        if why:
            self._findings[probe.name] = [
                Finding(rule, Outcome.NOT_TESTED, why, probe.name, inconclusive=True) for rule in probe.rules
            ]
            return
        tries = [await self._try(probe)]
        is_long = isinstance(probe, AloneProbe) and probe.waits_for_a_timeout
        while is_bad(tries[-1]) and len(tries) <= CONFIRMATIONS and not is_long:
            tries.append(await self._try(probe))
        self._findings[probe.name] = agreed(tries)

    def _why_not(self, probe: ChatProbe | AloneProbe) -> str:
        """Why a probe cannot be asked, or nothing."""
        if probe is not REQUEST and not self._has_entered:
            return f"it does not get into a room (see {Rule.TCP_2}, {Rule.UDP_4})"
        if probe.needs_ears and self._is_deaf:
            return f"it does not show what others say (see {Rule.REL_1}, {Rule.ADDR_1})"
        return ""

    async def _try(self, probe: ChatProbe | AloneProbe) -> list[Finding]:
        """What one run of the probe finds."""
        stage = ClientStage(
            self._ground, self._codecs, self._waits, probe.name, self._numbers, self._script, self._command,
            self._placeholders,
        )  # fmt: skip
        within_us = PROBE_US + self._waits.patience_us
        try:
            if not await self._ground.bounded(self._story(probe, stage), within_us):
                said = f"the probe did not end within {within_us / SECOND_US:.0f} s"
                stage.left_open(probe.rules, said, inconclusive=True)
            stage.catch_up()
        finally:
            for client in stage.clients:
                if client.codec is not None:
                    self._codecs = [client.codec]
            if self._client is not None and self._client in stage.clients:
                if is_bad(stage.findings):
                    self._client = None
                else:  # it stays for the next
                    stage.clients.remove(self._client)
            await stage.close()
        return stage.findings

    async def _story(self, probe: ChatProbe | AloneProbe, stage: ClientStage) -> None:
        try:
            if not isinstance(probe, ChatProbe):
                await probe.story(stage)
            elif probe is REQUEST:
                self._client = client = await stage.start()
                await probe.story(stage, client)
                self._has_entered = client.address is not None
            else:
                await probe.story(stage, await self._in_room(stage))
        except Skip as skip:
            stage.left_open(probe.rules, str(skip), inconclusive=False)
        except CannotTest as error:
            stage.left_open(probe.rules, str(error), inconclusive=True)
        except CannotJudge as error:
            if not self._has_entered:
                raise
            stage.left_open(probe.rules, f"this run of it failed: {error}", inconclusive=True)

    async def _in_room(self, stage: ClientStage) -> Client:
        """A client that is in its room: the one of the last probe, if that still is."""
        if self._client is not None and self._client.has_ended:
            await self._end_client()
        if self._client is None:
            self._client = await stage.granted()
        else:
            self._client.stage = stage
            stage.clients.append(self._client)
        return self._client
