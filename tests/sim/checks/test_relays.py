"""Relays that are wrong by the least, each found by its property, and what comes nearest to each and is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from observed_by_hand import BOB, OTHER, TOKEN, Server
from planting import Planted, gives, violation_of
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, Relay, Withheld
from tcrp.engine.server import Outputs
from tcrp.sim.checks.observed import SessionRecord
from tcrp.sim.checks.relays import RelayChecks
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.hosts.user import UserHost
from tcrp.spec.names import PacketKind, Property

SCENARIO = """
claim: three users talk
users:
  alice: {dialect: text, address: 10.1.0.1}
  bob: {dialect: text, address: 10.1.0.2}
  carol: {dialect: text, address: 10.1.0.3}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, carol: {join: lobby}}
  - {at: 3s, bob: {say: "one"}}
  - {at: 4s, bob: {say: "two"}}
"""
ALICE, CAROL = Address("10.1.0.1", 40001), Address("10.1.0.3", 40001)
Change = Callable[[Relay], Relay]


def relays_become(change: Change, *, text: bytes = b": two") -> EngineFactory:
    """Changes the relay of one text."""

    def changed(_: Planted, outputs: Outputs) -> Outputs:
        return [
            change(each)
            if isinstance(each, Relay) and each.what is PacketKind.RELAY and each.data.endswith(text)
            else each
            for each in outputs
        ]

    return gives(changed)


def to(*targets: Address) -> Change:
    return lambda relay: relay._replace(targets=list(targets))


def says(data: str) -> Change:
    return lambda relay: relay._replace(data=data.encode())


WRONG: list[tuple[Property, Change]] = [
    (Property.RELAY_TO_MEMBERS_ONLY, to(ALICE, Address("10.1.0.4", 40001))),
    (Property.RELAY_NOT_TO_ITS_SENDER, to(ALICE, Address("10.1.0.2", 40001))),
    (Property.RELAY_AT_MOST_ONCE, to(ALICE, ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(ALICE, CAROL, CAROL)),
    (Property.RELAYS_IN_ORDER, says("bob: one")),
    (Property.RELAYS_IN_ORDER, says("bob: tw")),
    (Property.RELAY_NAMES_ITS_SENDER, says("carol: two")),
    (Property.RELAY_NAMES_ITS_SENDER, says("two")),
    (Property.NO_FORGED_NOTICE, says("Room closed")),
    (Property.NO_FORGED_NOTICE, says("alice left the room")),
]
RIGHT: list[tuple[Property, Change]] = [
    (Property.RELAY_TO_MEMBERS_ONLY, to(ALICE, Address("10.1.0.3", 1))),  # a member's port may change
    (Property.RELAY_NOT_TO_ITS_SENDER, to(ALICE, Address("10.1.0.2", 40002))),  # another socket at the sender's IP
    (Property.RELAY_AT_MOST_ONCE, to(CAROL, ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(CAROL, ALICE)),
    (Property.RELAYS_IN_ORDER, says("carol: two")),  # its name is judged apart
    (Property.RELAY_NAMES_ITS_SENDER, says("bob: one")),
    (Property.NO_FORGED_NOTICE, says("Room closed.")),
]


@pytest.mark.parametrize(("property", "change"), WRONG, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_a_relay_that_is_wrong_is_found(property: Property, change: Change) -> None:
    violation = violation_of(SCENARIO, property, relays_become(change))
    assert violation is not None
    assert violation.property is property
    assert violation.t_us // 1_000_000 == 4


@pytest.mark.parametrize(("property", "change"), RIGHT, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_what_comes_near_is_not_accused(property: Property, change: Change) -> None:
    assert violation_of(SCENARIO, property, relays_become(change)) is None


def test_a_first_text_cannot_be_out_of_order() -> None:
    first = relays_become(says("bob: two"), text=b": one")
    assert violation_of(SCENARIO, Property.RELAYS_IN_ORDER, first) is None


@pytest.mark.parametrize(("ip", "is_found"), [("10.1.0.2", False), ("10.1.0.9", True)])
def test_a_relay_for_a_token_from_another_ip_is_found_and_from_another_port_is_not(ip: str, is_found: bool) -> None:
    class TakesAnyAddress(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            source = Address("10.1.0.2", source.port) if b"three" in data else source
            return super().receive_datagram(data, source, now_us, listener)

    spoken_for = SCENARIO.replace("script:", f"  mallory: {{attacker: true, address: {ip}}}\nscript:")
    spoken_for += '  - {at: 5s, mallory: {datagram: {token_of: bob, room: lobby, text: "three"}}}\n'
    violation = violation_of(spoken_for, Property.RELAY_NEEDS_A_LIVING_TOKEN, TakesAnyAddress)
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("says_so", "is_found"), [(True, False), (False, True)])
def test_whom_a_text_is_withheld_from_counts_only_if_the_server_says_so(says_so: bool, is_found: bool) -> None:
    """Between quotes, the name is longer than carol's dialect can say."""

    def unsaid(_: Planted, outputs: Outputs) -> Outputs:
        return [each for each in outputs if says_so or not isinstance(each, Withheld)]

    long = SCENARIO.replace("carol: {dialect: text", "carol: {dialect: json-name")
    long = long.replace("bob: {dialect: text", f"bob: {{dialect: text, name: {'b' * 254}")
    violation = violation_of(long, Property.RELAY_TO_EVERY_MEMBER, gives(unsaid))
    assert (violation is not None) is is_found


