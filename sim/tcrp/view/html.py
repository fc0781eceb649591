"""A trace as one HTML page that needs nothing else: no network, no other file.

The page's parts are files in `page/`. What they draw comes as JSON, which no browser takes for markup or code; a policy
in the page forbids every request, and every script and style but its own. Raises nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from tcrp.engine.text import shown
from tcrp.spec.cluster_names import OwnRule
from tcrp.spec.names import Rule
from tcrp.spec.rules import sentence_of
from tcrp.view.about import About
from tcrp.view.chunks import MACHINES, ChunkWriter
from tcrp.view.machines import diagrams
from tcrp.view.picture import Picture

SCRIPTS = ("trace.js", "layout.js", "draw.js", "machines.js", "app.js", "panel.js", "main.js")


def page(picture: Picture, about: About) -> str:
    """The page of a trace."""
    return _page(about, {"chunk": ChunkWriter(picture, dict(about.texts)).chunk()}, connects="'none'")


def live_page(about: About, events: str) -> str:
    """A page that draws what the server at its own address sends under the path `events`."""
    return _page(about, {"live": {"events": events}}, connects="'self'")


def _page(about: About, content: dict[str, Any], *, connects: str) -> str:
    style, script, template = _parts()
    policy = (
        f"default-src 'none'; script-src {digest_of(script)}; style-src {digest_of(style)}; connect-src {connects}; "
        "base-uri 'none'; form-action 'none'"
    )
    data = {
        **content,
        "about": _about(about),
        "machines": [asdict(each) for each in diagrams()],
        "names": MACHINES,
        "rules": {str(rule): sentence_of(rule) for rule in (*Rule, *OwnRule)},
        "meanings": dict(about.meanings),
    }
    return Template(template).substitute(
        policy=html.escape(policy),
        title=html.escape(shown(about.title)),
        style=style,
        script=script,
        data=in_script(data),
    )


def _about(about: About) -> dict[str, Any]:
    return {
        "title": shown(about.title),
        "subtitle": shown(about.subtitle),
        "verdict": about.verdict,
        "holds": about.holds,
        "findings": [
            {"what": shown(f.what), "parts": [[name, shown(text)] for name, text in f.parts], "n": f.n}
            for f in about.findings
        ],
        "source": "\n".join(shown(line) for line in about.source.splitlines()),
        "notes": [shown(note) for note in about.notes],
    }


def in_script(data: object) -> str:
    """JSON that may stand in a script element: nothing in it can end the element, or begin a comment."""
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (
        written.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


@cache
def _parts() -> tuple[str, str, str]:
    """The style, the script and the template."""
    folder = files("tcrp.view") / "page"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    script = "\n".join(['"use strict";', "(() => {", *map(read, SCRIPTS), "})();\n"])
    return f"\n{read('page.css')}", f"\n{script}", read("page.html")


def digest_of(text: str) -> str:
    """How a policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
