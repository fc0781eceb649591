// Begins: the trace is in the page, or comes from a server as it happens.
Object.assign(App.prototype, {
  watch({ events, kept }) {
    const source = new EventSource(events), state = $("live");
    state.hidden = false;
    const say = (text, kind) => { state.textContent = text; state.className = kind; };
    say("connecting …", "waits");
    source.addEventListener("begin", (event) => {
      const { chunk, left_out: leftOut } = JSON.parse(event.data);
      this.forget();
      this.take(chunk);
      this.relayout();
      say("live", "live");
      if (leftOut) $("left-out").textContent = `${leftOut.toLocaleString("en")} records left out`;
      this.toTheEnd();
    });
    source.addEventListener("more", (event) => {
      this.take(JSON.parse(event.data));
      this.relayout();
      this.toTheEnd();
    });
    source.addEventListener("error", () => say(source.readyState === 2 ? "the server has ended" : "the server does not answer", "lost"));
    document.addEventListener("keydown", (event) => { if (event.key === "End") this.follows = true; });
    $("follow").hidden = false;
    $("follow").addEventListener("click", () => { this.follows = true; this.select(0); this.toTheEnd(); });
  },

  forget() {
    Object.assign(this.trace, new Trace(this.trace.names));
    this.lit = null;
    this.cursor = 0;
    this.focus = null;
    this.headsDrawn = "";
  },

  toTheEnd() {
    if (this.follows && this.trace.length) this.moveTo(this.trace.last);
  },
});

window.app = new App(JSON.parse($("data").textContent));