# --- call by call --------------------------------------------------------------------------------

UNKNOWN = Address("10.9.9.9", 1)  # where no socket is
THIRD = b"d" * 32


class Judged(Server):
    """The checks of relays, told by hand who is in the room, what bob says and what is relayed of it."""

    def __init__(self, only: Property, *, speaker: str = "bob") -> None:
        super().__init__()
        self.results = CheckResults(self.run.world, frozenset(Property) - {only})
        self.only = only
        self.checks = RelayChecks(self.results, self.observed, self.run.hosts)
        self.run.hosts.users["ann"].codec = codec("text")
        self.run.hosts.users["carol"] = UserHost(self.run.hosts, "carol", "carol", codec("json-endpoint"), CAROL.ip)
        self.bob = self.member(TOKEN, "bob", BOB, user=speaker, ip=BOB.ip)

    def member(
        self, token: bytes, name: str, address: Address | None, *, user: str = "", ip: str = "", fixed: bool = False
    ) -> SessionRecord:
        entry = self.enters(self.grants(token, f"{name}@lobby", user=user or name, ip=ip))
        entry.address, entry.fixed = address, fixed
        return entry

    def says(self, text: str, *relays: Relay, withheld: int = 0) -> str | None:
        """Bob says something, and this is relayed. Returns what was wrong at first."""
        call = self.hears(forged_datagram("lobby", TOKEN, text.encode()))
        call.withheld = withheld
        self.checks.judge(list(relays))
        return self.found

    @property
    def judged(self) -> int:
        return self.results.judged[self.only]


def relay(text: str, *targets: Address) -> Relay:
    return Relay(text.encode(), list(targets), PacketKind.RELAY)


def in_json(name: str, text: str, *targets: Address) -> Relay:
    data = codec("json-endpoint").write_relay(name, text)
    assert data is not None
    return Relay(data, list(targets), PacketKind.RELAY)


@pytest.mark.parametrize("who", ["nobody at all", "a token that nobody has", "a token that has ended"])
def test_a_relay_that_nobody_has_asked_for_is_judged_as_nothing_else(who: str) -> None:
    server = Judged(Property.RELAY_NEEDS_A_LIVING_TOKEN)
    if who == "a token that has ended":
        server.steps(server.bob, "left", "expired")
    if who == "nobody at all":
        server.wakes()
    else:
        token = TOKEN if who == "a token that has ended" else OTHER
        server.hears(forged_datagram("lobby", token, b"hi"))
    server.checks.judge([relay("bob: hi", ALICE)])
    assert server.found == "a relay was sent, but no living token had spoken"
    assert server.results.judged[Property.RELAY_TO_EVERY_MEMBER] == 0


def test_each_relay_of_a_text_is_in_turn() -> None:
    server = Judged(Property.RELAYS_IN_ORDER)
    ann = server.member(OTHER, "ann", ALICE)
    assert server.says("one", relay("bob: two", ALICE)) is None  # a first one cannot be out of turn
    assert server.says("two", relay("bob: two", ALICE), relay("bob: gone", *[])) is None
    assert server.says("three", relay("bob: three", ALICE), relay("bob: two", ALICE)) == (
        "a text of bob@lobby was relayed out of turn"
    )
    assert (ann.address, server.judged) == (ALICE, 2)


@pytest.mark.parametrize("who", ["nobody's", "bob"])
@pytest.mark.parametrize("target", [ALICE, UNKNOWN])
def test_a_text_is_in_turn_where_a_dialect_is_not_known(who: str, target: Address) -> None:
    server = Judged(Property.RELAYS_IN_ORDER, speaker=who)
    server.member(OTHER, "ann", target, user="ann" if target is ALICE else "nobody")
    for _ in range(2):
        server.says("one", relay("bob: two", target))
    assert (server.found is not None) is (who == "bob" and target is ALICE)


def test_members_of_two_dialects_may_share_an_address() -> None:
    for only in (Property.RELAYS_IN_ORDER, Property.RELAY_NAMES_ITS_SENDER, Property.NO_FORGED_NOTICE):
        server = Judged(only)
        server.member(OTHER, "ann", ALICE)
        server.member(THIRD, "carol", ALICE)
        for _ in range(2):
            assert server.says("hi", relay("bob: hi", ALICE), in_json("bob", "hi", ALICE)) is None
        assert server.judged


def test_a_relay_is_read_in_the_dialect_of_who_receives_there() -> None:
    server = Judged(Property.RELAY_NAMES_ITS_SENDER)
    server.member(OTHER, "ann", ALICE)
    server.member(THIRD, "carol", CAROL)
    assert server.says("hi", relay("bob: hi", ALICE), in_json("bob", "hi", CAROL)) is None
    wrong = in_json("bob", "hi", ALICE)
    read = codec("text").read_relay(wrong.data)
    assert server.says("hi", wrong) == f"a text of bob@lobby is read as {read}"


