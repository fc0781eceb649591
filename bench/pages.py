"""How fast a page of a long trace opens in Chromium, and how smoothly it scrubs.

    python -m bench.pages [--records 100000] [--chromium /usr/bin/chromium]

Opens the page of a synthetic trace from a file, waits until it has drawn, and then drags the scrubber from end to
end: a frame is counted when the browser has drawn it. On a busy machine the processor time of the page's thread says
more than the clock. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.results import Found
from tcrp.cli.findings import about_run
from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.records import Record
from tcrp.view.html import page
from tcrp.view.picture import picture_of

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
SCRUBS = 120
FRAMES = """async (scrubs) => {
    const scrub = document.getElementById("scrub"), most = Number(scrub.max), times = [];
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    await frame();
    let before = performance.now();
    for (let k = 0; k <= scrubs; k++) {
        scrub.value = Math.round(most * k / scrubs);
        scrub.dispatchEvent(new Event("input"));
        await frame();
        await frame();  // the page draws in the first of the two
        const now = performance.now();
        times.push((now - before) / 2);
        before = now;
    }
    return times.sort((a, b) => a - b);
}"""


def long_page(records_max: int) -> tuple[str, int]:
    """The page of a run with about that many records: ten users in a room, who go on talking."""
    texts = records_max // 450  # of each user: a text makes about fifty records
    users = "\n".join(f"  - {{at: {100 + 50 * n}ms, user{n}: {{join: hall}}}}" for n in range(9))
    talk = "\n".join(
        f"  - {{at: {1000 + n * 13}ms, every: 500ms, times: {texts}, user{n}: {{say: text}}}}" for n in range(9)
    )
    scenario = read_scenario_text(
        "claim: a long talk\nserver: {texts_per_second_max: 1000}\nnetwork: {default: {delay: 5ms..20ms, loss: 1%}}\n"
        f"script:\n  - {{at: 0s, host: {{create: hall}}}}\n{users}\n{talk}\n"
    )
    records: list[Record] = []
    verdict = Run(scenario, listeners=[records.append]).go()
    picture = picture_of(scenario_header(scenario, 0), records, last=records_max)
    return page(picture, about_run(verdict, records, "")), len(picture.records)


def measure(file: Path, chromium: str) -> dict[str, float]:
    """Milliseconds until the page has been drawn, and per frame of a scrub: by the clock, and of processor time."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        tab: Any = browser.new_page(viewport={"width": 1440, "height": 900})
        devtools = tab.context.new_cdp_session(tab)
        devtools.send("Performance.enable")

        def thread_ms() -> float:
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return float(next(each["value"] for each in metrics if each["name"] == "ThreadTime")) * 1000

        tab.goto("about:blank")
        begun = time.perf_counter()
        tab.goto(file.as_uri())
        tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        opened_ms = (time.perf_counter() - begun) * 1000
        opened_cpu_ms = thread_ms()
        frames = tab.evaluate(FRAMES, SCRUBS)
        frame_cpu_ms = (thread_ms() - opened_cpu_ms) / SCRUBS
        browser.close()
    return {
        "opened": opened_ms,
        "opened, processor time": opened_cpu_ms,
        "frame, median": frames[len(frames) // 2],
        "frame, 95th percentile": frames[int(len(frames) * 0.95)],
        "step of the scrubber, processor time": frame_cpu_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    found = Found("pages in Chromium")
    begun = time.perf_counter()
    text, count = long_page(options.records)
    print(f"{count:,} records, {len(text) / 1e6:.1f} MB, made in {time.perf_counter() - begun:.1f} s")
    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        file = Path(folder) / "long.html"
        file.write_text(text, encoding="utf-8")
        figures = measure(file, options.chromium)
    for name, value in figures.items():
        found.figure(f"{name} ({count} records)", value, "ms")
    found.write()


if __name__ == "__main__":
    main()
