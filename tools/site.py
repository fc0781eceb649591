"""Hooks of MkDocs: what `make site` adds to the files in docs/ (mkdocs.yml names this module).

Files of the project outside docs/ (the README, the protocol, CONTRIBUTING) become pages of the site, and a page of
all options is made from the parsers of the programs. The links in the files suit a clone: here they are changed to
lead to pages, and links to source files become plain words. A fence may name its file (```yaml mine.yaml): the name
becomes the title of the block.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tcrp.cli import client, control, server, sim
from tcrp.spec.ownership import LEASE, OWNERSHIP
from tcrp.spec.render import TABLES, mermaid
from tools.machine_pictures import machine_svg
from tools.tables import markdown_table

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "index.md": "README.md",
    "ja.md": "README.ja.md",
    "protocol.md": "spec/PROTOCOL.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that are files of the project outside docs/."""
OPTIONS_PAGE = "options.md"
API_PAGE = "api.md"
API = (
    "tcrp.net.client",
    "tcrp.net.bot",
    "tcrp.engine.server",
    "tcrp.engine.client",
    "tcrp.engine.outputs",
    "tcrp.engine.codec",
    "tcrp.engine.meanings",
    "tcrp.sim.scenario.reader",
    "tcrp.sim.scenario.writer",
    "tcrp.sim.run",
    "tcrp.sim.swarm.generator",
    "tcrp.sim.swarm.failures",
    "tcrp.trace.reader",
    "tcrp.trace.records",
    "tcrp.trace.trace",
    "tcrp.trace.causes",
    "tcrp.trace.sentences",
    "tcrp.spec.names",
    "tcrp.spec.limits",
    "tcrp.spec.dialects",
    "tcrp.spec.table",
)
"""The modules that other programs are meant to use, from the outside in."""
INDEX_OF_DOCS = "README.md"
"""docs/README.md: the site's navigation stands for it."""
PAGE_OF = {source: page for page, source in ELSEWHERE.items()} | {f"docs/{INDEX_OF_DOCS}": "index.md"}
FENCE = re.compile(r"^(```[a-z]+) ([^\n`]+)$", re.MULTILINE)
WIDE = "\u3040-\u30ff\u3400-\u9fff\uff00-\uffef\u3000-\u303f"
BETWEEN_WIDE = re.compile(f"(?<=[{WIDE}])\\n(?=[{WIDE}])")
CODE = re.compile(r"<code>[^<]*</code>")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere and the generated ones."""
    index = files.get_file_from_path(INDEX_OF_DOCS)
    if index is not None:
        files.remove(index)
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, OPTIONS_PAGE, content=options_page()))
    files.append(File.generated(config, API_PAGE, content=api_page()))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Lead the links of a page to pages of the site."""
    path = page.file.src_uri
    source = ELSEWHERE.get(path, f"docs/{path}")
    led = lead_links(markdown, source, {file.src_uri for file in files})
    return FENCE.sub(r'\1 title="\2"', draw_machines(led))


def draw_machines(markdown: str) -> str:
    """A page with its machines drawn: Mermaid needs a script that a reader without a network would lack."""
    for machine, table in TABLES.items():
        markdown = markdown.replace(f"```mermaid\n{mermaid(table)}\n```", machine_svg(machine))
    for going_round in (LEASE, OWNERSHIP):  # their states have no order from left to right; the table below says all
        markdown = markdown.replace(f"```mermaid\n{mermaid(going_round)}\n```\n", "")
    return markdown


def on_page_content(html: str, **_: object) -> str:
    """A line break between two Japanese characters is no space; code in a table keeps no backslash before a bar."""
    return BETWEEN_WIDE.sub("", CODE.sub(lambda code: code[0].replace("\\|", "|"), html))


def lead_links(markdown: str, source: str, pages: set[str]) -> str:
    """The text of the project's file `source` with its links as the site needs them. Fenced blocks stay."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.startswith("```") else LINK.sub(lambda match: _led(match, source, pages), part) for part in parts
    )


def _led(link: re.Match[str], source: str, pages: set[str]) -> str:
    picture, words, target = link.groups()
    if target.startswith("#") or ":" in target:
        return link[0]
    path, _, anchor = target.partition("#")
    place = os.path.normpath(os.path.join(os.path.dirname(source), path))
    page = PAGE_OF.get(place, place.removeprefix("docs/") if place.startswith("docs/") else "")
    if page not in pages:
        return str(words)
    return f"{picture}[{words}]({page}{'#' if anchor else ''}{anchor})"


def api_page() -> str:
    """The public modules; mkdocstrings puts their docstrings and signatures there."""
    introduction = (
        "# Python API\n\nMade from the docstrings of the modules that other programs use. "
        "[Python](python.md) shows them at work.\n"
    )
    return introduction + "".join(f"\n## `{module}`\n\n::: {module}\n" for module in API)


def options_page() -> str:
    """Every option of every program, from the parsers that read them."""
    parts = ["# Options of the programs\n", "Made from the parsers of the programs. `--help` says the same.\n"]
    for parser in (server._parser(), control._parser(), client._parser(), sim._parser()):
        parts += [*_program(parser, "##")]
    return "\n".join(parts)


def _program(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    yield f"{heading} {parser.prog}\n"
    yield f"{(parser.description or '').strip()}\n"
    rows = [["option", "meaning"]]
    commands: dict[str, argparse.ArgumentParser] = {}
    helps: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands = dict(action.choices)
            helps = {each.dest: each.help or "" for each in action._choices_actions}
        elif action.help != argparse.SUPPRESS:
            rows.append([f"`{parser._get_formatter()._format_action_invocation(action)}`", _cell(parser, action)])
    if len(rows) > 1:
        yield markdown_table(rows) + "\n"
    for name, command in commands.items():
        command.description = command.description or helps.get(name, "")
        yield from _program(command, f"{heading}#")


def _cell(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    help_text = parser._get_formatter()._expand_help(action) if action.help else ""
    return help_text.replace("<", "&lt;")
