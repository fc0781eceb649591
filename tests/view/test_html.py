"""The page of a trace, in a real browser: tcrp.view.html and its scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from browser import Tab, chromium, opened
from tcrp.cli.findings import about_run
from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.spec.names import Machine
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import PacketRecord, Record
from tcrp.trace.sentences import sentence
from tcrp.view.about import About, Finding
from tcrp.view.html import in_script, page
from tcrp.view.machines import diagrams
from tcrp.view.picture import Fate, Picture, picture_of
from trace_samples import RECORDS, numbered

ROOT = Path(__file__).parents[2]
WRONG = """
claim: a text sent while bob is cut off is delivered later
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: "hello?"}}
expect:
  - {bob: {sees: ["hello?"]}}
"""
EVIL = "</script><img src=x onerror=alert(1)><!-- 'quoted\" & {{7*7}} ]]>"


def of_scenario(text: str) -> tuple[Picture, About]:
    scenario = read_scenario_text(text)
    records: list[Record] = []
    verdict = Run(scenario, listeners=[records.append]).go()
    return picture_of(scenario_header(scenario, 0), records), about_run(verdict, records, text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "wrong.html"
    file.write_text(page(*of_scenario(WRONG)), encoding="utf-8")
    return file


def lost_n() -> int:
    picture, _ = of_scenario(WRONG)
    [lost] = [packet for packet in picture.packets if packet.fate is Fate.LOST]
    return lost.end_n


def click(tab: Tab, n: int, share: float = 0.5) -> None:
    """Click on the line of the packet whose sending, or whose end, is record `n`."""
    x, y = tab.ask(
        """([n, share]) => {
            const { painter, scroller } = app, box = scroller.getBoundingClientRect();
            const hit = painter.hits.find((each) => each.line && (each.n === n || each.end === n));
            return [box.left - scroller.scrollLeft + hit.x0 + (hit.x1 - hit.x0) * share,
                    box.top - scroller.scrollTop + hit.y0 + (hit.y1 - hit.y0) * share];
        }""",
        [n, share],
    )
    tab.page.mouse.click(x, y)


def drawn(tab: Tab) -> None:
    tab.ask("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


# --- what the page says -------------------------------------------------------------------------


def test_a_false_claim_is_understood_from_the_page_alone(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        assert tab.text("#title") == "a text sent while bob is cut off is delivered later"
        assert tab.text("#verdict") == "✗ does not hold"
        assert "the relay to bob was dropped at 2.51 s: cut" in tab.text("#findings")
        # the page begins at the record at which the text was lost, with all that led to it
        assert tab.ask("() => app.cursor") == lost_n()
        assert "drops relay from server to bob" in tab.text("#record-says")
        assert "alice: sends say to server" in tab.text("#causes")
        assert "hello?" in tab.text("#facts")
        assert str(tab.page.text_content("#source")).strip() == WRONG.strip()
        assert tab.requests == tab.errors == []


def test_clicks_lead_from_a_packet_to_its_cause_and_back(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        say = tab.ask("() => app.trace.packets.find((each) => each.what === 'say').sent")
        click(tab, say, 0.3)
        assert tab.ask("() => location.hash") == f"#n={say}"
        assert tab.text("#record-title") == f"Record {say}"
        assert "drops relay from server to bob" in tab.text("#effects")
        tab.page.click(f"#effects button[data-n='{lost_n()}']")
        assert tab.ask("() => app.cursor") == lost_n()
        tab.page.click(f"#causes button[data-n='{say}']")
        assert tab.ask("() => app.cursor") == say
        lit = tab.ask("() => [...app.lit].sort((x, y) => x - y)")
        assert say in lit
        assert lost_n() in lit


def test_scrubbing_lights_the_states_of_that_moment(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        seen = []
        for n in (1, 50, 65, 40, 5):  # forwards, backwards, and far
            tab.ask(
                """(n) => { const scrub = document.getElementById("scrub"); scrub.value = n - 1;
                            scrub.dispatchEvent(new Event("input")); }""",
                n,
            )
            seen.append(
                tab.ask("() => [...document.querySelectorAll('.state.lit .name')].map((each) => each.textContent)")
            )
            picture, _ = of_scenario(WRONG)
            server = [t.index for t in picture.tracks if picture.lifelines[t.lifeline].id == "server"]
            states = {picture.tracks[i].state_at(n) for i in server} - {None, "completed"}
            assert set(seen[-1]) - {"completed"} == states
        assert len({tuple(each) for each in seen}) > 2


def test_the_keys_do_what_the_pointer_does(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        tab.page.focus("#scroller")
        tab.page.keyboard.press("Home")
        assert tab.ask("() => app.cursor") == 1
        tab.page.keyboard.press("ArrowDown")
        after = tab.ask("() => app.cursor")
        assert after > 1
        assert tab.ask("() => document.getElementById('said').textContent") == tab.ask(
            "() => app.trace.sentence(app.cursor)"
        )
        tab.page.keyboard.press("n")  # the next trouble: the cut
        assert "fault: cut" in tab.text("#record-says")
        tab.page.keyboard.press("n")
        assert tab.ask("() => app.cursor") == lost_n()
        tab.page.keyboard.press("c")
        assert "sends relay to bob" in tab.text("#record-says")
        tab.page.keyboard.press("Escape")
        assert tab.ask("() => app.lit") is None
        tab.page.keyboard.press("?")
        assert tab.page.is_visible("#keys")


def test_search_goes_from_match_to_match(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        tab.page.keyboard.press("/")
        tab.page.keyboard.type("hello?")
        tab.page.keyboard.press("Enter")
        count = int(tab.text("#found").split(" of ")[1])
        assert count == 4, "say: sent, arrived; relay: sent, dropped"
        first = tab.ask("() => app.cursor")
        tab.page.keyboard.press("Enter")
        assert tab.ask("() => app.cursor") != first
        for words, n in (("n=7", 7), ("t=0.03", 16), ("never said", 16)):
            tab.page.fill("#search", words)
            tab.page.press("#search", "Enter")
            assert tab.ask("() => app.cursor") == n
        assert tab.text("#found") == "nothing found"


def test_a_link_leads_to_its_record(browser: Any, wrong: Path) -> None:
    with opened(browser, f"{wrong.as_uri()}#n=7") as tab:
        assert tab.text("#record-title") == "Record 7"
        tab.ask("() => { location.hash = '#n=12'; }")
        tab.page.wait_for_function("() => app.cursor === 12")
        tab.ask("() => { location.hash = '#n=99999'; }")  # no such record: nothing happens
        assert tab.ask("() => app.cursor") == 12


def test_a_crash_takes_the_states_away_and_scrubbing_back_brings_them_again(browser: Any, tmp_path: Path) -> None:
    text = WRONG.replace('{at: 2500ms, alice: {say: "hello?"}}', "{at: 4s, server: crash}").partition("expect:")[0]
    picture, about = of_scenario(text)
    [crash] = [fault for fault in picture.faults if fault.what == "crash"]
    file = tmp_path / "crash.html"
    file.write_text(page(picture, about), encoding="utf-8")
    with opened(browser, file) as tab:
        lit = "(n) => { app.moveTo(n); return document.querySelectorAll('.state.lit').length; }"
        before = tab.ask(lit, crash.from_n - 1)
        assert before == 2, "a session state and a room state"
        assert [tab.ask(lit, n) for n in (crash.from_n, crash.from_n - 1, crash.from_n)] == [0, before, 0]


# --- what it draws ------------------------------------------------------------------------------


def colours(tab: Tab) -> dict[str, int]:
    """How many pixels have the colours of what the page draws. Fonts and edges make no difference."""
    drawn(tab)
    found: dict[str, int] = tab.ask(
        """() => {
            const canvas = document.getElementById("canvas"), context = canvas.getContext("2d");
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data, counts = {}, wanted = {};
            for (const name of ["udp", "tcp", "bad", "state-in-room", "state-open", "state-tokened"]) {
                context.fillStyle = app.painter.colours[name];
                wanted[parseInt(context.fillStyle.slice(1), 16)] = name;
                counts[name] = 0;
            }
            for (let i = 0; i < pixels.length; i += 4) {
                const name = wanted[(pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]];
                if (name && pixels[i + 3] === 255) counts[name]++;
            }
            return counts;
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_has_bands_arrows_and_losses(browser: Any, wrong: Path, scheme: str) -> None:
    with opened(browser, wrong, color_scheme=scheme) as tab:
        tab.page.keyboard.press("Escape")
        tab.page.focus("#scroller")
        tab.page.keyboard.press("Home")
        above = colours(tab)
        assert above["tcp"] > 30, "requests and answers"
        assert above["state-in-room"] > 3000
        assert above["state-open"] > 3000
        assert above["state-tokened"] > 300
        assert above["bad"] == 0, "what is lost is further below"
        tab.page.keyboard.press("End")
        below = colours(tab)
        assert below["bad"] > 30
        assert below["udp"] > 30


def test_latency_is_a_slope_and_a_loss_ends_on_its_way(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        drawn(tab)
        lines = tab.ask(
            "() => app.painter.hits.filter((hit) => hit.line).map((hit) => [hit.end, hit.x0, hit.y0, hit.x1, hit.y1])"
        )
        by_end = {end: (abs(x1 - x0), y1 - y0) for end, x0, y0, x1, y1 in lines}
        say_end = tab.ask("() => app.trace.packets.find((each) => each.what === 'say').end")
        assert by_end[say_end][1] > 10
        assert by_end[lost_n()][0] < 0.7 * by_end[say_end][0]


def test_zoom_and_scale_keep_the_moment_in_view(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        place = "() => app.layout.yOf(app.cursor) - app.scroller.scrollTop"
        for act in (
            "() => app.zoomBy(2)",
            "() => app.zoomBy(0.5)",
            "() => { app.layout.showsRoutine = true; app.relayout(); }",
        ):
            tab.ask(act)
            assert 0 <= tab.ask(place) <= tab.ask("() => app.scroller.clientHeight")
        tab.page.select_option("#scale", "time")
        assert 0 <= tab.ask(place) <= tab.ask("() => app.scroller.clientHeight")
        heights = tab.ask("() => [1, 30, 60].map((n) => app.layout.yOf(n))")
        times = tab.ask("() => [1, 30, 60].map((n) => app.trace.record(n).t)")
        assert (heights[2] - heights[1]) / (heights[1] - heights[0]) == pytest.approx(
            (times[2] - times[1]) / (times[1] - times[0])
        )


def test_the_theme_can_be_switched_and_paper_is_light(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong, color_scheme="dark") as tab:
        background = "() => getComputedStyle(document.body).backgroundColor"
        dark = tab.ask(background)
        tab.page.click("#theme")
        assert tab.ask(background) != dark
        tab.page.click("#theme")
        assert tab.ask(background) == dark
        assert len(tab.page.pdf()) > 10_000
        tab.page.emulate_media(media="print")
        tab.page.wait_for_function("() => document.querySelectorAll('#paper canvas').length >= 1")
        tab.page.emulate_media(media="screen")
        tab.page.wait_for_function("() => document.querySelectorAll('#paper canvas').length === 0")


def test_a_phone_shows_the_diagram_and_scrolls_to_the_panel(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong, viewport={"width": 390, "height": 780}) as tab:
        assert tab.ask("() => document.documentElement.scrollWidth") <= 390
        assert tab.ask("() => app.scroller.clientHeight") > 150
        assert tab.ask("() => app.layout.width") <= 390 + 10, "three lifelines fit"


def test_of_many_only_those_involved_can_be_shown(browser: Any, tmp_path: Path) -> None:
    many = "\n".join(f"  - {{at: {1 + n}s, guest{n}: {{join: lobby}}}}" for n in range(6))
    text = f"claim: many\nscript:\n  - {{at: 0s, alice: {{create: lobby}}}}\n{many}\n"
    file = tmp_path / "many.html"
    file.write_text(page(*of_scenario(text)), encoding="utf-8")
    with opened(browser, file) as tab:
        heads = "() => app.layout.order.map((each) => app.trace.lifelines[each].name)"
        assert len(tab.ask(heads)) == 8
        tab.page.check("#involved")
        tab.ask("() => app.select(app.trace.packets.find((each) => each.what === 'request').sent)")
        assert set(tab.ask(heads)) == {"alice", "server"}
        tab.ask("() => app.select(0)")
        assert len(tab.ask(heads)) == 8
        assert tab.errors == []


# --- what it must not do ------------------------------------------------------------------------


FREE_TEXT = ("actor", "why", "name", "text", "packet")


def test_texts_names_and_claims_are_never_markup(browser: Any, tmp_path: Path) -> None:
    records: list[Record] = [
        replace(record, **{key: EVIL for key in FREE_TEXT if hasattr(record, key)}) for record in RECORDS
    ]
    records = [
        replace(record, link=f"{EVIL}>server") if isinstance(record, PacketRecord) else record for record in records
    ]
    header = Header(Mode.SIMULATED, scenario=EVIL, cast={EVIL: CastMember(EVIL, EVIL)})
    about = About(EVIL, EVIL, EVIL, False, (Finding(EVIL, ((EVIL, EVIL),), 1),), EVIL, (EVIL,), meanings={EVIL: EVIL})
    written = page(picture_of(header, numbered(records)), about)
    assert EVIL not in written
    assert written.count("</script>") == 2, "the data and the code end once each"
    file = tmp_path / "evil.html"
    file.write_text(written, encoding="utf-8")
    with opened(browser, file) as tab:
        tab.page.on("dialog", lambda dialog: tab.errors.append(dialog.message))
        for n in range(1, len(records) + 1):
            tab.ask("(n) => { app.select(n); app.draw(); }", n)
        assert tab.text("#title") == EVIL
        assert tab.ask("() => document.querySelectorAll('img, iframe, object, a:not(.skip)').length") == 0
        assert tab.requests == tab.errors == []


def test_the_policy_of_the_page_forbids_every_request(browser: Any, wrong: Path) -> None:
    with opened(browser, wrong) as tab:
        tried = """async () => {
            const image = new Promise((done) => {
                const i = new Image(); i.onload = () => done("loaded"); i.onerror = () => done("no");
                i.src = "http://127.0.0.1:9/x.png";
            });
            const data = fetch("http://127.0.0.1:9/").then(() => "loaded", () => "no");
            const code = document.createElement("script");
            code.textContent = "window.ran = true"; document.body.append(code);
            return [await image, await data, window.ran === undefined];
        }"""
        assert tab.ask(tried) == ["no", "no", True]
        assert tab.requests == [], "they were stopped before they left the page"
        assert any("Content Security Policy" in each for each in tab.errors)


def test_json_in_a_script_element_cannot_end_it() -> None:
    written = in_script({"a": "</script><!--&\u2028\u2029"})
    assert not re.search("[<>&\u2028\u2029]", written)


# --- one truth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["the-story", "a-server-serves-after-a-crash-and-after-a-pause"])
def test_the_page_says_the_same_sentences_as_every_other_program(browser: Any, tmp_path: Path, name: str) -> None:
    scenario = read_scenario(ROOT / "sim" / "scenarios" / f"{name}.yaml")
    records: list[Record] = []
    Run(scenario, listeners=[records.append]).go()
    file = tmp_path / "page.html"
    file.write_text(page(picture_of(scenario_header(scenario, 0), records), About("x")), encoding="utf-8")
    with opened(browser, file) as tab:
        said = tab.ask("() => Array.from({ length: app.trace.length }, (_, i) => app.trace.sentence(i + 1))")
        assert said == [sentence(record) for record in records]
        assert tab.errors == []


def test_a_page_of_a_range_numbers_its_records_as_the_trace_does(browser: Any, tmp_path: Path) -> None:
    whole, about = of_scenario(WRONG)
    file = tmp_path / "part.html"
    file.write_text(page(picture_of(whole.header, whole.records, first=55, last=65), about), encoding="utf-8")
    with opened(browser, f"{file.as_uri()}#n=57") as tab:
        assert tab.ask("() => [app.trace.first, app.trace.last, app.cursor]") == [55, 65, 57]
        assert "alice" in str(tab.page.text_content(".state.lit[data-state='in-room']")), (
            "as they were when the range begins"
        )
        assert tab.errors == []


def test_the_diagrams_have_every_state_and_way_of_the_tables() -> None:
    for each in diagrams():
        places = {(node.step, node.row) for node in each.nodes}
        assert len(places) == len(each.nodes)
        for edge in each.edges:
            assert {edge.source, edge.target} <= {node.state for node in each.nodes}
    session = diagrams()[0]
    assert session.machine is Machine.SESSION
    assert [node.state for node in session.nodes] == ["anonymous", "tokened", "in-room", "expired"]
