"""Reports of verdicts: table, JSON, JUnit, HTML, badge, exit codes."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tcrp.cli.conform import FORMATS, report
from tcrp.cli.conform_html import as_html, badge
from tcrp.cli.conform_report import as_junit, shown_bytes
from tcrp.judge.record import Waits
from tcrp.judge.suite import REPAIRS
from tcrp.judge.verdicts import Exchange, Finding, Judgement, Outcome, merge
from tcrp.spec.names import Rule

SENT = Exchange(1500, "bob", "→", "UDP", b"\x05\x02lobbyaa\xff\x00<b>", "hello & goodbye")
NOTED = Exchange(2500, "judge", "·", "", b"", "nobody <answers>")
HOLDS = Finding(Rule.TCP_1, Outcome.HOLDS, "nothing follows", "half-close", (SENT,))
BROKEN = Finding(Rule.UDP_3, Outcome.BROKEN, "after \x1b nothing is relayed", "malformed", (SENT, NOTED))
SKIPPED = Finding(Rule.PASS_1, Outcome.NOT_TESTED, "no password here", "password")
LOST = Finding(Rule.REL_1, Outcome.NOT_TESTED, "the network lost 2 of 8", "relays", inconclusive=True)


def judgement(*findings: Finding) -> Judgement:
    verdicts = merge(findings, {Rule.SHOW_1: "a rule for clients"})
    return Judgement("127.0.0.1", "json", verdicts, ("a note",), REPAIRS)


@pytest.mark.parametrize(
    ("findings", "code"), [((HOLDS, SKIPPED), 0), ((HOLDS, BROKEN), 1), ((HOLDS, LOST), 2), ((BROKEN, LOST), 1)]
)
def test_the_exit_code_says_whether_the_server_conforms(
    findings: tuple[Finding, ...], code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for form in FORMATS:
        assert report(judgement(*findings), Waits(), form, str(tmp_path / "badge.svg")) == code
        assert capsys.readouterr().out


def test_the_table_ends_with_proof_and_repair_of_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    report(judgement(HOLDS, BROKEN), Waits(), "table", None)
    shown = capsys.readouterr().out
    assert "R-UDP-3 is broken" in shown
    assert "Catch every error of decoding" in shown
    assert '0.002 s bob   → UDP 05 02 "lobbyaa" ff 00 "<b>" (hello & goodbye)' in shown
    assert shown.endswith("1 rule is broken, 1 hold, 29 were not tested.\n")


def test_json_holds_every_byte_of_the_proof(capsys: pytest.CaptureFixture[str]) -> None:
    report(judgement(BROKEN), Waits(), "json", None)
    whole = json.loads(capsys.readouterr().out)
    [verdict] = [each for each in whole["verdicts"] if each["rule"] == "R-UDP-3"]
    assert verdict["findings"][0]["exchange"][0]["hex"] == SENT.data.hex()
    assert (whole["conforms"], whole["conclusive"], whole["notes"]) == (False, True, ["a note"])


def test_junit_is_xml_with_a_case_for_each_rule() -> None:
    suite = ElementTree.fromstring(as_junit(judgement(HOLDS, BROKEN, SKIPPED)))  # noqa: S314 (ours)
    assert len(suite) == len(Rule)
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", str(len(Rule) - 2))
    [failure] = suite.iter("failure")
    assert failure.attrib["message"] == "after \ufffd nothing is relayed"


class Pages(HTMLParser):
    """The pages of a report, and the links to them."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.lines = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {str(found["id"])} if "id" in found else set()
        self.links |= {str(found["href"])} if "href" in found else set()
        self.lines += tag == "path"


def test_html_has_a_page_for_each_rule_and_draws_the_exchange() -> None:
    text = as_html(judgement(HOLDS, BROKEN), Waits())
    pages = Pages()
    pages.feed(text)
    assert pages.ids == {"summary", *map(str, Rule)}
    assert pages.links == {"#summary", *(f"#{rule}" for rule in Rule)}
    assert pages.lines == 2  # an arrow for what was sent, in each of two findings; none for the note
    assert "hello &amp; goodbye" in text
    assert "nobody &lt;answers&gt;" in text


def test_the_badge_says_what_was_found() -> None:
    assert "conforms (1 rules)" in badge(judgement(HOLDS))
    assert "1 of 2 rules broken" in badge(judgement(HOLDS, BROKEN))
    assert "could not be tested" in badge(judgement(LOST))


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"\x0f\x01" + bytes(28) + b":lobby", '0f 01 00×28 ":lobby"'),
        ("日本語\x07".encode(), '"日本語" 07'),
        (b"ab\xff", "61 62 ff"),
        (b"x" * 500, '"xxx…xxxxxxxx" (500 bytes)'),
    ],
)
def test_bytes_are_shown_as_text_where_they_are_text(data: bytes, shown: str) -> None:
    assert shown_bytes(data, 14 if len(data) > 400 else 60) == shown
