"""Reports of verdicts: table, JSON, JUnit."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from judge.report_samples import BROKEN, HOLDS, SENT, SKIPPED, judgement
from tcrp.cli.conform import report
from tcrp.cli.conform_report import as_junit, shown_bytes
from tcrp.judge.record import Waits
from tcrp.spec.names import Rule


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
