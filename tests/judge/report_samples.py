"""Findings of a judge for the tests of reports: with bytes, markup and control characters in them."""

from __future__ import annotations

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
