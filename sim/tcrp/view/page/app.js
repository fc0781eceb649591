// The page: pointer, keys, scrubber, panel. Texts reach the document as text only, never as markup.
const $ = (id) => document.getElementById(id);
const SETTLED_MS = 120, NOW_SHOWN = 11, CHAIN_SHOWN = 14, PRINTED_PAGES_MAX = 40;

class App {
  constructor(page) {
    this.page = page;
    this.trace = new Trace(page.names);
    this.layout = new Layout(this.trace);
    this.painter = new Painter(this.trace, this.layout);
    this.diagrams = new Diagrams(page.machines, $("machines"));
    this.cursor = 0;
    this.lit = null;
    this.focus = null; // a lifeline
    this.canvas = $("canvas");
    this.scroller = $("scroller");
    this.isDrawn = true;
    this.follows = Boolean(page.live);
    this.showAbout();
    this.listen();
    this.sized = [0, 0];
    if (page.chunk) this.take(page.chunk);
    this.resize();
    this.goToHash() || this.begin();
    if (page.live) this.watch(page.live);
  }

  // Where to look first: at what the verdict points to, else at the beginning.
  begin() {
    const finding = this.page.about.findings.find((each) => this.trace.has(each.n));
    if (finding) this.select(finding.n, { hash: false });
    else this.moveTo(this.trace.first, { scrolls: false });
  }

  take(chunk) {
    this.trace.append(chunk);
    $("scrub").max = Math.max(this.trace.length - 1, 0);
    const { length, drops } = this.trace;
    const people = this.trace.order.length;
    $("involved-box").hidden = people < 5 && !this.page.live;
    $("total").textContent = `${length.toLocaleString("en")} records${drops ? `, ${drops.toLocaleString("en")} dropped` : ""}${people > 9 ? `, ${people.toLocaleString("en")} lifelines` : ""}`;
  }

  // --- drawing -----------------------------------------------------------------------------------

  resize() {
    this.painter.readColours(document.documentElement);
    const { clientWidth: width, clientHeight: height } = this.scroller;
    if (!width) return; // on paper
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.style.marginBottom = `${-height}px`; // what is scrolled begins at its top
    this.ratio = ratio;
    this.sized = [width, height];
    this.relayout();
  }

  relayout() {
    const top = this.cursor ? this.layout.yOf(this.cursor) - this.scroller.scrollTop : 0;
    this.layout.compute(this.scroller.clientWidth);
    const most = 15e6; // taller than that, browsers lose count
    $("spacer").style.height = `${Math.min(this.layout.height, most)}px`;
    $("spacer").style.width = `${this.layout.width}px`;
    if (this.cursor) this.scroller.scrollTop = this.layout.yOf(this.cursor) - top;
    this.drawHeads();
    this.drawOverview();
    this.redraw();
  }

  redraw() {
    if (!this.isDrawn) return;
    this.isDrawn = false;
    requestAnimationFrame(() => { this.isDrawn = true; this.draw(); });
  }

  draw() {
    const context = this.canvas.getContext("2d", { alpha: false });
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const view = { x: this.scroller.scrollLeft, y: this.scroller.scrollTop, width: this.scroller.clientWidth, height: this.scroller.clientHeight };
    this.painter.paint(context, view, this.lit, this.cursor);
    $("heads").style.transform = `translateX(${-view.x}px)`;
    this.drawCursorInOverview();
  }

