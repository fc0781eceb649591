// The trace: columns of numbers, filled chunk by chunk. Knows no pixels.
const KIND = { STEP: 0, REFUSE: 1, SEND: 2, ARRIVE: 3, DROP: 4, TIMER: 5, FAULT: 6, SHOW: 7 };
const FATE = { IN_FLIGHT: 0, ARRIVED: 1, LOST: 2, REJECTED: 3, WITHHELD: 4 };
const STRIDE = 256; // of every so many records it is known which packets are on their way
const CHAIN_MAX = 5000;

class Trace {
  constructor(names) {
    this.names = names; // of machines
    this.texts = [];
    this.lifelines = [];
    this.order = [];
    this.tracks = [];
    this.records = { t: [], cause: [], kind: [], line: [], a: [], b: [], c: [], what: [], rule: [], why: [] };
    this.packets = [];
    this.faults = [];
    this.said = new Map(); // by record, the text that it is about
    this.losses = new Map(); // by record of a crash, the machines that are gone with it
    this.drops = 0;
    this.firstEffect = [];
    this.nextEffect = [];
    this.inFlight = new Set();
    this.inFlightAt = [];
    this.first = 1;
    this.endedUs = 0;
    this.states = new Map(); // by track, after record `at`
    this.at = 0;
  }

  get length() { return this.records.t.length; }
  get last() { return this.first + this.length - 1; }
  has(n) { return n >= this.first && n <= this.last; }
  text(number) { return number < 0 ? "" : this.texts[number]; }

  append(chunk) {
    if (this.length === 0) { this.first = chunk.first; this.at = chunk.first - 1; }
    for (const each of chunk.texts) this.texts.push(each);
    for (const [id, name, role, dialect] of chunk.lifelines) {
      this.lifelines.push({ index: this.lifelines.length, id: this.text(id), name: this.text(name), role, dialect, tracks: [] });
    }
    this.order = chunk.order;
    for (const [line, machine, id, instance, column, past] of chunk.tracks) {
      const track = { index: this.tracks.length, line, machine, id: this.text(id), instance, column, at: [], state: [] };
      if (past !== undefined) {
        track.at.push(this.first - 1);
        track.state.push(this.text(past));
        if (this.at === this.first - 1) this.states.set(track.index, this.text(past));
      }
      this.tracks.push(track);
      this.lifelines[line].tracks.push(track);
    }
    this.addPackets(chunk.packets);
    for (const key of Object.keys(this.records)) {
      const into = this.records[key];
      for (const value of chunk.records[key]) into.push(value);
    }
    for (let i = this.length - chunk.records.t.length; i < this.length; i++) this.addRecord(i);
    this.faults = chunk.faults.map(([what, why, line, links, from, fromUs, to, toUs]) => (
      { what: this.text(what), why: this.text(why), line, links: this.text(links), from, fromUs, to, toUs }
    ));
    for (const [index, n] of chunk.losses) {
      if ((this.losses.get(n) || []).includes(index)) continue;
      this.losses.set(n, [...(this.losses.get(n) || []), index]);
      this.tracks[index].at.push(n);
      this.tracks[index].state.push("");
    }
    for (const [n, text] of chunk.said) this.said.set(n, this.text(text));
    this.endedUs = chunk.ended_us;
  }

  addPackets(columns) {
    const { i, source, target, proto, what, bytes, sent, end, rejected, fate, why, text, routine } = columns;
    for (let row = 0; row < i.length; row++) {
      this.packets[i[row]] = {
        source: source[row], target: target[row], proto: this.text(proto[row]), what: this.text(what[row]), bytes: bytes[row],
        sent: sent[row], end: end[row], rejected: rejected[row], fate: fate[row], why: this.text(why[row]),
        text: this.text(text[row]), routine: routine[row] === 1,
      };
    }
  }

  addRecord(i) {
    const { cause, kind, a, c } = this.records;
    const n = this.first + i;
    if (i % STRIDE === 0) this.inFlightAt.push([...this.inFlight]);
    this.firstEffect.push(0);
    this.nextEffect.push(0);
    const from = cause[i] - this.first;
    if (cause[i] > 0 && from >= 0) { // the latest effect first; asked for seldom, so that the order is made then
      this.nextEffect[i] = this.firstEffect[from];
      this.firstEffect[from] = n;
    }
    if (kind[i] === KIND.STEP) {
      const track = this.tracks[a[i]], to = this.text(c[i]);
      if (track.state[track.state.length - 1] !== to) { track.at.push(n); track.state.push(to); }
    } else if (kind[i] === KIND.SEND) {
      this.inFlight.add(a[i]);
    } else if (kind[i] === KIND.ARRIVE || kind[i] === KIND.DROP) {
      if (kind[i] === KIND.DROP) this.drops++;
      this.inFlight.delete(a[i]);
    }
  }

  // --- asking ------------------------------------------------------------------------------------

