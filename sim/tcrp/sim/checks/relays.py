"""Checks that each text is relayed to the right members, once, in order, and under its sender's name."""

from __future__ import annotations

from tcrp.engine.codec import Codec
from tcrp.engine.outputs import Address, Relay
from tcrp.engine.reading import notice_reader
from tcrp.sim.checks.observed import ObservedServer, SessionRecord
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.hosts.user import Hosts, UserHost
from tcrp.spec.names import Property


class RelayChecks:
    """Looks at the relays of one call of the server's engine."""

    def __init__(self, results: CheckResults, model: ObservedServer, hosts: Hosts) -> None:
        self._results = results
        self._model = model
        self._hosts = hosts

    def judge(self, relays: list[Relay]) -> None:
        """Judge the relays that the server has sent, or withheld, for one datagram."""
        judge, call = self._results.judge, self._model.call
        speaker, packet = call.entry, call.packet
        lives = speaker is not None and call.is_valid and packet is not None
        judge(Property.RELAY_NEEDS_A_LIVING_TOKEN, lives, "a relay was sent, but no living token had spoken")
        if not lives or speaker is None or packet is None:
            return
        targets = [target for relay in relays for target in relay.targets]
        if speaker.has_spoken:  # a first text cannot be out of order
            in_turn = all(self._carries(relay, packet.data, speaker) for relay in relays if relay.targets)
            judge(Property.RELAYS_IN_ORDER, in_turn, "a text of {} was relayed out of turn", speaker.id)
        speaker.has_spoken = True
        homes = {member.ip for member in call.others}  # a member receives at its own IP address
        strangers = [target for target in targets if target.ip not in homes]
        judge(
            Property.RELAY_TO_MEMBERS_ONLY, not strangers, "a text in {} went to the stranger {}",
            speaker.room, strangers[:1],
        )  # fmt: skip
        to_sender = not speaker.fixed and packet.source in targets and not any(
            other.address == packet.source for other in call.others
        )  # fmt: skip
        judge(Property.RELAY_NOT_TO_ITS_SENDER, not to_sender, "{} was sent its own text", speaker.id)
        once = len(set(targets)) == len(targets) or self._sits_as_often(targets)
        judge(Property.RELAY_AT_MOST_ONCE, once, "a text of {} went to one member twice", speaker.id)
        judge(
            Property.RELAY_TO_EVERY_MEMBER,
            len(targets) + call.withheld == len(call.others),
            "a text of {} went to {} members, {} were withheld, but {} others are in the room",
            speaker.id, len(targets), call.withheld, len(call.others),
        )  # fmt: skip
        for relay in relays:
            if relay.targets:
                self._judge_wording(relay, speaker)

    def _carries(self, relay: Relay, data: bytes, speaker: SessionRecord) -> bool:
        """Whether a relay carries the text of this very datagram, where the dialects of both ends are known."""
        user = self._model.user_of(speaker)
        text = user.codec.read_text(data[2 + data[0] + data[1] :]) if user is not None else None
        codecs = self._codecs_at(relay.targets[0])
        if text is None or not codecs:
            return True
        return any((read := codec.read_relay(relay.data)) is not None and read.text == text for codec in codecs)

    def _codecs_at(self, target: Address) -> list[Codec]:
        """The dialects that members who receive at `target` may speak.

        The session's dialect counts, whatever socket its relays have followed its token to.
        """
        others = self._model.call.others
        users = [self._model.user_of(each) for each in others if each.address == target]
        codecs = [user.codec for user in users if user is not None]
        host = self._hosts.world.sockets.get(target)
        return codecs or ([host.codec] if isinstance(host, UserHost) else [])

    def _sits_as_often(self, targets: list[Address]) -> bool:
        """Whether several members receive wherever one text goes several times: neighbours may share a token."""
        others = self._model.call.others
        unknown = sum(other.address is None or other.fixed for other in others)
        for target in set(targets):
            there = sum(other.address == target and not other.fixed for other in others)
            if targets.count(target) > there + unknown:
                return False
        return True

    def _judge_wording(self, relay: Relay, speaker: SessionRecord) -> None:
        codecs = self._codecs_at(relay.targets[0])
        if not codecs:
            return
        named = [codec for codec in codecs if (read := codec.read_relay(relay.data)) and read.name == speaker.name]
        codec = (named or codecs)[0]
        judge = self._results.judge
        read = codec.read_relay(relay.data)
        judge(Property.RELAY_NAMES_ITS_SENDER, bool(named), "a text of {} is read as {}", speaker.id, read)
        is_forged = notice_reader(codec, speaker.room).is_forged_by(relay.data)
        judge(Property.NO_FORGED_NOTICE, not is_forged, "a text of {} is read as a notice: {}", speaker.id, relay.data)
