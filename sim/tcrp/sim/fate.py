"""What became of what an expectation waited for: the text, notice, request or datagram, followed through a run.

Looks at the records of a whole run and at the script. `evaluate` says that an expectation does not hold
and what came nearest; this module says where the thing that is missing got lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tcrp.engine.codec import codec
from tcrp.engine.text import shown
from tcrp.sim.evaluate import Miss, in_window, seconds
from tcrp.sim.hosts.server import SERVER
from tcrp.sim.scenario.errors import nearest
from tcrp.sim.scenario.expectations import NETWORK_DROPS
from tcrp.sim.scenario.model import (
    Abandon,
    At,
    Create,
    Datagram,
    Join,
    Leave,
    MachineIs,
    Records,
    Refused,
    Replay,
    Say,
    Scenario,
    Seen,
    Sees,
    SeesCount,
    SeesExactly,
    Spoof,
    StateExpected,
    Step,
    Told,
    UserIs,
    Window,
)
from tcrp.sim.scenario.verbs import filled
from tcrp.sim.script import origin_name
from tcrp.spec.names import HandshakeEvent, Machine, Notice, PacketKind, SessionEvent, SessionState
from tcrp.trace.plural import counted
from tcrp.trace.records import Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord
from tcrp.trace.sentences import sentence

FORGED = (Spoof, Datagram, Replay)
TEXT_SHOWN_MAX = 60
TEXTS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of it, in one sentence, and the record at which its way ended (0: none)."""

    what: str
    n: int = 0


def fate_of(miss: Miss, scenario: Scenario, records: Sequence[Record]) -> Fate | None:
    """The fate of what `miss` waited for in the run that has these records; None if nothing is known beyond `nearest`.

    Texts and requests are followed from the script's step to the end of their way.
    """
    fate = _Fates(scenario, records).of(miss)
    return None if fate is None else Fate(shown(fate.what), fate.n)


def texts_said(scenario: Scenario) -> Iterator[tuple[Step, str, str]]:
    """Steps that say a text: the step, the name of its packets' root, and the text."""
    for step in scenario.script:
        for taken in range(1, _times(step) + 1):
            action = filled(step.action, taken)
            text = action.text if isinstance(action, Say | Spoof | Datagram) else None
            if text is not None:
                yield step, origin_name(step, taken), text


