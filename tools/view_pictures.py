"""docs/view.svg and docs/view.png: the scenario of docs/view.md, drawn and photographed.

    python -m tools.view_pictures write
    python -m tools.view_pictures check

The SVG is checked against the code. The photograph of the page needs Chromium; without it, it stays as it is.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tcrp.cli.findings import about_run
from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.records import Record
from tcrp.view.about import About
from tcrp.view.html import page
from tcrp.view.picture import Picture, picture_of
from tcrp.view.svg import svg

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "view.md"
PICTURE = ROOT / "docs" / "view.svg"
PHOTOGRAPH = ROOT / "docs" / "view.png"
SCENARIO = re.compile(r"^```yaml (wrong\.yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run() -> tuple[Picture, About]:
    """The run of the document's scenario."""
    found = SCENARIO.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None, "the document begins with its scenario"
    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        file = Path(folder) / found[1]
        file.write_text(found[2], encoding="utf-8")
        scenario = read_scenario(file)
    records: list[Record] = []
    verdict = Run(scenario, listeners=[records.append]).go()
    about = about_run(verdict, records, found[2])
    return picture_of(scenario_header(scenario, verdict.seed), records), about


def photograph(text: str, chromium: str) -> bytes:
    """The page as a browser shows it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1360, "height": 820})
        tab.goto(file.as_uri())
        tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken: bytes = tab.screenshot()
        browser.close()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("write", "check"))
    picture, about = run()
    drawn = svg(picture, about)
    if parser.parse_args().command == "check":
        if PICTURE.read_text(encoding="utf-8") != drawn:
            print(f"{PICTURE.relative_to(ROOT)} shows another run than today's: make picture", file=sys.stderr)
            return 1
        return 0
    PICTURE.write_text(drawn, encoding="utf-8", newline="\n")
    if (chromium := shutil.which("chromium")) is not None:
        PHOTOGRAPH.write_bytes(photograph(page(picture, about), chromium))
    return 0


if __name__ == "__main__":
    sys.exit(main())