  drawHeads() {
    const { trace, layout } = this, heads = $("heads");
    const left = this.scroller.scrollLeft - 400, right = left + this.scroller.clientWidth + 800;
    const seen = layout.order.filter((index) => layout.x[index] > left && layout.x[index] < right);
    const key = seen.join() + layout.width + this.focus;
    if (this.headsDrawn === key) return;
    this.headsDrawn = key;
    heads.replaceChildren(...seen.map((index) => {
      const line = trace.lifelines[index], button = document.createElement("button");
      button.type = "button";
      button.className = `head ${line.role}`;
      button.setAttribute("aria-pressed", String(this.focus === index));
      button.title = `Show the machines of ${line.id} only`;
      const name = document.createElement("b"), about = document.createElement("span");
      name.textContent = line.name;
      const own = line.id === line.name ? line.dialect : `${line.id} · ${line.dialect}`; // two may have one name
      about.textContent = line.role === "user" ? own : line.role === "member" ? line.id.split("@").pop() : "";
      button.append(name, about);
      button.style.left = `${layout.x[index]}px`;
      button.style.maxWidth = `${Math.max(layout.pad + line.wide - 10, 60)}px`;
      button.addEventListener("click", () => { this.focus = this.focus === index ? null : index; this.drawHeads(); this.showMoment(); });
      return button;
    }));
    $("heads").style.width = `${layout.width}px`;
  }

