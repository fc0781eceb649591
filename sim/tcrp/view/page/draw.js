// Draws what is visible on a canvas, and remembers where, for the pointer. Knows no events.
const FONT = 'ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK JP", sans-serif';
const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const LABELLED_MAX = 400; // arrows in view beyond which they have no labels
const NOTICES = new Set(["notice", "refusal"]);

class Painter {
  constructor(trace, layout) {
    this.trace = trace;
    this.layout = layout;
    this.colours = {};
    this.hits = [];
  }

  readColours(element) {
    if (!this.probe) {
      this.probe = document.createElement("span"); // a variable may hold light-dark(…), which only a property resolves
      this.probe.hidden = true;
      element.querySelector("body").append(this.probe);
    }
    const style = getComputedStyle(element), resolved = getComputedStyle(this.probe);
    const read = (name) => {
      if (!style.getPropertyValue(`--${name}`)) return "";
      this.probe.style.color = `var(--${name})`;
      return resolved.color;
    };
    this.colours = new Proxy({}, { get: (known, name) => known[name] || (known[name] = read(name)) });
  }

  stateColour(state) { return this.colours[`state-${state}`] || this.colours.ink3; }

  // `view`: x, y of the top left corner, width, height; `lit`: the records of a chain, or null; `cursor`: a record.
  paint(context, view, lit, cursor) {
    const { layout, trace } = this;
    Object.assign(this, { context, view, lit, hits: [] });
    context.fillStyle = this.colours.bg;
    context.fillRect(0, 0, view.width, view.height);
    context.save();
    context.translate(-view.x, -view.y);
    this.from = layout.indexAt(view.y - 30);
    this.to = Math.min(layout.indexAt(view.y + view.height + 30), trace.length - 1);
    this.lines = trace.lifelines.filter((line) => {
      const x = layout.x[line.index];
      return x > view.x - 260 && x < view.x + view.width + 260;
    });
    this.paintFaults();
    this.paintCursor(cursor);
    this.paintLifelines();
    this.paintPackets();
    this.paintMoments();
    context.restore();
    this.paintTimes(cursor);
  }

  isDim(n) { return this.lit !== null && !this.lit.has(n); }
  alpha(dim) { this.context.globalAlpha = dim ? 0.17 : 1; }

  font(size, family = FONT, weight = 400) { this.context.font = `${weight} ${size}px ${family}`; }

  // Text on a ground of its own, so that it can be read across lines. (An outline would cost most of a frame.)
  label(text, x, y, colour, { size = 12, align = "left", angle = 0, family = FONT, weight = 400, most = 0 } = {}) {
    const { context } = this;
    this.font(size, family, weight);
    if (most) text = this.clipped(text, most);
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.textAlign = align;
    context.textBaseline = "middle";
    const wide = context.measureText(text).width, left = align === "center" ? -wide / 2 : align === "right" ? -wide : 0;
    const alpha = context.globalAlpha;
    context.globalAlpha = alpha * 0.8;
    context.fillStyle = this.colours.bg;
    context.fillRect(left - 2, -size * 0.52, wide + 4, size * 1.04);
    context.globalAlpha = alpha;
    context.fillStyle = colour;
    context.fillText(text, 0, 0);
    context.restore();
    return wide;
  }

