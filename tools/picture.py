"""docs/run.svg: the output of `chat-sim run examples/cut.yaml --rows 28`, drawn by rich's SVG export.

    python -m tools.picture write
    python -m tools.picture check

The picture is of a real run and prints through the same tables as the command. One scenario gives one
picture: no random id, no absolute path, and nothing that a browser would fetch.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.measure import Measurement
from rich.terminal_theme import TerminalTheme

from tcrp.cli.report import digest_line, print_verdict
from tcrp.cli.rows import fold, fold_repeats
from tcrp.cli.steps import WIDE_ENOUGH, steps_table
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.records import Record

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "run.svg"
SCENARIO = Path("examples/cut.yaml")
ROWS = 28
COMMAND = f"chat-sim run {SCENARIO} --rows {ROWS}"
FONTS = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace'
SVG_TEXT = "{http://www.w3.org/2000/svg}text"
FONT_FACE = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)
# Dark, with a contrast of at least 4.5 for every colour that the table uses, `dim` included.
THEME = TerminalTheme(
    background=(24, 27, 33),
    foreground=(225, 228, 234),
    normal=[
        (24, 27, 33), (255, 123, 114), (126, 211, 133), (230, 192, 104),
        (130, 177, 255), (215, 160, 255), (110, 205, 220), (225, 228, 234),
    ],
)  # fmt: skip


def picture() -> str:
    """The picture of the current run as SVG."""
    records: list[Record] = []
    verdict = Run(read_scenario(ROOT / SCENARIO), listeners=[records.append]).go()
    wide = Console(file=io.StringIO(), width=WIDE_ENOUGH, force_terminal=True, _environ={})
    table = steps_table(list(fold_repeats(fold(records))), wide, ROWS)
    # As wide as the table needs: every column that is spared makes the text larger on a page.
    width = Measurement.get(wide, wide.options, table).maximum
    console = Console(
        file=io.StringIO(), width=width, record=True, force_terminal=True, color_system="truecolor", highlight=False,
        legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(table)
    print_verdict(console, verdict)
    console.print(digest_line([verdict.digest]), style="dim")
    svg = console.export_svg(title=COMMAND, theme=THEME, unique_id="run")
    # rich's template fetches its font from the network.
    svg = (
        FONT_FACE.sub("", svg)
        .replace("Fira Code, monospace", FONTS)
        .replace("font-family: arial", "font-family: sans-serif")
    )
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def words(svg: str) -> list[str]:
    """The words that a picture shows, in order. Versions of rich differ in the rest."""
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own file)
    return " ".join("".join(text.itertext()) for text in root.iter(SVG_TEXT)).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("write", "check"))
    if parser.parse_args().command == "write":
        PICTURE.write_text(picture(), encoding="utf-8", newline="\n")
        return 0
    if words(PICTURE.read_text(encoding="utf-8")) != words(picture()):
        print(f"{PICTURE.relative_to(ROOT)} shows another run than today's: make picture", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