  // The whole run in one strip: how much happens, what is lost, where faults are.
  drawOverview() {
    const canvas = $("overview"), { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
    if (!width || !this.trace.length) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d"), { trace } = this, { kind, t } = trace.records, colours = this.painter.colours;
    if (!colours.bg) return;
    context.scale(ratio, ratio);
    const slots = Math.floor(width / 3), counts = new Float64Array(slots), lost = new Uint8Array(slots);
    for (let i = 0; i < trace.length; i++) {
      const slot = Math.min(Math.floor((i / trace.length) * slots), slots - 1);
      const busy = i ? 1 / (1 + (t[i] - t[i - 1]) / 2000) : 1;
      counts[slot] = Math.max(counts[slot], busy);
      if (kind[i] === KIND.DROP) lost[slot] = 1; else if (kind[i] === KIND.REFUSE && !lost[slot]) lost[slot] = 2;
    }
    for (const fault of trace.faults) {
      const from = this.share(fault.from), to = fault.to ? this.share(fault.to) : 1;
      context.fillStyle = colours["fault-area"];
      context.fillRect(from * width, 0, Math.max((to - from) * width, 2), height);
    }
    for (let slot = 0; slot < slots; slot++) {
      const tall = 3 + counts[slot] * (height - 12);
      context.fillStyle = lost[slot] === 1 ? colours.bad : lost[slot] === 2 ? colours.warn : colours.bar;
      context.fillRect(slot * 3, height - tall, 2, tall);
    }
  }

  share(n) { return Math.min(Math.max((n - this.trace.first) / Math.max(this.trace.length - 1, 1), 0), 1); }

  drawCursorInOverview() { $("here").style.left = `${this.share(this.cursor) * 100}%`; }

  // --- moving ------------------------------------------------------------------------------------

  // The cursor goes to a record. `scrolls`: it is brought into view, "middle": into the middle.
  moveTo(n, { scrolls = true } = {}) {
    if (!this.trace.length) return;
    n = Math.min(Math.max(n, this.trace.first), this.trace.last);
    if (n !== this.cursor) { this.cursor = n; this.showMoment(); }
    if (scrolls) this.reveal(n, scrolls === "middle");
    $("scrub").value = n - this.trace.first;
    $("scrub").setAttribute("aria-valuetext", `${seconds(this.trace.records.t[n - this.trace.first])} s, record ${n}`);
    this.redraw();
  }

  reveal(n, inMiddle) {
    const y = this.layout.yOf(n), top = this.scroller.scrollTop, tall = this.scroller.clientHeight;
    if (inMiddle || y < top + 40 || y > top + tall - 60) this.scroller.scrollTop = y - tall * 0.42;
    const line = this.trace.records.line[n - this.trace.first];
    if (line < 0 || this.layout.width <= this.scroller.clientWidth) return;
    const x = this.layout.x[line], left = this.scroller.scrollLeft, wide = this.scroller.clientWidth;
    if (x < left + this.layout.gutter || x > left + wide - 60) this.scroller.scrollLeft = x - wide / 2;
  }

  // A record is looked at: what led to it and what followed is lit. `n` 0: none is.
  select(n, { hash = true } = {}) {
    if (!this.trace.has(n)) { this.lit = null; this.selected = 0; this.showInvolved(); this.showMoment(); return; }
    this.selected = n;
    this.lit = new Set([...this.trace.causes(n), n, ...this.trace.consequences(n)]);
    this.cursor = 0;
    if ($("involved").checked) this.showInvolved();
    this.moveTo(n);
    if (hash) history.replaceState(null, "", `#n=${n}`);
    $("said").textContent = this.trace.sentence(n);
  }

  // Only the lifelines of what is lit, if that is wanted.
  showInvolved() {
    const wanted = $("involved").checked && this.lit !== null, { line } = this.trace.records;
    this.layout.only = null;
    if (wanted) {
      const lines = new Set();
      for (const n of this.lit) {
        const packet = this.trace.packetOf(n);
        for (const index of packet ? [packet.source, packet.target] : [line[n - this.trace.first]]) if (index >= 0) lines.add(index);
      }
      this.layout.only = lines;
    }
    this.relayout();
  }

  step(way) {
    const { rows } = this.layout, at = this.cursor - this.trace.first;
    let low = 0, high = rows.length;
    while (low < high) { const mid = (low + high) >> 1; if (rows[mid] < at) low = mid + 1; else high = mid; }
    const row = way > 0 ? (rows[low] === at ? low + 1 : low) : low - 1;
    if (row >= 0 && row < rows.length) this.walk(this.trace.first + rows[row]);
  }

  walk(n) {
    this.follows = false;
    if (this.lit) this.select(n); else { this.moveTo(n); $("said").textContent = this.trace.sentence(n); }
  }

  // The next loss, refusal or fault.
  stepToTrouble(way) {
    const { kind } = this.trace.records;
    for (let i = this.cursor - this.trace.first + way; i >= 0 && i < this.trace.length; i += way) {
      if (kind[i] === KIND.DROP || kind[i] === KIND.REFUSE || kind[i] === KIND.FAULT) { this.select(this.trace.first + i); return; }
    }
  }

  goToHash() {
    const n = Number((/^#n=(\d{1,12})$/.exec(location.hash) || [])[1]);
    if (!n || !this.trace.has(n)) return false;
    this.select(n, { hash: false });
    this.reveal(n, true);
    return true;
  }

  search(again = false) {
    const wanted = $("search").value.trim().toLowerCase(), result = $("found"), { trace } = this;
    if (!wanted) { result.textContent = ""; return; }
    const number = /^(?:#?n=|#)?(\d+)$/.exec(wanted), time = /^t=(\d+(?:\.\d+)?)$/.exec(wanted);
    if (number || time) {
      const n = number ? Number(number[1]) : trace.atTime(Number(time[1]) * 1e6);
      result.textContent = trace.has(n) ? "" : `there is no record ${n}`;
      if (trace.has(n)) { this.select(n); this.reveal(n, true); }
      return;
    }
    if (!again || this.wanted !== wanted) {
      this.wanted = wanted;
      this.matches = [];
      for (let n = trace.first; n <= trace.last; n++) {
        const packet = trace.packetOf(n);
        if ((trace.said.get(n) || "").toLowerCase().includes(wanted)) { this.matches.push(n); continue; }
        if (trace.sentence(n).toLowerCase().includes(wanted) || (packet && packet.text.toLowerCase().includes(wanted))) this.matches.push(n);
      }
      this.match = this.matches.findIndex((n) => n >= this.cursor) - 1;
    }
    if (!this.matches.length) { result.textContent = "nothing found"; return; }
    this.match = (this.match + 1 + this.matches.length) % this.matches.length;
    result.textContent = `${this.match + 1} of ${this.matches.length}`;
    this.select(this.matches[this.match]);
    this.reveal(this.cursor, true);
  }

  play() {
    this.isPlaying = !this.isPlaying;
    $("play").textContent = this.isPlaying ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
    const turn = () => {
      if (!this.isPlaying) return;
      const before = this.cursor;
      this.step(1);
      if (this.cursor === before) { this.play(); return; }
      setTimeout(turn, 320);
    };
    if (this.isPlaying) turn();
  }
}
