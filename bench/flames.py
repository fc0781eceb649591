"""A flame graph of the simulator: twenty users talk, with trace, digest and every check.

    python -m bench.flames FILE.svg [--sources FOLDER] [--title TEXT]

py-spy samples the process (`make flames` installs it) and draws. `--sources` is another checkout, whose graph is drawn
for comparison. Of the picture, what is narrower than the hundredth part of it is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

from bench.__main__ import ROOM_OF_TWENTY

ROOT = Path(__file__).resolve().parents[1]
TEXTS = 500  # of each user: the start of the program is then a few hundredths of the samples
SAMPLES_PER_SECOND = 100
NARROWEST_PERCENT = 1.0
LINE_PIXELS = 16
BELOW_PIXELS = 40
FRAME = re.compile(r"<g><title>(?P<name>[^<]*)</title><rect[^>]* y=\"(?P<y>\d+)\" width=\"(?P<width>[\d.]+)%\".*?</g>")
RUN = "import sys; from tcrp.cli.sim import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Draw the graph."""
    parser = argparse.ArgumentParser(prog="python -m bench.flames", description="A flame graph of the simulator.")
    parser.add_argument("output", type=Path, metavar="FILE.svg")
    parser.add_argument("--sources", type=Path, default=ROOT, metavar="FOLDER", help="a checkout (this one)")
    parser.add_argument("--title", default="Twenty users talk, with trace, digest and every check")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenario, drawn = Path(folder, "room.yaml"), Path(folder, "drawn.svg")
        scenario.write_text(ROOM_OF_TWENTY.format(texts=TEXTS), encoding="utf-8")
        record = ["py-spy", "record", "--function", "--rate", str(SAMPLES_PER_SECOND), "--output", str(drawn), "--"]
        program = [sys.executable, "-c", RUN, "run", "--format", "quiet", str(scenario)]
        sources = os.pathsep.join(str(options.sources / each) for each in ("spec", "engine", "sim", "cli"))
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "PYTHONPATH": sources, "PATH": tools}
        subprocess.run([*record, *program], check=True, env=environment, stdout=subprocess.DEVNULL)
        options.output.write_text(trimmed(drawn.read_text(encoding="utf-8"), options.title), encoding="utf-8")


def trimmed(svg: str, title: str) -> str:
    """The picture without narrow frames, the empty space below, a script, and the command as its title."""
    deepest = 0

    def kept(frame: re.Match[str]) -> str:
        nonlocal deepest
        if float(frame["width"]) < NARROWEST_PERCENT:
            return ""
        deepest = max(deepest, int(frame["y"]))
        return frame[0]

    svg = FRAME.sub(kept, svg)
    # The script that py-spy adds and what it moves: a document shows a picture without it.
    svg = re.sub(r'<script.*?</script>|<text id="(?:details|unzoom|search|matched)".*?</text>| onload="[^"]*"', "", svg,
                 flags=re.DOTALL)  # fmt: skip
    svg = re.sub(r'(<text id="title"[^>]*>)[^<]*', lambda found: found[1] + escape(title), svg)
    height = deepest + LINE_PIXELS + BELOW_PIXELS
    for shape in (r'<svg [^>]*? height="', r'viewBox="0 0 \d+ ', r'<rect x="0" y="0" width="100%" height="'):
        svg = re.sub(rf"({shape})\d+", lambda found: f"{found[1]}{height}", svg, count=1)
    return svg


if __name__ == "__main__":
    main()
