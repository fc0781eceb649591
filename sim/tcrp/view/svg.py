"""A picture of a trace as SVG, for documents: the same as the page draws, without anything that moves.

Light and dark follow the reader's setting. Times are stretched so that everything can be read: what happens at once
stands below each other, and a long silence is short.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from tcrp.engine.text import shown
from tcrp.spec.cluster_names import AnyMachine, ClusterMachine
from tcrp.spec.names import Machine
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord
from tcrp.view.about import About
from tcrp.view.picture import FINAL, Fate, Fault, Packet, Picture, Role, Track

LEFT, RIGHT, TOP, BOTTOM, ACROSS = 226, 176, 86, 30, 215
BAND, GAP, HANDSHAKE, ROW = 15, 3, 7, 21
CHARACTER = 6.6  # about as wide as a character of a label
STYLE = """
text{font:12px ui-sans-serif,system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK JP",sans-serif;fill:#1e2228}
.t{font:10.5px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#6d737c;text-anchor:end}
.h{font-size:14px;font-weight:700;text-anchor:middle}.d{font-size:11px;fill:#6d737c;text-anchor:middle}
.c{font-size:15px;font-weight:650}.l{stroke:#c6c1b7}.s{font-size:10.5px;font-weight:600;fill:#10202e}
.bg{fill:#fdfcfa}.m{text-anchor:middle;paint-order:stroke;stroke:#fdfcfa;stroke-width:4px;stroke-linejoin:round}
.udp{stroke:#1f5fb4;fill:#1f5fb4}.tcp{stroke:#6f7783;fill:#6f7783}.notice{stroke:#7a3fb3;fill:#7a3fb3}
.bad{stroke:#c22a2a;fill:#c22a2a}.a{stroke-width:1.5}.x{stroke-width:2.6;fill:none}.lost{stroke-dasharray:6 4}
.why{fill:#c22a2a;font-weight:600;paint-order:stroke;stroke:#fdfcfa;stroke-width:4px}
.warn{fill:#9a5a00;font-weight:600}.f{fill:#f1a04522;stroke:#a83c0b;stroke-dasharray:5 4}
.fn{fill:#a83c0b;font-size:11px;font-weight:600}.b{fill:#d8ecd9}.bt{fill:#14381b}.n{fill:#ebdff7}.nt{fill:#47216b}
"""
DARK = """@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.t,.d{fill:#929aa7}.l{stroke:#4a525f}.bg{fill:#14171c}
.m,.why{stroke:#14171c}.udp{stroke:#74b2f7;fill:#74b2f7}.tcp{stroke:#99a3b1;fill:#99a3b1}
.notice{stroke:#c79bf2;fill:#c79bf2}.bad{stroke:#ff7b72;fill:#ff7b72}.why{fill:#ff7b72}.warn{fill:#e9b255}.s{fill:#10202e}
.f{stroke:#ff9d5c}.fn{fill:#ff9d5c}.b{fill:#21492b}.bt{fill:#d5f3da}.n{fill:#3d2a56}.nt{fill:#ead9ff}}
"""
STATES = {
    "anonymous": "#d6d9de", "tokened": "#f2cf74", "in-room": "#8fd19e", "expired": "#b9a3a0", "vacant": "#dfe3e8",
    "open": "#8ecbe8", "closing": "#f3b27a", "closed": "#a9a2b0", "idle": "#e3e5e9", "requested": "#c3cdf0",
    "accepted": "#a4b4ec", "completed": "#7f92dd", "refused": "#e58f8f", "abandoned": "#d3a6a6",
    "held": "#8fd19e", "renewing": "#b7dfc0", "lost": "#e58f8f", "owned": "#8ecbe8", "handing-over": "#f3b27a",
    "elsewhere": "#dfe3e8", "orphaned": "#e58f8f",
}  # fmt: skip
# On a lifeline, from left to right; the first three are narrow.
COLUMNS: tuple[AnyMachine, ...] = (
    ClusterMachine.LEASE, ClusterMachine.OWNERSHIP, Machine.HANDSHAKE, Machine.ROOM, Machine.SESSION
)  # fmt: skip
NARROW = COLUMNS[:3]


def svg(picture: Picture, about: About) -> str:
    """The whole picture."""
    return "".join(f"{line}\n" for line in _Drawing(picture, about).lines())


class _Drawing:
    def __init__(self, picture: Picture, about: About) -> None:
        self.picture = picture
        self.about = about
        self.columns = {
            index: {m: 1 + max((t.column for t in picture.tracks if t.lifeline == index and t.machine is m), default=-1)
                    for m in COLUMNS}
            for index in picture.order
        }  # fmt: skip
        self.x: dict[int, float] = {}
        at = float(LEFT)
        for place, index in enumerate(picture.order):
            at += self._half(index) + (ACROSS if place else 0)
            self.x[index] = at
            at += self._half(index)
        self.width = at + RIGHT
        self.rows = [record for record in picture.records if self._is_row(record)]
        self.y = self._heights()
        self.height = max(self.y.values(), default=TOP) + 24 + BOTTOM

    # --- where -----------------------------------------------------------------------------------

    def _half(self, index: int) -> float:
        wide = sum(many * ((HANDSHAKE if m in NARROW else BAND) + GAP) for m, many in self.columns[index].items())
        return max(wide / 2, 4)

    def _is_row(self, record: Record) -> bool:
        match record:
            case StepRecord():
                return record.from_ != record.to
            case PacketRecord():
                return not self.picture.packets[self.picture.packet_of[record.n]].is_routine
            case RefusalRecord() | ShowRecord() | FaultRecord():
                return True
            case _:
                return False

    def _heights(self) -> dict[int, float]:
        heights: dict[int, float] = {}
        labels: dict[object, float] = {}
        at, before = float(TOP), None
        for record in self.rows:
            if before is not None:
                passed = record.t_us - before.t_us
                fans_out = (
                    passed == 0 and _is_send(record) and _is_send(before) and self._what(record) == self._what(before)
                )
                if passed:
                    at += min(74, 7 + 6 * math.log2(1 + passed / 1000))
                elif not fans_out:
                    at += 8 if isinstance(record, StepRecord) else 11
                if (label := self._label_of(record)) is not None:
                    at = max(at, labels.get(label, -1e9) + ROW)
                    labels[label] = at
            heights[record.n] = at
            before = record
        return heights

    def _what(self, record: Record) -> str:
        return self.picture.packets[self.picture.packet_of[record.n]].what

    def _label_of(self, record: Record) -> object:
        """What another label would be in the way of."""
        if _is_send(record):
            packet = self.picture.packets[self.picture.packet_of[record.n]]
            return frozenset((packet.source, packet.target))
        if isinstance(record, ShowRecord | RefusalRecord) or (
            isinstance(record, PacketRecord) and record.kind is Kind.DROP
        ):
            return record.actor
        return None

    def _y(self, n: int) -> float:
        """The height of a record, or of the next one that is drawn."""
        if n in self.y:
            return self.y[n]
        after = next((record.n for record in self.rows if record.n > n), None)
        return self.height - BOTTOM if after is None else self.y[after]

    def _band_x(self, track: Track) -> tuple[float, float]:
        x = self.x[track.lifeline] - self._half(track.lifeline) + GAP / 2
        for machine in COLUMNS:
            wide = HANDSHAKE if machine in NARROW else BAND
            if machine is track.machine:
                return x + track.column * (wide + GAP), wide
            x += self.columns[track.lifeline][machine] * (wide + GAP)
        raise AssertionError("each machine has its columns")

    # --- what ------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        width, height = round(self.width), round(self.height)
        title = shown(self.about.title)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label={quoteattr(title)}>'
        )
        yield f"<title>{escape(title)}</title>"
        yield f"<style>{STYLE}{DARK}</style>"
        yield f'<rect class="bg" width="{width}" height="{height}"/>'
        verdict = f"{self.about.verdict}: " if self.about.verdict else ""
        yield _text(18, 24, f"{verdict}{title}", "c")
        for fault in self.picture.faults:
            yield from self._fault(fault)
        for index in self.picture.order:
            line, x = self.picture.lifelines[index], self.x[index]
            yield f'<path class="l" d="M{x:.1f} {TOP - 16}V{self.height - BOTTOM:.1f}"/>'
            yield _text(x, TOP - 36, line.name, "h")
            yield _text(x, TOP - 22, line.dialect, "d") if line.dialect else ""
        for track in self.picture.tracks:
            yield from self._track(track)
        for packet in self.picture.packets:
            if not packet.is_routine and packet.source >= 0 and packet.target >= 0:
                yield from self._packet(packet)
        for record in self.rows:
            yield from self._moment(record)
        yield from self._times()
        yield "</svg>"

    def _times(self) -> Iterator[str]:
        below, before = -1e9, -1
        for record in self.rows:
            if self.y[record.n] - below >= 17 and record.t_us != before:
                below, before = self.y[record.n], record.t_us
                yield _text(66, below + 4, f"{record.t_us / 1e6:.3f}", "t")

    def _fault(self, fault: Fault) -> Iterator[str]:
        if fault.lifeline < 0 or (fault.to_n and fault.to_n == fault.from_n):
            return
        x, half, top = self.x[fault.lifeline], self._half(fault.lifeline), self._y(fault.from_n)
        bottom = self._y(fault.to_n) if fault.to_n else self.height - BOTTOM
        server = next((each.index for each in self.picture.lifelines if each.role is Role.SERVER), fault.lifeline)
        reach = ACROSS * 0.62 if fault.links and server != fault.lifeline else 20
        is_right = self.x[server] < x
        left, right = (x - half - reach, x + half + 6) if is_right else (x - half - 6, x + half + reach)
        yield f'<rect class="f" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
        name = f"⚡ {fault.what} {', '.join(fault.links).replace('>', '→')}"
        yield _text(left + 6, top + 14, _clipped(name, right - left - 12), "fn")

    def _track(self, track: Track) -> Iterator[str]:
        x, wide = self._band_x(track)
        for band in track.bands:
            if not band.state:
                continue
            top = self._y(band.from_n)
            bottom = self._y(band.to_n) if band.to_n else self.height - BOTTOM
            if band.state in FINAL[track.machine]:
                bottom = top + 8
            tall = max(bottom - top, 1)
            colour = STATES.get(band.state, "#c6c1b7")
            yield f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide}" height="{tall:.1f}" rx="3" fill="{colour}"/>'
            if wide >= BAND and tall >= 36:
                is_server = self.picture.lifelines[track.lifeline].role is Role.SERVER
                who = f"{track.id.partition('@')[0]} · {band.state}" if is_server else band.state
                label = _clipped(who, tall - 10)
                yield _text(0, 0, label, "s", f"translate({x + wide / 2 - 3.6:.1f} {top + 7:.1f}) rotate(90)")

    def _packet(self, packet: Packet) -> Iterator[str]:
        first = packet.sent_n or packet.end_n
        y0, y1 = self._y(first), self._y(packet.end_n) if packet.end_n else self.height - BOTTOM
        way = 1 if self.x[packet.target] > self.x[packet.source] else -1
        x0 = self.x[packet.source] + way * (self._half(packet.source) + 2)
        full = self.x[packet.target] - way * (self._half(packet.target) + 3)
        is_lost = packet.fate in (Fate.LOST, Fate.WITHHELD)
        x1 = x0 + (full - x0) * ({Fate.LOST: 0.56, Fate.WITHHELD: 0.18}.get(packet.fate, 1.0))
        if is_lost:
            y1 = max(y1, y0 + 12)
        is_bad = is_lost or packet.fate is Fate.REJECTED
        kind = "bad" if is_bad else "tcp" if packet.proto == "tcp" else "notice" if packet.what == "notice" else "udp"
        yield f'<path class="a {kind}{" lost" if is_lost else ""}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
        angle = math.atan2(y1 - y0, x1 - x0)
        if is_lost:
            yield f'<path class="x {kind}" d="M{x1 - 5:.1f} {y1 - 5:.1f}l10 10m0-10l-10 10"/>'
            said = "lost" if packet.fate is Fate.LOST else "not sent"
            end = "" if way > 0 else ";text-anchor:end"
            yield (
                f'<text class="why" style="font-size:11.5px{end}" x="{x1 + way * 6:.1f}" y="{y1 + 20:.1f}">'
                + escape(shown(f"{said}: {packet.why}"))
                + "</text>"
            )
        elif packet.end_n:
            points = " ".join(
                f"{x1 - 9 * math.cos(angle + turn):.1f},{y1 - 9 * math.sin(angle + turn):.1f}" for turn in (-0.36, 0.36)
            )
            yield f'<polygon class="{kind}" points="{x1:.1f},{y1:.1f} {points}"/>'
        text = self.about.texts.get(packet.root) or self.picture.texts.get(packet.root, "") if packet.root else ""
        label = f"{packet.what} “{text}”" if text else packet.what
        if packet.why in ("duplicate", "corrupted"):
            label += f" ({packet.why})"
        turn = math.degrees(angle) + (180 if way < 0 else 0)
        middle = f"translate({(x0 + x1) / 2:.1f} {(y0 + y1) / 2 - 5:.1f}) rotate({turn:.1f})"
        yield _text(0, 0, _clipped(label, max(abs(x1 - x0) - 12, 60)), "m", middle)

    def _moment(self, record: Record) -> Iterator[str]:
        index = self.picture.lifeline(record.actor)
        if index < 0:
            return
        own, x = self.picture.lifelines[index], self.x[index]
        centre = self.width / 2
        way = 1 if x >= centre and own.role is not Role.SERVER else -1
        at, y = x + way * (self._half(index) + 8), self.y[record.n]
        end = "end" if way < 0 else "start"
        match record:
            case ShowRecord():
                said = (
                    f"{record.name}: {record.text}"
                    if record.what == "relay"
                    else f"notice {record.what}: {record.name}"
                )
                said = _clipped(said.removesuffix(": "), 150)
                wide = len(said) * CHARACTER + 12
                left = at - wide if way < 0 else at
                box, text = ("b", "bt") if record.what == "relay" else ("n", "nt")
                yield f'<rect class="{box}" x="{left:.1f}" y="{y - 10:.1f}" width="{wide:.1f}" height="20" rx="5"/>'
                yield _text(left + 6, y + 4, said, text)
            case RefusalRecord():
                said = escape(shown(_clipped(f"refused: {record.why}", 260)))
                yield f'<text class="warn" text-anchor="{end}" x="{at:.1f}" y="{y + 4:.1f}">{said}</text>'
            case FaultRecord():
                said = escape(shown(_clipped(f"⚡ {record.what} {record.why}", 260)))
                yield f'<text class="fn" text-anchor="{end}" x="{at:.1f}" y="{y + 4:.1f}">{said}</text>'
            case PacketRecord(kind=Kind.DROP) if self.picture.packets[self.picture.packet_of[record.n]].source >= 0:
                packet = self.picture.packets[self.picture.packet_of[record.n]]
                if packet.fate is Fate.REJECTED:
                    said = escape(shown(_clipped(f"✗ {record.why}", 260)))
                    yield f'<text class="why" text-anchor="{end}" x="{at:.1f}" y="{y + 4:.1f}">{said}</text>'
            case _:
                pass


def _is_send(record: Record | None) -> bool:
    return isinstance(record, PacketRecord) and record.kind is Kind.SEND


def _clipped(text: str, room: float) -> str:
    most = max(int(room / CHARACTER), 1)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(x: float, y: float, text: str, kind: str, transform: str = "") -> str:
    place = f'transform="{transform}"' if transform else f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text class="{kind}" {place}>{escape(shown(text))}</text>'
