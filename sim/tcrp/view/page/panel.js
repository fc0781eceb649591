// What stands beside the diagram: the verdict, the moment, the record, and how one listens to a person.
Object.assign(App.prototype, {
  showAbout() {
    const { about } = this.page;
    document.title = `${about.title} — tcrp`;
    $("title").textContent = about.title;
    $("subtitle").textContent = about.subtitle;
    const verdict = $("verdict");
    verdict.hidden = !about.verdict;
    verdict.textContent = about.verdict;
    verdict.className = about.holds ? "holds" : "fails";
    const findings = $("findings");
    findings.hidden = about.findings.length === 0;
    for (const finding of about.findings) {
      const item = this.element("li");
      item.append(this.element("strong", finding.what));
      for (const [name, text] of finding.parts) {
        const line = this.element("p");
        if (name) line.append(this.element("em", name), " ");
        line.append(text);
        item.append(line);
      }
      if (finding.n) {
        const button = this.element("button", `Show record ${finding.n}`, "go");
        button.type = "button";
        button.addEventListener("click", () => { this.select(finding.n); this.reveal(finding.n, true); });
        item.append(button);
      }
      findings.append(item);
    }
    $("source-box").hidden = !about.source;
    $("source").textContent = about.source;
    $("notes").replaceChildren(...about.notes.map((each) => this.element("li", each)));
  },

  element(name, text = "", kind = "") {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  },

  // The panel at the cursor.
  showMoment() {
    const { trace, cursor } = this;
    if (!trace.has(cursor)) return;
    this.diagrams.light(trace, cursor, this.focus);
    $("time").textContent = `${seconds(trace.records.t[cursor - trace.first])} s`;
    $("focus").textContent = this.focus === null ? "" : `of ${trace.lifelines[this.focus].id}`;
    clearTimeout(this.settling);
    if (this.isScrubbing) this.settling = setTimeout(() => this.showLists(), SETTLED_MS); else this.showLists();
  },

  // What is too much work for each frame of a scrub.
  showLists() {
    const { trace, cursor } = this;
    if (!trace.has(cursor)) return;
    const from = Math.max(Math.min(cursor - 4, trace.last - NOW_SHOWN + 1), trace.first), around = [];
    for (let n = from; n < from + NOW_SHOWN && n <= trace.last; n++) around.push(n);
    this.fill($("now"), around);
    this.showRecord(cursor);
  },

  fill(list, numbers, most = NOW_SHOWN) {
    const shown = numbers.slice(0, most).map((n) => this.entry(n));
    if (numbers.length > most) shown.push(this.element("li", `and ${numbers.length - most} more`, "more"));
    list.replaceChildren(...shown);
  },

  entry(n) {
    const item = this.element("li"), button = this.element("button", "", `record kind-${this.trace.records.kind[n - this.trace.first]}`);
    button.type = "button";
    button.dataset.n = n;
    button.append(this.element("i", String(n)), this.element("span", this.trace.sentence(n)));
    if (n === this.cursor) button.setAttribute("aria-current", "true");
    item.append(button);
    return item;
  },

  showRecord(n) {
    const { trace } = this, record = trace.record(n), packet = trace.packetOf(n), facts = $("facts");
    $("record-title").textContent = `Record ${n}`;
    $("record-says").textContent = trace.sentence(n);
    const rows = [["time", `${seconds(record.t)} s`]];
    if (trace.said.has(n)) rows.push(["text", trace.said.get(n)]);
    if (packet) {
      const name = (line) => (line < 0 ? "?" : trace.lifelines[line].id);
      rows.push(["way", `${name(packet.source)} → ${name(packet.target)}, ${packet.proto.toUpperCase()}`]);
      if (packet.text) rows.push(["text", packet.text]);
      const took = packet.sent && packet.end ? trace.record(packet.end).t - trace.record(packet.sent).t : 0;
      const fate = ["on its way", `arrived after ${duration(took)}`, "lost", "arrived, and was dropped", "not sent"][packet.fate];
      rows.push(["fate", packet.why && packet.fate > 1 ? `${fate}: ${packet.why}` : fate]);
    }
    const meaning = this.page.meanings[record.why] || (packet && this.page.meanings[packet.why]);
    if (meaning) rows.push(["why", meaning]);
    if (record.rule) rows.push([record.rule, this.page.rules[record.rule] || ""]);
    facts.replaceChildren(...rows.flatMap(([name, text]) => [this.element("dt", name), this.element("dd", text)]));
    const causes = trace.causes(n), effects = trace.consequences(n, this.lit ? undefined : 100);
    $("causes-none").hidden = causes.length > 0;
    $("effects-none").hidden = effects.length > 0;
    this.fill($("causes"), causes.slice(-CHAIN_SHOWN), CHAIN_SHOWN);
    this.fill($("effects"), effects, CHAIN_SHOWN);
  },

  // --- listening ---------------------------------------------------------------------------------

  listen() {
    const { scroller } = this;
    scroller.addEventListener("scroll", () => { this.drawHeads(); this.redraw(); }, { passive: true });
    new ResizeObserver(() => {
      if (scroller.clientWidth !== this.sized[0] || scroller.clientHeight !== this.sized[1]) this.resize();
    }).observe(scroller);
    window.addEventListener("hashchange", () => this.goToHash());
    scroller.addEventListener("click", (event) => {
      const box = scroller.getBoundingClientRect();
      const x = event.clientX - box.left + scroller.scrollLeft, y = event.clientY - box.top + scroller.scrollTop;
      const n = this.painter.at(x, y);
      this.follows = false;
      if (n) this.select(n);
      else { this.select(0); this.moveTo(this.layout.nearest(y), { scrolls: false }); }
    });
    scroller.addEventListener("pointermove", (event) => {
      const box = scroller.getBoundingClientRect();
      const n = this.painter.at(event.clientX - box.left + scroller.scrollLeft, event.clientY - box.top + scroller.scrollTop);
      scroller.style.cursor = n ? "pointer" : "default";
      const tip = $("tip");
      tip.hidden = !n || event.pointerType === "touch";
      if (tip.hidden) return;
      tip.textContent = this.trace.sentence(n);
      const left = Math.min(event.clientX - box.left + 14, box.width - 290);
      tip.style.left = `${Math.max(left, 4)}px`;
      tip.style.top = `${Math.min(event.clientY - box.top + 18, box.height - 60)}px`;
    });
    scroller.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    $("scrub").addEventListener("input", (event) => {
      this.follows = false;
      if (this.lit) this.select(0);
      this.isScrubbing = true;
      this.moveTo(this.trace.first + Number(event.target.value), { scrolls: "middle" });
      this.isScrubbing = false;
    });
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-n]");
      if (button) { this.select(Number(button.dataset.n)); this.reveal(this.cursor, false); }
    });
    $("search-form").addEventListener("submit", (event) => { event.preventDefault(); this.search(true); });
    $("search").addEventListener("input", () => { $("found").textContent = ""; });
    $("play").addEventListener("click", () => this.play());
    $("scale").addEventListener("change", (event) => { this.layout.scale = event.target.value; this.relayout(); this.reveal(this.cursor, true); });
    $("routine").addEventListener("change", (event) => { this.layout.showsRoutine = event.target.checked; this.relayout(); });
    $("involved").addEventListener("change", () => this.showInvolved());
    for (const [id, by] of [["closer", 1.4], ["farther", 1 / 1.4]]) $(id).addEventListener("click", () => this.zoomBy(by));
    scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300));
    }, { passive: false });
    $("theme").addEventListener("click", () => this.switchTheme());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
    $("keys-button").addEventListener("click", () => $("keys").showModal());
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("beforeprint", () => this.printed(true));
    window.addEventListener("afterprint", () => this.printed(false));
    matchMedia("print").addEventListener("change", (event) => this.printed(event.matches));
  },

  zoomBy(by) {
    this.layout.zoom = Math.min(Math.max(this.layout.zoom * by, this.layout.scale === "time" ? 0.001 : 0.35), 400);
    if (this.layout.scale === "even") this.layout.zoom = Math.min(this.layout.zoom, 6);
    this.relayout();
  },

  switchTheme() {
    const root = document.documentElement, chosen = root.dataset.theme;
    const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    this.resize();
  },

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || $("keys").open) return;
    if (event.target.matches("input[type=search], select, summary")) return;
    if (event.target.id === "scrub" && event.key.startsWith("Arrow")) return;
    const isButton = event.target.matches("button");
    const act = {
      ArrowDown: () => this.step(1), ArrowUp: () => this.step(-1), j: () => this.step(1), k: () => this.step(-1),
      n: () => this.stepToTrouble(1), N: () => this.stepToTrouble(-1),
      c: () => { const cause = this.trace.record(this.cursor).cause; if (cause) this.select(cause); },
      e: () => { const [effect] = this.trace.effects(this.cursor); if (effect) this.select(effect); },
      Home: () => this.walk(this.trace.first), End: () => this.walk(this.trace.last),
      Escape: () => this.select(0), "+": () => this.zoomBy(1.4), "-": () => this.zoomBy(1 / 1.4),
      "/": () => $("search").focus(), "?": () => $("keys").showModal(), " ": isButton ? null : () => this.play(),
      Enter: isButton ? null : () => this.select(this.cursor),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  },

  // On paper the whole diagram follows, page by page, as far as a person would read it.
  printed(isBegun) {
    const into = $("paper");
    if (isBegun === (into.childElementCount > 0)) return;
    into.replaceChildren();
    if (!isBegun) return;
    const tall = 940, theme = document.documentElement.dataset.theme || "";
    document.documentElement.dataset.theme = "light";
    this.painter.readColours(document.documentElement);
    this.painter.colours.bg = "#ffffff";
    const wide = Math.min(this.layout.width, 1400), pages = Math.ceil(this.layout.height / tall);
    for (let page = 0; page < Math.min(pages, PRINTED_PAGES_MAX); page++) {
      const canvas = this.element("canvas"), height = Math.min(tall, this.layout.height - page * tall) + 24;
      canvas.width = wide * 2;
      canvas.height = height * 2;
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      this.painter.paint(context, { x: 0, y: page * tall - 24, width: wide, height }, null, -1);
      for (const index of this.layout.order) {
        this.painter.label(this.trace.lifelines[index].name, this.layout.x[index], 9, this.painter.colours.ink,
                           { align: "center", size: 13, weight: 700 });
      }
      into.append(canvas);
    }
    if (pages > PRINTED_PAGES_MAX) into.append(this.element("p", `The first ${PRINTED_PAGES_MAX} of ${pages} pages.`));
    if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
    this.painter.readColours(document.documentElement);
  },
});