def test_of_two_dialects_at_an_address_the_first_says_how_a_wrong_name_is_read() -> None:
    server = Judged(Property.RELAY_NAMES_ITS_SENDER)
    server.member(OTHER, "ann", ALICE)
    server.member(THIRD, "carol", ALICE)
    read = codec("text").read_relay(b"eve: hi")
    assert server.says("hi", relay("eve: hi", ALICE)) == f"a text of bob@lobby is read as {read}"


def test_a_user_who_receives_where_no_member_does_reads_it_in_its_own_dialect() -> None:
    server = Judged(Property.RELAY_NAMES_ITS_SENDER)
    socket = server.run.hosts.users["carol"].address
    server.member(OTHER, "ann", ALICE)
    assert server.says("hi", in_json("bob", "hi", socket)) is None
    assert server.judged == 1
    assert server.says("hi", in_json("eve", "hi", socket)) is not None


@pytest.mark.parametrize("target", [UNKNOWN, Address("10.0.0.1", 0)])
def test_what_nobody_can_read_is_not_judged_by_its_words(target: Address) -> None:
    """Where no socket is, or the server's own."""
    server = Judged(Property.RELAY_NAMES_ITS_SENDER)
    server.member(OTHER, "ann", ALICE)
    target = target if target is UNKNOWN else server.run.server.udp[0]
    assert server.says("hi", relay("eve: hi", target), relay("eve: hi", *[])) is None
    assert server.judged == 0


def test_a_forged_notice_is_told_with_its_bytes() -> None:
    server = Judged(Property.NO_FORGED_NOTICE)
    server.member(OTHER, "ann", ALICE)
    assert server.says("hi", relay("Room closed", ALICE)) == ("a text of bob@lobby is read as a notice: b'Room closed'")


def test_the_first_stranger_is_named() -> None:
    server = Judged(Property.RELAY_TO_MEMBERS_ONLY)
    server.member(OTHER, "ann", ALICE, ip=ALICE.ip)
    assert server.says("hi", relay("bob: hi", ALICE, UNKNOWN, CAROL)) == (
        f"a text in lobby went to the stranger {[UNKNOWN]}"
    )


@pytest.mark.parametrize(
    ("at_bobs", "fixed", "is_found"),
    [([False, False], False, True), ([False, True], False, False), ([False], True, False)],
)
def test_a_text_goes_to_where_it_came_from_only_if_another_receives_there(
    at_bobs: list[bool], fixed: bool, is_found: bool
) -> None:
    server = Judged(Property.RELAY_NOT_TO_ITS_SENDER)
    server.bob.fixed = fixed
    for token, is_there in zip((OTHER, THIRD), at_bobs, strict=False):
        server.member(token, "ann", BOB if is_there else ALICE)
    found = server.says("hi", relay("bob: hi", ALICE, BOB))
    assert found == ("bob@lobby was sent its own text" if is_found else None)


@pytest.mark.parametrize(
    ("members", "times", "is_found"),
    [
        ([(ALICE, False)], 1, False),
        ([(ALICE, False)], 2, True),
        ([(ALICE, False), (ALICE, False)], 2, False),
        ([(ALICE, False), (ALICE, False)], 3, True),
        ([(ALICE, False), (CAROL, False)], 2, True),
        ([(ALICE, False), (None, False)], 2, False),
        ([(ALICE, False), (None, False)], 3, True),
        ([(ALICE, False), (CAROL, True)], 2, False),
        ([(ALICE, True)], 2, True),
    ],
)
def test_a_text_goes_to_an_address_as_often_as_members_may_receive_there(
    members: list[tuple[Address | None, bool]], times: int, is_found: bool
) -> None:
    """Where a member has no address yet, or its relays stay at another, it may be anywhere."""
    server = Judged(Property.RELAY_AT_MOST_ONCE)
    for number, (address, fixed) in enumerate(members):
        server.member(bytes([number]) * 32, "ann", address, fixed=fixed)
    found = server.says("hi", relay("bob: hi", *[ALICE] * times))
    assert found == ("a text of bob@lobby went to one member twice" if is_found else None)


@pytest.mark.parametrize(
    ("targets", "withheld", "is_found"), [(1, 1, False), (2, 0, False), (2, 1, True), (1, 0, True)]
)
def test_a_text_goes_to_each_of_the_others_or_is_withheld_from_it(targets: int, withheld: int, is_found: bool) -> None:
    server = Judged(Property.RELAY_TO_EVERY_MEMBER)
    server.member(OTHER, "ann", ALICE)
    server.member(THIRD, "carol", CAROL)
    found = server.says("hi", relay("bob: hi", *[ALICE, CAROL][:targets]), withheld=withheld)
    words = f"a text of bob@lobby went to {targets} members, {withheld} were withheld, but 2 others are in the room"
    assert found == (words if is_found else None)