  clipped(text, most) {
    const { context } = this;
    if (context.measureText(text).width <= most) return text;
    let low = 0, high = text.length;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (context.measureText(`${text.slice(0, mid)}…`).width <= most) low = mid; else high = mid - 1;
    }
    return low ? `${text.slice(0, low)}…` : "";
  }

  // --- what lasts --------------------------------------------------------------------------------

  paintFaults() {
    const { context, layout, trace, view, colours } = this;
    for (const fault of trace.faults) {
      if (fault.line < 0 || (fault.to && fault.to === fault.from)) continue;
      const line = trace.lifelines[fault.line], x = layout.x[fault.line];
      const top = Math.max(layout.yOf(fault.from), view.y - 10);
      const bottom = fault.to && trace.has(fault.to) ? layout.yOf(fault.to) : fault.to && fault.to < trace.first ? -1 : layout.height;
      if (bottom < view.y || top > view.y + view.height) continue;
      const server = trace.lifelines.find((each) => each.role === "server");
      const side = fault.links && server ? Math.sign(layout.x[server.index] - x) : 0;
      const reach = Math.min(layout.pad * 0.62, 190);
      const [left, right] = side > 0 ? [x - line.half - 6, x + line.half + reach]
        : side < 0 ? [x - line.half - reach, x + line.half + 6] : [x - line.half - 20, x + line.half + 20];
      context.fillStyle = colours["fault-area"];
      context.fillRect(left, top, right - left, bottom - top);
      context.save();
      context.beginPath();
      context.rect(left, top, right - left, bottom - top);
      context.clip();
      context.strokeStyle = colours["fault-hatch"];
      context.lineWidth = 1;
      context.beginPath();
      for (let at = Math.floor((top - (right - left)) / 9) * 9; at < bottom; at += 9) {
        context.moveTo(left, at + (right - left));
        context.lineTo(right, at);
      }
      context.stroke();
      context.restore();
      context.strokeStyle = colours.fault;
      context.setLineDash([5, 4]);
      context.strokeRect(left + 0.5, top + 0.5, right - left - 1, bottom - top - 1);
      context.setLineDash([]);
      this.hits.push({ n: fault.from, x0: left, y0: top, x1: right, y1: top + 20 });
      if (!fault.links) continue; // its own record is beside it, and says what it is
      this.label(`⚡ ${fault.what} ${fault.links.replaceAll(">", "→")}`, side < 0 ? left + 6 : right - 6, Math.min(Math.max(top + 11, view.y + 14), bottom - 8), colours.fault,
                 { size: 11, weight: 600, align: side < 0 ? "left" : "right", most: right - left - 12 });
    }
    this.alpha(false);
  }

  paintCursor(cursor) {
    const { context, layout, view, colours } = this;
    if (!this.trace.has(cursor)) return;
    const y = Math.round(layout.yOf(cursor)) + 0.5;
    context.fillStyle = colours["cursor-area"];
    context.fillRect(view.x, y - 9, view.width, 18);
    context.strokeStyle = colours.accent;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(view.x, y);
    context.lineTo(view.x + view.width, y);
    context.stroke();
  }

  paintLifelines() {
    const { context, layout, trace, view, colours } = this;
    const top = Math.max(view.y, 0), bottom = Math.min(view.y + view.height, layout.height - 24);
    for (const line of this.lines) {
      const x = layout.x[line.index];
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, top);
      context.lineTo(Math.round(x) + 0.5, bottom);
      context.stroke();
      for (const track of line.tracks) this.paintTrack(track, top, bottom);
    }
  }

  paintTrack(track, viewTop, viewBottom) {
    const { layout, trace, context, colours } = this;
    const last = track.at.length - 1;
    const begins = layout.yOf(track.at[0]);
    if (begins > viewBottom + 20) return;
    const place = layout.bandOf(track);
    if (place === null) return;
    for (let k = 0; k <= last; k++) {
      const isFinal = FINAL.has(`${track.machine} ${track.state[k]}`);
      if (!track.state[k] || (isFinal && track.at[k] < trace.first)) continue;
      const top = layout.yOf(track.at[k]);
      const bottom = isFinal ? top + 9 : k < last ? layout.yOf(track.at[k + 1]) : layout.height - 24;
      if (bottom < viewTop - 20 || top > viewBottom + 20) continue;
      const colour = this.stateColour(track.state[k]);
      if (this.lit !== null && !this.lit.has(track.at[k])) context.globalAlpha = 0.32;
      context.fillStyle = colour;
      context.beginPath();
      if (isFinal) context.roundRect(place.x, top, place.width, 8, [0, 0, 4, 4]);
      else { // no more of it than can be seen: it may be as long as the trace
        const from = Math.max(top, viewTop - 10), to = Math.min(bottom, viewBottom + 10);
        if (k === 0 && from === top) context.roundRect(place.x, from, place.width, Math.max(to - from, 1), [4, 4, 0, 0]);
        else context.rect(place.x, from, place.width, Math.max(to - from, 1));
      }
      context.fill();
      this.alpha(false);
      this.hits.push({ n: track.at[k], x0: place.x, y0: top, x1: place.x + place.width, y1: bottom, band: true });
      const from = Math.max(top, viewTop), to = Math.min(bottom, viewBottom);
      if (isFinal || place.width < 12 || to - from < 36) continue;
      const who = trace.lifelines[track.line].role === "server" ? `${track.id.split("@")[0]} · ${track.state[k]}` : track.state[k];
      this.font(10.5, FONT, 600);
      const text = this.clipped(who, to - from - 12);
      this.alpha(this.lit !== null && !this.lit.has(track.at[k]));
      context.save();
      context.translate(place.x + place.width / 2 + 0.5, from + 7);
      context.rotate(Math.PI / 2);
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.fillStyle = colours["on-state"];
      context.fillText(text, 0, 0);
      context.restore();
      this.alpha(false);
    }
  }

  // --- packets -----------------------------------------------------------------------------------

  visiblePackets() {
    const { trace } = this, { kind, a } = trace.records;
    const found = new Set();
    const chunk = Math.floor(Math.max(this.from, 0) / STRIDE);
    for (const index of trace.inFlightAt[chunk] || []) found.add(index);
    for (let i = chunk * STRIDE; i <= this.to; i++) {
      if (kind[i] === KIND.SEND || kind[i] === KIND.ARRIVE || kind[i] === KIND.DROP) found.add(a[i]);
    }
    return found;
  }

  paintPackets() {
    const { layout, trace, view } = this;
    const drawn = new Set(), visible = [];
    for (const index of this.visiblePackets()) {
      const packet = trace.packets[index];
      if (packet.routine && !layout.showsRoutine && !(this.lit && (this.lit.has(packet.sent) || this.lit.has(packet.end)))) continue;
      const y0 = layout.yOf(packet.sent || packet.end);
      const y1 = packet.end ? layout.yOf(packet.end) : layout.height - 30;
      if (y1 < view.y - 20 || y0 > view.y + view.height + 20) continue;
      const key = `${packet.source} ${packet.target} ${packet.fate} ${y0 >> 1} ${y1 >> 1}`;
      if (drawn.has(key)) continue; // there is no room for two arrows of the same place
      drawn.add(key);
      visible.push([packet, y0, y1]);
    }
    this.isCrowded = visible.length > LABELLED_MAX;
    for (const [packet, y0, y1] of visible) this.paintPacket(packet, y0, y1);
    this.alpha(false);
  }

  paintPacket(packet, y0, y1) {
    const { context, layout, trace, colours } = this;
    const { source, target } = packet;
    const end = packet.end || packet.sent;
    if (layout.isHidden(source) || layout.isHidden(target)) return;
    if (source < 0 || target < 0) { this.paintLoose(packet, y0); return; }
    const xs = layout.x[source], xt = layout.x[target], way = Math.sign(xt - xs) || 1;
    const from = xs + way * (trace.lifelines[source].half + 2), full = xt - way * (trace.lifelines[target].half + 3);
    const isLost = packet.fate === FATE.LOST, isWithheld = packet.fate === FATE.WITHHELD;
    const share = isWithheld ? 0.18 : isLost ? 0.56 : 1;
    const to = from + (full - from) * share;
    if (isLost && y1 - y0 < 12) y1 = y0 + Math.min(12, layout.zoom * 12);
    const dim = this.lit !== null && !this.lit.has(packet.sent) && !this.lit.has(end);
    const isBad = isLost || isWithheld || packet.fate === FATE.REJECTED;
    const colour = isBad ? colours.bad : packet.proto === "tcp" ? colours.tcp
      : NOTICES.has(packet.what) ? colours.notice : packet.routine ? colours.ink3 : colours.udp;
    this.alpha(dim);
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = this.lit !== null && !dim ? 2.2 : packet.routine ? 1 : 1.5;
    context.setLineDash(packet.fate === FATE.IN_FLIGHT || isLost ? [6, 4] : []);
    context.beginPath();
    context.moveTo(from, y0);
    context.lineTo(to, y1);
    context.stroke();
    context.setLineDash([]);
    const angle = Math.atan2(y1 - y0, to - from);
    if (isLost || isWithheld) this.cross(to, y1);
    else if (packet.fate !== FATE.IN_FLIGHT) this.head(to, y1, angle);
    this.hits.push({ n: packet.sent || end, end, x0: from, y0, x1: to, y1, line: true });
    if (this.isCrowded && !isBad && (this.lit === null || dim)) return;
    const flip = way < 0 ? angle + Math.PI : angle;
    const room = Math.abs(to - from) - 16;
    let text = packet.text && (packet.what === "say" || packet.what === "relay") ? `${packet.what} “${packet.text}”` : packet.what;
    if (packet.why === "duplicate" || packet.why === "corrupted") text += ` (${packet.why})`;
    const lift = 8;
    this.label(text, from + (to - from) / 2 + Math.sin(flip) * lift, y0 + (y1 - y0) / 2 - Math.cos(flip) * lift,
               isBad ? colours.bad : packet.proto === "tcp" ? colours.ink2 : colours.ink, { align: "center", angle: flip, size: 12, most: Math.max(room, 40) });
    if (isLost || isWithheld) {
      this.label(`${isLost ? "lost" : "not sent"}: ${packet.why}`, to + way * 6, y1 + 16, colours.bad,
                 { size: 11.5, weight: 600, align: way > 0 ? "left" : "right", most: 200 });
    }
  }

  // A packet of which the trace does not say from where, or whereto.
  paintLoose(packet, y) {
    const line = packet.target >= 0 ? packet.target : packet.source >= 0 ? packet.source : this.trace.record(packet.end || packet.sent).line;
    if (line < 0) return;
    const x = this.layout.x[line] - this.trace.lifelines[line].half - 9;
    this.alpha(this.isDim(packet.end || packet.sent));
    this.cross(x, y);
    this.label(`${packet.what}: ${packet.why}`, x - 9, y, this.colours.bad, { size: 11.5, align: "right" });
    this.hits.push({ n: packet.end || packet.sent, x0: x - 12, y0: y - 8, x1: x + 12, y1: y + 8 });
  }

  head(x, y, angle) {
    const { context } = this;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 9 * Math.cos(angle - 0.36), y - 9 * Math.sin(angle - 0.36));
    context.lineTo(x - 9 * Math.cos(angle + 0.36), y - 9 * Math.sin(angle + 0.36));
    context.closePath();
    context.fill();
  }

  cross(x, y) {
    const { context } = this;
    context.strokeStyle = this.colours.bad;
    context.lineWidth = 2.6;
    context.beginPath();
    for (const way of [-1, 1]) { context.moveTo(x - 5, y - 5 * way); context.lineTo(x + 5, y + 5 * way); }
    context.stroke();
  }

  // --- what happens at a moment ------------------------------------------------------------------

  paintMoments() {
    const { layout, trace, view, colours } = this, { kind, a, line, what, why, c } = trace.records;
    const middle = layout.x[(trace.lifelines.find((each) => each.role === "server") || { index: 0 }).index];
    const said = [];
    for (let i = this.from; i <= this.to; i++) {
      const n = trace.first + i, y = layout.y[i];
      const isSeen = line[i] >= 0 && layout.x[line[i]] > view.x - 300 && layout.x[line[i]] < view.x + view.width + 300;
      if (!isSeen) continue;
      const own = trace.lifelines[line[i]], x = layout.x[line[i]], side = x >= middle && own.role !== "server" ? 1 : -1;
      this.alpha(this.isDim(n));
      if (kind[i] === KIND.STEP) {
        if (own.role === "member") this.paintRelayed(n, i, x, y);
        if (trace.said.has(n)) said.push(n); // over the lines that follow from it
        continue;
      }
      let text = null, colour = colours.ink;
      if (kind[i] === KIND.SHOW) {
        const name = trace.text(a[i]), isText = trace.text(what[i]) === "relay";
        text = isText ? `${name}: ${trace.text(why[i])}` : `notice ${trace.text(what[i])}${name ? `: ${name}` : ""}`;
        this.bubble(n, text, x + side * (own.half + 7), y, side, isText ? "shown" : "told");
        continue;
      }
      if (kind[i] === KIND.REFUSE) { text = `refused: ${trace.text(why[i])}`; colour = colours.warn; }
      else if (kind[i] === KIND.DROP && trace.packets[a[i]].fate === FATE.REJECTED && trace.packets[a[i]].source >= 0) {
        text = `✗ ${trace.text(why[i])}`; colour = colours.bad;
      } else if (kind[i] === KIND.FAULT) {
        const about = trace.text(why[i]).replace(/(\d+) us/g, (_, us) => duration(Number(us)));
        text = `⚡ ${trace.text(what[i])} ${about}`.trim(); colour = colours.fault;
      }
      if (text === null) continue;
      const at = x + side * (own.half + 8);
      const wide = this.label(text, at, y, colour, { size: 11.5, weight: 600, align: side < 0 ? "right" : "left", most: 300 });
      this.hits.push({ n, x0: side < 0 ? at - wide : at, y0: y - 8, x1: side < 0 ? at : at + wide, y1: y + 8 });
    }
    for (const n of said) {
      const index = line[n - trace.first], x = layout.x[index] + trace.lifelines[index].half + 7;
      this.alpha(this.isDim(n));
      this.bubble(n, trace.said.get(n), x, layout.yOf(n) - 15, 1, "shown");
    }
    this.alpha(false);
  }

  // A text on a screen, outside of the lifeline.
  bubble(n, text, x, y, side, kind) {
    const { context, view } = this;
    this.font(12, FONT, 500);
    const room = side < 0 ? x - view.x - this.layout.gutter * 0.86 : view.x + view.width - x - 14;
    text = this.clipped(text, Math.max(Math.min(room, 260), 46));
    const wide = context.measureText(text).width + 14, left = side < 0 ? x - wide - 5 : x + 5;
    context.fillStyle = this.colours[kind];
    context.beginPath();
    context.roundRect(left, y - 10, wide, 20, 5);
    const tip = side < 0 ? left + wide : left;
    context.moveTo(tip, y - 5);
    context.lineTo(tip + (side < 0 ? 6 : -6), y);
    context.lineTo(tip, y + 5);
    context.fill();
    context.fillStyle = this.colours[`on-${kind}`];
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, left + 7, y + 0.5);
    this.hits.push({ n, x0: left, y0: y - 10, x1: left + wide, y1: y + 10 });
  }

  // What a server relays from one member to another has no packets in its own trace: a line from who caused it.
  paintRelayed(n, i, x, y) {
    const { trace, layout, context, colours } = this, { cause, line, b, c } = trace.records;
    if (b[i] !== c[i]) return;
    let from = cause[i];
    for (let hops = 0; hops < 4 && trace.has(from); hops++) {
      const other = line[from - trace.first];
      if (other !== line[i] && trace.lifelines[other].role === "member") {
        const way = Math.sign(x - layout.x[other]), y0 = layout.yOf(from);
        const x0 = layout.x[other] + way * (trace.lifelines[other].half + 2), x1 = x - way * (trace.lifelines[line[i]].half + 3);
        context.strokeStyle = context.fillStyle = colours.udp;
        context.lineWidth = 1.2;
        context.beginPath();
        context.moveTo(x0, y0);
        context.lineTo(x1, y);
        context.stroke();
        this.head(x1, y, Math.atan2(y - y0, x1 - x0));
        this.hits.push({ n, x0, y0, x1, y1: y, line: true });
        return;
      }
      from = cause[from - trace.first];
    }
  }

  paintTimes(cursor) {
    const { context, layout, trace, view, colours } = this, { t } = trace.records;
    context.fillStyle = colours.bg;
    context.globalAlpha = 0.86;
    context.fillRect(0, 0, layout.gutter - 16, view.height);
    context.globalAlpha = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    let below = -1e9, before = -1;
    this.font(10.5, MONO);
    const own = layout.yOf(cursor);
    for (let i = this.from; i <= this.to; i++) {
      const y = layout.y[i];
      if (y - below < 17 || t[i] === before || Math.abs(y - own) < 15) continue;
      below = y;
      before = t[i];
      context.fillStyle = colours.ink3;
      context.fillText(this.time(t[i]), layout.gutter - 18, y - view.y);
    }
    if (!trace.has(cursor)) return;
    this.font(11, MONO, 700);
    context.fillStyle = colours.accent;
    context.fillText(this.time(t[cursor - trace.first]), layout.gutter - 18, own - view.y);
  }

  time(us) { const text = seconds(us); return this.layout.isNarrow ? text.slice(0, -3) : text; }

  // The record at a point of the page, or 0. A band is taken only where nothing else is.
  at(x, y) {
    let best = 0, nearest = 8;
    for (let k = this.hits.length - 1; k >= 0; k--) {
      const hit = this.hits[k];
      let far;
      if (hit.line) {
        const dx = hit.x1 - hit.x0, dy = hit.y1 - hit.y0, long = dx * dx + dy * dy || 1;
        const share = Math.min(Math.max(((x - hit.x0) * dx + (y - hit.y0) * dy) / long, 0), 1);
        far = Math.hypot(x - hit.x0 - share * dx, y - hit.y0 - share * dy);
        if (far < nearest) { nearest = far; best = share > 0.7 ? hit.end || hit.n : hit.n; }
        continue;
      }
      const inside = x >= hit.x0 - 2 && x <= hit.x1 + 2 && y >= hit.y0 - 2 && y <= hit.y1 + 2;
      far = inside ? (hit.band ? 7.5 : 1) : 1e9;
      if (far < nearest) { nearest = far; best = hit.n; }
    }
    return best;
  }
}
