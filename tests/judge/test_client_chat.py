"""Probes of a client in its room, at the bounds of what they judge."""

from __future__ import annotations

import pytest

from judge.memory_client import ADDRESS, Person, found
from judge.memory_ground import broken, outcomes
from tcrp.judge.client_suite import CHAT, CORE, ChatProbe
from tcrp.judge.verdicts import Outcome
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import Rule

ALL = (*CORE, *CHAT)
BY_NAME = {each.name: each for each in ALL}


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", ALL, ids=lambda each: each.name)
def test_our_client_breaks_nothing_in_any_dialect(probe: ChatProbe, dialect: str) -> None:
    person = type("Speaks", (Person,), {"dialect": dialect})
    findings = found(probe, person)
    assert broken(findings) == {}
    assert {each.rule for each in findings} >= set(probe.rules) - {Rule.REL_1, Rule.REL_3}
    assert not any(each.inconclusive for each in findings)


class Deaf(Person):
    def hears(self, data: bytes) -> None: ...


@pytest.mark.parametrize("probe", [each for each in ALL if each.needs_ears], ids=lambda each: each.name)
def test_of_a_client_that_shows_nothing_no_probe_that_needs_it_says_that_a_rule_holds(probe: ChatProbe) -> None:
    assert Outcome.HOLDS not in outcomes(found(probe, Deaf)).values()


# --- its request -----------------------------------------------------------------------------------


def test_a_client_that_asks_for_another_room_or_by_another_name_is_found() -> None:
    for key, value, said in (
        ("room", "elsewhere", "its user wants room 'judge-0-1'; it asks for 'elsewhere'"),
        ("name", "zoe", "its user is 'bobby'; it asks as 'zoe'"),
    ):

        class Other(Person):
            def begins(self) -> None:
                self.values = {**self.values, key: value}  # noqa: B023 (used at once)
                super().begins()

        assert broken(found(BY_NAME["request"], Other)) == {Rule.TCP_2: said}


@pytest.mark.parametrize(("port", "is_found"), [(1023, True), (1024, False)])
def test_an_announced_port_below_1024_is_found(port: int, is_found: bool) -> None:
    person = type("Announces", (Person,), {"dialect": "json-port", "address": ("10.0.0.1", port)})
    assert (Rule.ADDR_1 in broken(found(BY_NAME["request"], person))) is is_found


def test_a_datagram_before_the_token_is_found() -> None:
    class TooSoon(Person):
        def begins(self) -> None:
            super().begins()
            self.sends(b"\0\0hello")

    assert list(broken(found(BY_NAME["request"], TooSoon))) == [Rule.TOK_2]


def test_a_connection_that_stays_open_is_found() -> None:
    class KeepsIt(Person):
        def looks_whether_it_is_over(self) -> None:
            super().looks_whether_it_is_over()
            self.scene.connections[-1].end = None

    assert list(broken(found(BY_NAME["request"], KeepsIt))) == [Rule.TCP_3]


# --- what it shows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "is_found"), [(2, False), (3, False), (4, True)])
def test_a_relay_is_sent_three_times_until_it_counts_as_not_shown(every: int, is_found: bool) -> None:
    class Forgets(Person):
        heard = 0

        def hears(self, data: bytes) -> None:
            self.heard += 1
            if self.heard % every == 0:
                super().hears(data)

    assert (Rule.REL_1 in broken(found(BY_NAME["relays"], Forgets))) is is_found


@pytest.mark.parametrize(
    ("shown", "is_found"), [("{name}: {text}", False), ("{name}\n{text}", False), ("{text}", True)]
)
def test_a_text_is_shown_with_its_sender_on_its_line_or_the_one_before(shown: str, is_found: bool) -> None:
    class Shows(Person):
        def writes(self, text: str) -> None:
            name, _, said = text.partition(": ")
            super().writes("\n\n" + shown.format(name=name, text=said))

    assert (Rule.REL_3 in broken(found(BY_NAME["relays"], Shows))) is is_found


def test_a_client_that_hears_where_it_sends_from_and_not_where_it_says_is_found() -> None:
    class Elsewhere(Person):
        dialect = "json-port"

        def begins(self) -> None:
            super().begins()
            self.address = (ADDRESS[0], 50505)

    assert list(broken(found(BY_NAME["relays"], Elsewhere))) == [Rule.ADDR_1]


@pytest.mark.parametrize(("bytes_", "is_found"), [(4094, False), (4093, True)])
def test_a_relay_of_4094_bytes_is_shown_to_its_end(bytes_: int, is_found: bool) -> None:
    class Buffer(Person):
        def hears(self, data: bytes) -> None:
            super().hears(data[:bytes_])

    assert (Rule.UDP_2 in broken(found(BY_NAME["longest relay"], Buffer))) is is_found