class _Fates:
    def __init__(self, scenario: Scenario, records: Sequence[Record]) -> None:
        self._scenario = scenario
        self._records = records
        self._servers = scenario.servers or (SERVER,)

    def of(self, miss: Miss) -> Fate | None:
        match miss.expectation.claim:
            case Sees(user, relays) | SeesExactly(user, relays):
                is_exact = isinstance(miss.expectation.claim, SeesExactly)
                return self._of_relays(user, relays, miss.expectation.window, is_exact=is_exact)
            case SeesCount(user):
                return self._of_lost(user, PacketKind.RELAY, "relay")
            case Told(user, notices):
                return self._of_notices(user, notices)
            case Refused(user):
                return self._of_request(user)
            case StateExpected(claim) if not miss.was_met:  # else the step that left the state says it
                return self._of_state(claim)
            case Records(kind, fields, count) if kind != "step" and count.least and _may_be_forged(fields):
                return self._of_forged()
            case _:
                return None

    # --- texts -----------------------------------------------------------------------------------

    def _of_relays(self, user: str, relays: tuple[Seen, ...], window: Window, *, is_exact: bool) -> Fate:
        screen = [each for each in self._records
                  if isinstance(each, ShowRecord) and each.actor == user and each.what == "relay"]  # fmt: skip
        left = list(screen)
        missing: list[Seen] = []
        outside: list[ShowRecord] = []
        for relay in relays:
            same = [each for each in left if each.text == relay.text and relay.name in (None, each.name)]
            inside = [each for each in same if in_window(each.t_us, window)]
            if not same:
                missing.append(relay)
                continue
            outside += [] if inside else same[:1]
            left.remove((inside or same)[0])
        if missing:
            fates = [self._of_text(user, relay) for relay in dict.fromkeys(missing)]
            more = f"; {len(fates) - TEXTS_SHOWN_MAX} more are missing" if len(fates) > TEXTS_SHOWN_MAX else ""
            return Fate("; ".join(each.what for each in fates[:TEXTS_SHOWN_MAX]) + more, fates[0].n)
        if outside:
            late = outside[0]
            return Fate(
                f"{_quoted(late.text)} was shown at {seconds(late.t_us)}, {_distance(late.t_us, window)}", late.n
            )
        others = [each for each in left if in_window(each.t_us, window)]
        if is_exact and others:
            return Fate(f"{_quoted(others[0].text)} from {others[0].name} was not expected", others[0].n)
        return Fate("all were shown, but in another order")

    def _of_text(self, user: str, relay: Seen) -> Fate:
        names = {each.id: each.name for each in self._scenario.users}
        speakers = [
            (step, root) for step, root, text in texts_said(self._scenario)
            if text == relay.text and relay.name in (None, names.get(step.actor))
        ]  # fmt: skip
        if not speakers:
            hint = nearest(relay.text, {text for _, _, text in texts_said(self._scenario)})
            return Fate(f"no step says {_quoted(relay.text)}{f' as {relay.name}' if relay.name else ''}{hint}")
        step, root = speakers[0]
        own = self._packets_of(root)
        if not own:
            return self._not_done(step, SessionEvent.SPOKE, f"say {_quoted(relay.text)}")
        first = own[0]
        said = f"{_quoted(relay.text)} was said by {step.actor} at {seconds(first.t_us)}"
        related = {each.n for each in own}
        to_user = [each for each in own if self._is_to(user, each.link) and each.what == PacketKind.RELAY]
        if to_user:
            return self._ended(said, to_user[-1], f"the relay to {user}")
        withheld = [each for each in self._drops_by_server()
                    if each.cause in related and self._is_to(names.get(user, user), each.link)]  # fmt: skip
        if withheld:
            return Fate(f"{said}; the relay to {user} was withheld: {withheld[0].why}", withheld[0].n)
        up = [each for each in own if self._is_from(step.actor, each.link)][-1]
        if up.kind is Kind.ARRIVE and (between := self._between_servers(own)) is not None:
            return self._ended(said, between, f"its way from {between.link.replace('>', ' to ')}")
        if up.kind is Kind.ARRIVE:
            refused = [each for each in self._records if isinstance(each, RefusalRecord) and each.cause == up.n]
            if refused:
                return Fate(f"{said}; {sentence(refused[0])}", refused[0].n)
            was = self._session_at(user, up.t_us)
            return Fate(f"{said} and arrived at the server, where {user} was {was}: no relay went to {user}", up.n)
        return self._ended(said, up, "it")

    # --- requests, sessions ----------------------------------------------------------------------

    def _of_state(self, claim: UserIs | MachineIs) -> Fate | None:
        if isinstance(claim, MachineIs) and claim.machine is Machine.ROOM:
            creators = [step for step in self._scenario.script
                        if isinstance(step.action, Create) and step.action.room == claim.id]  # fmt: skip
            return self._of_request(creators[-1].actor) if creators else Fate(f"no step creates {claim.id}")
        user = claim.user if isinstance(claim, UserIs) else self._user_of(claim)
        if user is None:
            return None
        if claim.state == SessionState.EXPIRED:
            leaves = [step for step in self._scenario.script if step.actor == user and isinstance(step.action, Leave)]
            return self._of_leave(leaves[-1]) if leaves else None
        return self._of_request(user)

    def _user_of(self, claim: MachineIs) -> str | None:
        if claim.machine is Machine.HANDSHAKE:
            return claim.id
        users = self._scenario.users
        return next((each.id for each in users if claim.id.startswith(f"{each.name}@")), None)

    def _of_request(self, user: str) -> Fate | None:
        steps = [step for step in self._scenario.script
                 if step.actor == user and isinstance(step.action, Create | Join | Abandon)]  # fmt: skip
        if not steps:
            return Fate(f"no step has {user} create or join a room")
        own = self._packets_of(origin_name(steps[-1], _times(steps[-1])))
        if not own:
            return self._not_done(steps[-1], SessionEvent.GRANTED, "request it")
        asked = f"{user} made the latest request at {seconds(own[0].t_us)}"
        answers = [
            each for each in self._records
            if isinstance(each, StepRecord) and each.machine is Machine.HANDSHAKE and each.actor == user
            and each.n > own[0].n and each.event in (HandshakeEvent.COMPLETED, HandshakeEvent.REFUSED,
                                                     HandshakeEvent.ABANDONED, HandshakeEvent.LISTED)
        ]  # fmt: skip
        if not answers:
            return self._ended(asked, own[-1], "its last packet")
        answer = answers[-1]
        why = f" ({answer.why})" if answer.why else ""
        return Fate(f"{asked}; it was {answer.event} at {seconds(answer.t_us)}{why}", answer.n)

    def _of_leave(self, step: Step) -> Fate:
        own = self._packets_of(origin_name(step, _times(step)))
        if not own:
            return self._not_done(step, SessionEvent.LEFT, "leave")
        left = f"{step.actor} left at {seconds(own[0].t_us)}"
        ups = [each for each in own if self._is_from(step.actor, each.link)]
        arrived = {each.n for each in ups}
        for each in self._records:
            if isinstance(each, StepRecord) and each.cause in arrived and each.event == SessionEvent.LEFT:
                return Fate(f"{left}; the message arrived at {seconds(each.t_us)}", each.n)
        return self._ended(left, ups[-1], "the message")

    def _session_at(self, user: str, t_us: int) -> str:
        """The state of a user's latest session, as the server had it."""
        name = next((each.name for each in self._scenario.users if each.id == user), user)
        states = [each.to for each in self._records
                  if isinstance(each, StepRecord) and each.machine is Machine.SESSION and each.actor in self._servers
                  and each.id.startswith(f"{name}@") and each.t_us <= t_us]  # fmt: skip
        return states[-1] if states else str(SessionState.ANONYMOUS)

    # --- what was lost on the way, and what was forged -------------------------------------------

    def _of_notices(self, user: str, notices: tuple[str, ...]) -> Fate:
        dialect = next((each.dialect for each in self._scenario.users if each.id == user), "")
        known = {str(each) for each in codec(dialect).dialect.notices}
        for notice in notices:
            if notice not in known and notice in set(Notice):
                return Fate(f"{user}'s dialect {dialect} has no notice {notice}")
        return self._of_lost(user, PacketKind.NOTICE, "notice")

    def _of_lost(self, user: str, what: PacketKind, word: str) -> Fate:
        sent = [each for each in self._packets() if self._is_to(user, each.link) and each.what == what]
        lost = [each for each in sent if each.kind is Kind.DROP]
        number = sum(each.kind is Kind.SEND for each in sent)
        if not number:
            return Fate(f"the server sent no {word}s to {user}")
        so_many = f"the server sent {counted(number, word)} to {user}"
        if not lost:
            return Fate(f"{so_many}, and none was lost" if number > 1 else f"{so_many}, and it was not lost")
        why = ", ".join(dict.fromkeys(each.why for each in lost))
        which = f"of which {len(lost)} {'was' if len(lost) == 1 else 'were'}" if number > 1 else "which was"
        return Fate(f"{so_many}, {which} lost ({why})", lost[-1].n)

    def _of_forged(self) -> Fate | None:
        """The latest packet that no honest client sends, for expectations of its drop or refusal."""
        attackers = {each.id for each in self._scenario.users if each.attacker}
        for step in reversed(self._scenario.script):
            is_forged = isinstance(step.action, FORGED) or (step.actor in attackers and isinstance(step.action, Say))
            if is_forged and (own := self._packets_of(origin_name(step, _times(step)))):
                return self._ended(f"{step.actor} sent the forged datagram at {seconds(own[0].t_us)}", own[-1], "it")
        return None

    # --- packets ---------------------------------------------------------------------------------

    def _packets(self) -> Iterator[PacketRecord]:
        return (each for each in self._records if isinstance(each, PacketRecord))

    def _packets_of(self, root: str) -> list[PacketRecord]:
        """What was sent because of a step, directly or through others, in order."""
        return [each for each in self._packets() if each.packet.startswith(f"{root}/")]

    def _drops_by_server(self) -> Iterable[PacketRecord]:
        return (each for each in self._packets() if each.actor in self._servers and each.kind is Kind.DROP)

    def _is_to(self, user: str, link: str) -> bool:
        """Whether a link goes from a server to a user."""
        source, _, target = link.partition(">")
        return target == user and source in self._servers

    def _is_from(self, user: str, link: str) -> bool:
        """Whether a link goes from a user to a server."""
        source, _, target = link.partition(">")
        return source == user and target in self._servers

    def _between_servers(self, own: list[PacketRecord]) -> PacketRecord | None:
        """Where a way ended between two servers of a cluster, if it did."""
        ways = [each for each in own if each.what in (PacketKind.FORWARD, PacketKind.OUTPUT)]
        return ways[-1] if ways and ways[-1].kind is not Kind.ARRIVE else None

    def _ended(self, before: str, last: PacketRecord, it: str) -> Fate:
        """How the way of a packet ended."""
        match last.kind:
            case Kind.DROP:
                return Fate(f"{before}; {it} was dropped at {seconds(last.t_us)}: {last.why}", last.n)
            case Kind.SEND:
                return Fate(f"{before}; {it} was still under way at the end", last.n)
            case _:
                follows = [each for each in self._records if each.cause == last.n and isinstance(each, RefusalRecord)]
                if follows:
                    return Fate(f"{before}; {sentence(follows[0])}", follows[0].n)
                return Fate(f"{before}; {it} arrived at {seconds(last.t_us)}", last.n)

    def _not_done(self, step: Step, event: SessionEvent, what: str) -> Fate:
        """A step of which nothing came: refused, or never taken."""
        refused = [each for each in self._records
                   if isinstance(each, RefusalRecord) and each.actor == step.actor and each.event == event
                   and (not isinstance(step.when, At) or each.t_us >= step.when.at_us)]  # fmt: skip
        if refused:
            at, why = seconds(refused[0].t_us), refused[0].why
            return Fate(f"{step.actor} could not {what} at {at}: {why}", refused[0].n)
        return Fate(f"{step.actor} did not {what}: the step was not taken before the run ended")


def _may_be_forged(fields: tuple[tuple[str, str], ...]) -> bool:
    """Whether the server itself refuses or drops what is meant: not the network, and not a user's client."""
    named = dict(fields)
    return named.get("actor", SERVER) == SERVER and named.get("why") not in NETWORK_DROPS


def _distance(t_us: int, window: Window) -> str:
    """How far a moment is from a window that it is not in."""
    begin_us, end_us = window.between_us or (0, window.at_us if window.by_us is None else window.by_us)
    assert end_us is not None, "every moment is in a window without bounds"
    if t_us < begin_us:
        return f"{seconds(begin_us - t_us)} before {seconds(begin_us)}"
    return f"{seconds(t_us - end_us)} after {seconds(end_us)}"


def _times(step: Step) -> int:
    return step.when.times if isinstance(step.when, At) else 1


def _quoted(text: str) -> str:
    return repr(text if len(text) <= TEXT_SHOWN_MAX else f"{text[:TEXT_SHOWN_MAX]}…")
