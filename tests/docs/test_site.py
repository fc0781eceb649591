"""The documents as a site: every page is there, every link leads to one, and no page loads anything from elsewhere."""

from __future__ import annotations

import ast
import html
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools.site import API, OPTIONS_PAGE, lead_links, options_page

from tcrp.cli import server, sim
from tcrp.cli.version import COMPILED, tcrp_build
from tcrp.spec.render import TABLES

ROOT = Path(__file__).parents[2]
LOADS = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\bhref=\"(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Building fails on every warning: a dead link, a page outside the navigation."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    pages = {path.stem for path in site.glob("*.html")}
    assert documents | {"index", "ja", "protocol", "contributing", "changelog", "options", "api"} <= pages


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        assert not LOADS.search(page.read_text(encoding="utf-8")), page.name


def test_a_block_keeps_its_text_and_shows_the_name_of_its_file(site: Path) -> None:
    tutorial = (site / "tutorial.html").read_text(encoding="utf-8")
    assert "first.yaml</span>" in tutorial
    assert "```" not in re.sub(r"<[^>]+>", "", tutorial)


def test_the_protocol_page_draws_each_machine_with_all_its_states_and_events(site: Path) -> None:
    protocol = (site / "protocol.html").read_text(encoding="utf-8")
    drawn = re.findall(r'<svg class="machine".*?</svg>', protocol)
    assert "stateDiagram" not in protocol
    for picture, table in zip(drawn, TABLES.values(), strict=True):
        words = set(re.findall(r"[a-z_-]+", " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture))))
        assert {str(word) for row in table.rows for word in row} <= words


@pytest.mark.skipif(
    tcrp_build() == COMPILED,
    reason="the site is made from sources: with a compiled wheel its tool finds modules that have no docstring",
)
def test_the_page_of_the_python_api_has_docstrings_and_signatures(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "api.html").read_text(encoding="utf-8"))
    for module in API:
        source, *_ = ROOT.glob(f"*/{module.replace('.', '/')}.py")
        documentation = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").splitlines()[0]
        assert html.escape(documentation.replace("`", ""), quote=False) in page, module
    assert "next_deadline_us() -&gt; int | None" in page


def test_links_lead_to_pages_and_source_files_become_words() -> None:
    pages = {"chat.md", "protocol.md", "index.md"}
    text = "[a](chat.md#bots) [b](../spec/PROTOCOL.md) [c](../README.md) [d](../sim/scenarios/) [e](https://x.example)"
    led = "[a](chat.md#bots) [b](protocol.md) [c](index.md) d [e](https://x.example)"
    assert lead_links(text, "docs/simulator.md", pages) == led
    assert lead_links("```sh\n[b](../spec/PROTOCOL.md)\n```", "docs/x.md", pages).count("PROTOCOL") == 1


def test_the_page_of_options_has_every_option_of_every_command() -> None:
    page = options_page()
    commands = next(action.choices for action in sim._parser()._actions if action.dest == "command" or action.choices)
    assert commands
    for name, command in dict(commands).items():
        assert f"### chat-sim {name}\n" in page
        for action in command._actions:
            assert all(f"{option}" in page for option in action.option_strings)
    for action in server._parser()._actions:
        assert all(option in page for option in action.option_strings)
    assert OPTIONS_PAGE.endswith(".md")
