// Where things are: a height for each record, a place for each lifeline and machine. Knows no colours.
const BAND = 15, BAND_GAP = 3, HANDSHAKE_BAND = 7, ROW = 21, COLUMNS_MAX = 12;

class Layout {
  constructor(trace) {
    this.trace = trace;
    this.scale = "even"; // or "time": as long as it took
    this.zoom = 1;
    this.showsRoutine = false;
    this.only = null; // or the lifelines that are shown
    this.y = new Float64Array(0);
    this.rows = []; // the records that have a place of their own
    this.width = this.height = 0;
    this.x = [];
  }

  // Whether a record has a place of its own in the even scale.
  isRow(i) {
    const { kind, a, b, c } = this.trace.records;
    switch (kind[i]) {
      case KIND.STEP: return b[i] !== c[i] || this.isTalk(i);
      case KIND.SEND: case KIND.ARRIVE: return this.showsRoutine || !this.trace.packets[a[i]].routine;
      case KIND.TIMER: return false;
      default: return true;
    }
  }

  // Whether a step of a member, of whom only the server tells, is about a text.
  isTalk(i) {
    const { line, what } = this.trace.records;
    return this.trace.lifelines[line[i]].role === "member" && (this.trace.text(what[i]) === "relayed" || this.trace.said.has(this.trace.first + i));
  }

  compute(width) {
    this.computeHeights();
    this.computeColumns(width);
  }

  computeHeights() {
    const { t, kind, a, line, what } = this.trace.records, count = this.trace.length;
    this.rows = [];
    for (let i = 0; i < count; i++) if (this.isRow(i)) this.rows.push(i);
    const y = (this.y = new Float64Array(count));
    const labelled = new Map(); // by what would overlap, the height of the latest label
    if (this.scale === "time") {
      const from = count ? t[0] : 0, perUs = (this.zoom * 120) / 1e6;
      for (let i = 0; i < count; i++) y[i] = 16 + (t[i] - from) * perUs;
      this.height = (count ? y[count - 1] : 0) + 60;
      return;
    }
    let at = 16, before = -1;
    for (const i of this.rows) {
      if (before >= 0) {
        const passed = t[i] - t[before];
        const isFanOut = passed === 0 && kind[i] === kind[before] && what[i] === what[before]
          && (kind[i] === KIND.SEND ? this.trace.packets[a[i]].target !== this.trace.packets[a[before]].target
            : kind[i] === KIND.STEP && line[i] !== line[before] && this.isTalk(i));
        if (passed > 0) at += this.zoom * Math.min(74, 7 + 6 * Math.log2(1 + passed / 1000));
        else if (!isFanOut) at += this.zoom * (kind[i] === KIND.STEP ? 8 : 11);
        const label = this.label(i, kind[i], a[i], line[i]);
        if (label !== null && labelled.has(label)) at = Math.max(at, labelled.get(label) + ROW * Math.max(this.zoom, 0.8));
        if (label !== null) labelled.set(label, at);
        if (kind[i] === KIND.STEP && this.trace.said.has(this.trace.first + i)) at += 16; // its text is above it
      }
      y[i] = at;
      before = i;
    }
    this.height = at + 60;
    // The others are between their neighbours, by their time.
    let from = 0, row = 0;
    for (let i = 0; i < count; i++) {
      if (this.rows[row] === i) { from = i; row++; continue; }
      const next = row < this.rows.length ? this.rows[row] : -1;
      if (next < 0 || row === 0) { y[i] = row === 0 ? 16 : y[from]; continue; }
      const share = t[next] > t[from] ? (t[i] - t[from]) / (t[next] - t[from]) : 0;
      y[i] = y[from] + (y[next] - y[from]) * share;
    }
  }

  label(i, kind, a, line) {
    if (kind === KIND.SEND) { const p = this.trace.packets[a]; return `${Math.min(p.source, p.target)}>${Math.max(p.source, p.target)}`; }
    if (kind === KIND.SHOW || kind === KIND.REFUSE || kind === KIND.DROP) return line < 0 ? "network" : `show ${line}`;
    return null;
  }

  computeColumns(width) {
    const { trace } = this, lines = trace.lifelines;
    const order = this.order = trace.order.filter((index) => lines[index] !== undefined && !this.isHidden(index));
    const many = order.length;
    for (const line of lines) {
      const columns = [0, 0, 0, 0, 0];
      for (const track of line.tracks) columns[track.machine] = Math.max(columns[track.machine], track.column + 1);
      line.columns = columns.map((each) => Math.min(each, COLUMNS_MAX));
      const [session, room, ...narrow] = line.columns; // handshakes, and of a cluster leases and ownerships
      line.wide = (session + room) * (BAND + BAND_GAP) + narrow.reduce((a, b) => a + b) * (HANDSHAKE_BAND + BAND_GAP);
      line.half = Math.max(line.wide / 2, 4);
    }
    const blocks = order.reduce((sum, index) => sum + lines[index].wide, 0);
    // What users read stands outside of the outermost lifelines.
    this.isNarrow = width < 700;
    const gutter = this.gutter = this.isNarrow ? 68 : 92;
    const aside = this.isNarrow ? 0 : Math.min(Math.max(width * 0.09, 70), 170);
    const room = width - gutter - 2 * aside - blocks;
    const pad = Math.max(Math.min(room / Math.max(many, 1), 340), this.isNarrow && many < 5 ? 64 : many > 6 ? 118 : 96);
    let x = gutter + Math.max(aside, (width - gutter - many * pad - blocks) / 2);
    this.x = new Array(lines.length).fill(-1e9);
    for (const index of order) {
      x += pad / 2 + lines[index].half;
      this.x[index] = x;
      x += pad / 2 + lines[index].half;
    }
    this.pad = pad;
    this.width = Math.max(width, x + aside);
  }

  // Whether a lifeline is left out, because only those of a chain are wanted.
  isHidden(index) { return index >= 0 && this.only !== null && !this.only.has(index); }

  // The left edge and the width of a machine's band; null if there is no room for it.
  bandOf(track) {
    if (track.column >= COLUMNS_MAX || this.isHidden(track.line)) return null;
    const line = this.trace.lifelines[track.line], [, room, ...narrow] = line.columns;
    let x = this.x[track.line] - line.wide / 2 + BAND_GAP / 2;
    for (let machine = 2; machine < 5; machine++) {
      const wide = HANDSHAKE_BAND + BAND_GAP;
      if (track.machine === machine) return { x: x + track.column * wide, width: HANDSHAKE_BAND };
      x += narrow[machine - 2] * wide;
    }
    if (track.machine === 0) x += room * (BAND + BAND_GAP);
    return { x: x + track.column * (BAND + BAND_GAP), width: BAND };
  }

  yOf(n) {
    if (n < this.trace.first) return 0;
    const i = n - this.trace.first;
    return i < this.y.length ? this.y[i] : this.height - 40;
  }

  // The place of the first record at or below a height.
  indexAt(y) {
    let low = 0, high = this.y.length;
    while (low < high) { const mid = (low + high) >> 1; if (this.y[mid] < y) low = mid + 1; else high = mid; }
    return low;
  }

  nearest(y) {
    const rows = this.rows;
    let low = 0, high = rows.length;
    while (low < high) { const mid = (low + high) >> 1; if (this.y[rows[mid]] <= y) low = mid + 1; else high = mid; }
    return this.trace.first + (rows[Math.max(low - 1, 0)] || 0);
  }
}