@pytest.mark.parametrize("harmful", ["\x1b]0;{}", "{}\x07", "{}\u202e", "\nannika: forged{}"])
def test_each_harmful_character_on_the_terminal_is_found(harmful: str) -> None:
    class Raw(Person):
        def hears(self, data: bytes) -> None:
            text = data.decode()
            mark = text[text.index("title") :].split("\x07")[0] if "title" in text else ""
            self.writes(harmful.format(mark) + " " + text[text.index("tail") :] if mark else text)

    assert list(broken(found(BY_NAME["harmful characters"], Raw))) == [Rule.SHOW_1]


@pytest.mark.parametrize(
    ("probe", "what", "rule"),
    [
        ("others join and leave", b"left", Rule.END_1),
        ("a member speaks as the server", b"Room closed", Rule.REL_3),
        ("malformed datagrams", bytes(4096), Rule.UDP_3),
    ],
)
def test_a_client_that_ends_at_what_ends_nothing_is_found(probe: str, what: bytes, rule: Rule) -> None:
    class Ends(Person):
        def hears(self, data: bytes) -> None:
            if what in data:
                self.exits(1)
            else:
                super().hears(data)

    assert list(broken(found(BY_NAME[probe], Ends))) == [rule]


# --- what it sends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda data: data.replace(b"text 1", b"text 0"), Rule.UDP_1),
        (lambda data: data[:1] + bytes((data[1] - 1,)) + data[2:], Rule.UDP_1),
        (lambda data: data[:11] + b"x" * 32 + data[43:], Rule.TOK_2),
        (lambda data: data.replace(b"judge", b"JUDGE"), Rule.IDLE_2),
        (lambda data: data.replace("ä".encode(), b"\xe4"), Rule.IDLE_2),
        (lambda data: data.ljust(4097) if b"text 1" in data else data, Rule.UDP_1),
    ],
    ids=["another text", "another length", "another token", "another room", "Latin 1", "4097 bytes"],
)
def test_a_datagram_that_breaks_a_rule_is_found_by_that(change: object, rule: Rule) -> None:
    class Sends(Person):
        def sends(self, data: bytes) -> None:
            super().sends(change(data) if b"text" in data else data)  # type: ignore[operator]

    assert list(broken(found(BY_NAME["texts"], Sends))) == [rule]


def test_a_text_that_is_sent_twice_or_out_of_turn_is_found() -> None:
    class Twice(Person):
        def sends(self, data: bytes) -> None:
            super().sends(data)
            if b"text 2" in data:
                super().sends(data)

    class Late(Person):
        kept = b""

        def sends(self, data: bytes) -> None:
            if b"text 0" in data and not self.kept:
                self.kept = data
                return
            super().sends(data)
            if b"text 1" in data:
                super().sends(self.kept)

    assert list(broken(found(BY_NAME["texts"], Twice))) == [Rule.REL_1]
    assert list(broken(found(BY_NAME["texts"], Late))) == [Rule.REL_2]


def test_a_text_over_tcp_is_found() -> None:
    class OverTcp(Person):
        def is_told(self, line: str) -> None:
            self.scene.connections[-1].received += line.encode()
            super().is_told(line)

    assert list(broken(found(BY_NAME["texts"], OverTcp))) == [Rule.TCP_1]


@pytest.mark.parametrize(("most", "is_found"), [(4096, False), (4097, True)])
def test_a_line_that_is_too_long_is_not_sent_as_one_datagram(most: int, is_found: bool) -> None:
    class Sends(Person):
        def is_told(self, line: str) -> None:
            if len(line) < 4000:
                super().is_told(line)
            else:
                self.sends((b"\x09\x20judge-0-1" + b"t" * 32 + line.encode())[:most])

    assert (Rule.UDP_1 in broken(found(BY_NAME["too long a line"], Sends))) is is_found


# --- leaving ---------------------------------------------------------------------------------------


def test_a_client_that_leaves_without_the_word_or_speaks_after_it_is_found() -> None:
    class JustEnds(Person):
        def is_told(self, line: str) -> None:
            if line == "exit":
                self.exits(0)

    class Speaks(Person):
        def sends(self, data: bytes) -> None:
            super().sends(data)
            if data.endswith(b"exit"):
                super().sends(data[:-4] + b"bye")

    assert list(broken(found(BY_NAME["leaving"], JustEnds))) == [Rule.EXIT_1]
    assert broken(found(BY_NAME["leaving"], Speaks)).keys() == {Rule.TOK_4}