  record(n) {
    const i = n - this.first, r = this.records;
    return { n, t: r.t[i], cause: r.cause[i], kind: r.kind[i], line: r.line[i], a: r.a[i], b: r.b[i], c: r.c[i],
             what: this.text(r.what[i]), rule: this.text(r.rule[i]), why: this.text(r.why[i]) };
  }

  packetOf(n) {
    const i = n - this.first, kind = this.records.kind[i];
    return kind === KIND.SEND || kind === KIND.ARRIVE || kind === KIND.DROP ? this.packets[this.records.a[i]] : null;
  }

  // The number of the latest record at or before a time.
  atTime(us) {
    const t = this.records.t;
    let low = 0, high = t.length;
    while (low < high) { const mid = (low + high) >> 1; if (t[mid] <= us) low = mid + 1; else high = mid; }
    return this.first + Math.max(low - 1, 0);
  }

  causes(n) {
    const found = [];
    for (let at = this.has(n) ? this.records.cause[n - this.first] : 0; this.has(at) && found.length < CHAIN_MAX;
         at = this.records.cause[at - this.first]) found.push(at);
    return found.reverse();
  }

  effects(n) {
    const found = [];
    for (let at = this.firstEffect[n - this.first]; at; at = this.nextEffect[at - this.first]) found.push(at);
    return found.reverse();
  }

  // The records that follow from record `n`, at most so many, in the order of their numbers.
  consequences(n, most = CHAIN_MAX) {
    const found = [];
    for (let next = -1; next < found.length && found.length < most; next++) found.push(...this.effects(next < 0 ? n : found[next]));
    return found.sort((x, y) => x - y);
  }

  // The states of all machines after record `n`, by track. Costs as much as the way from the last call.
  statesAt(n) {
    const { kind, a, b, c } = this.records;
    while (this.at < n) {
      const i = ++this.at - this.first;
      if (kind[i] === KIND.STEP) this.states.set(a[i], this.text(c[i]));
      else for (const index of this.losses.get(this.at) || []) this.states.delete(index);
    }
    while (this.at > n) {
      for (const index of this.losses.get(this.at) || []) this.states.set(index, this.tracks[index].state.at(-2));
      const i = this.at-- - this.first;
      if (kind[i] !== KIND.STEP) continue;
      const track = this.tracks[a[i]];
      if (track.at[0] === i + this.first) this.states.delete(a[i]); else this.states.set(a[i], this.text(b[i]));
    }
    return this.states;
  }

  actor(record) { return record.line < 0 ? "network" : this.lifelines[record.line].id; }

  // The same sentence that `tcrp.trace.sentences` makes of a record; a test compares them.
  sentence(n) {
    const record = this.record(n);
    const brackets = (...parts) => { const some = parts.filter(Boolean); return some.length ? ` (${some.join(", ")})` : ""; };
    let says;
    switch (record.kind) {
      case KIND.STEP: {
        const track = this.tracks[record.a], from = this.text(record.b), to = this.text(record.c);
        const change = from === to ? `stays ${to}` : `${from} -> ${to}`;
        says = `${this.names[track.machine]} ${track.id} ${change}${brackets(record.what, record.rule, record.why)}`;
        break;
      }
      case KIND.REFUSE:
        says = `${this.names[record.a]} ${this.text(record.c)} refuses ${record.what} while ${this.text(record.b)}`
             + brackets(record.rule, record.why);
        break;
      case KIND.TIMER: says = `${record.what} deadline reached${brackets(record.rule)}`; break;
      case KIND.FAULT: says = `fault: ${record.what}${brackets(record.why)}`; break;
      case KIND.SHOW: {
        const name = this.text(record.a);
        if (record.what === "relay") {
          const points = [...record.why];
          const text = points.length > 100 ? `${points.slice(0, 100).join("")}…` : record.why;
          says = `shows '${text}' from ${name}${brackets(record.rule)}`;
        } else {
          says = `shows the notice ${record.what}${name ? ` about ${name}` : ""}${brackets(record.rule)}`;
        }
        break;
      }
      default: {
        const packet = this.packets[record.a];
        const end = (line) => (line < 0 ? "" : this.lifelines[line].id);
        const size = `${packet.proto}, ${packet.bytes} byte${packet.bytes === 1 ? "" : "s"}`;
        const route = record.kind === KIND.SEND ? `sends ${record.what} to ${end(packet.target)}`
          : record.kind === KIND.ARRIVE ? `receives ${record.what} from ${end(packet.source)}`
          : `drops ${record.what} from ${end(packet.source)} to ${end(packet.target)}`;
        says = route + brackets(size, record.rule, record.why);
      }
    }
    const actor = record.kind === KIND.STEP && this.lifelines[record.line].role === "member" ? "server" : this.actor(record);
    return `${actor}: ${says}`;
  }
}

function seconds(us) { return `${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, "0")}`; }

function duration(us) {
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${+(us / 1000).toPrecision(3)} ms`;
  if (us < 6e7) return `${+(us / 1e6).toPrecision(3)} s`;
  return `${Math.floor(us / 6e7)} min ${Math.round((us % 6e7) / 1e6)} s`;
}
