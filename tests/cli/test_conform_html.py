"""The report of a judgement as a page, and as a badge."""

from __future__ import annotations

from html.parser import HTMLParser

from judge.report_samples import BROKEN, HOLDS, LOST, judgement
from tcrp.cli.conform_html import as_html, badge
from tcrp.judge.record import Waits
from tcrp.spec.names import Rule


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
