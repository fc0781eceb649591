// The three state diagrams, lit by the states of the machines at the moment of the cursor.
const NODE = { width: 76, height: 32, across: 97, down: 40, above: 20 };
const SVG = "http://www.w3.org/2000/svg";
const FINAL = new Set();

function svg(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

class Diagrams {
  constructor(diagrams, into) {
    this.machines = diagrams.map((diagram, machine) => this.draw(diagram, machine, into));
  }

  draw({ machine: name, nodes, edges }, machine, into) {
    const steps = Math.max(...nodes.map((node) => node.step)), rows = Math.max(...nodes.map((node) => node.row));
    const box = [steps * NODE.across + NODE.width + 4, rows * NODE.down + NODE.height + NODE.above + 8];
    const figure = document.createElement("figure");
    figure.className = "machine";
    const caption = document.createElement("figcaption");
    caption.textContent = name;
    figure.append(caption);
    const picture = svg("svg", { viewBox: `0 0 ${box[0]} ${box[1]}`, role: "img" }, figure);
    const title = svg("title", {}, picture);
    title.textContent = `The states of the machine ${name}`;
    const place = new Map(nodes.map((node) => [node.state, { ...node, x: node.step * NODE.across + NODE.width / 2 + 2, y: node.row * NODE.down + NODE.above }]));
    const drawn = { name, title, nodes: new Map(), edges: new Map() };
    for (const edge of edges) drawn.edges.set(`${edge.source} ${edge.target}`, this.edge(picture, place.get(edge.source), place.get(edge.target), edge));
    for (const node of place.values()) {
      if (node.is_final) FINAL.add(`${machine} ${node.state}`);
      const group = svg("g", { class: "state", "data-state": node.state }, picture);
      svg("rect", { x: node.x - NODE.width / 2, y: node.y, width: NODE.width, height: NODE.height, rx: 8 }, group);
      const text = svg("text", { x: node.x, y: node.y + 14, class: "name" }, group);
      text.textContent = node.state;
      const who = svg("text", { x: node.x, y: node.y + 27, class: "who" }, group);
      group.style.setProperty("--own", `var(--state-${node.state}, var(--ink3))`);
      drawn.nodes.set(node.state, { group, who });
    }
    into.append(figure);
    return drawn;
  }

  edge(picture, from, to, edge) {
    const group = svg("g", { class: "edge" }, picture);
    const half = NODE.width / 2, middle = NODE.height / 2;
    let path, tip;
    if (from === to) {
      path = `M${from.x + 10} ${from.y}c8 -17 -28 -17 -20 0`;
      tip = [from.x - 10, from.y, Math.PI * 0.4];
    } else if (to.row === from.row && to.step === from.step + 1) {
      path = `M${from.x + half} ${from.y + middle}H${to.x - half}`;
      tip = [to.x - half, to.y + middle, 0];
    } else if (to.row === from.row) { // over what stands between
      const x0 = from.x + half - 12, x1 = to.x - half + 12, over = from.y - NODE.above;
      path = `M${x0} ${from.y}C${x0 + 10} ${over} ${x1 - 10} ${over} ${x1} ${to.y}`;
      tip = [x1, to.y, Math.PI * 0.4];
    } else {
      const x0 = from.x + (to.step - from.step > 1 ? 0 : half - 16) + (to.row - 1) * -9, y1 = to.y + middle - (to.step - from.step - 1) * 4 + 3;
      path = `M${x0} ${from.y + NODE.height}C${x0 + 4} ${y1} ${x0 + 20} ${y1} ${to.x - half} ${y1}`;
      tip = [to.x - half, y1, 0];
    }
    svg("path", { d: path, class: "way" }, group);
    const [x, y, angle] = tip, point = (turn) => `${x - 6 * Math.cos(angle + turn)} ${y - 6 * Math.sin(angle + turn)}`;
    svg("path", { d: `M${x} ${y}L${point(0.4)}L${point(-0.4)}Z`, class: "tip" }, group);
    svg("title", {}, group).textContent = `${edge.source} → ${edge.target}: ${edge.events.join(", ")}`;
    return group;
  }

  // Lights the states of the machines on one lifeline, or, without one, the server's or everybody's.
  light(trace, cursor, focus) {
    const states = trace.statesAt(cursor);
    const hasServer = trace.lifelines.some((line) => line.role !== "user");
    const found = this.machines.map(() => new Map());
    for (const [index, state] of states) {
      const track = trace.tracks[index], role = trace.lifelines[track.line].role;
      if (found[track.machine] === undefined) continue; // a cluster's: it has no diagram here
      if (focus !== null ? track.line !== focus : hasServer && role === "user") continue;
      const isEnded = FINAL.has(`${track.machine} ${state}`) && track.at[track.at.length - 1] !== cursor;
      const known = found[track.machine].get(state) || { living: [], ended: 0 };
      if (isEnded) known.ended++; else known.living.push(track.machine === 1 ? track.id : track.id.split("@")[0]);
      found[track.machine].set(state, known);
    }
    const record = trace.has(cursor) ? trace.record(cursor) : null;
    const moved = record && record.kind === KIND.STEP ? trace.tracks[record.a].machine : -1;
    this.machines.forEach((drawn, machine) => {
      const said = [];
      for (const [state, { group, who }] of drawn.nodes) {
        const { living = [], ended = 0 } = found[machine].get(state) || {};
        group.classList.toggle("lit", living.length > 0);
        const names = living.join(", ");
        who.textContent = living.length === 0 ? (ended ? `${ended} ended` : "") : names.length <= 12 ? names : `${living.length}`;
        group.classList.toggle("told", who.textContent !== "");
        if (living.length) said.push(`${state}: ${living.slice(0, 20).join(", ")}`);
      }
      drawn.title.textContent = `The machine ${drawn.name}. ${said.join("; ") || "Nobody is in it"}`;
      for (const [key, group] of drawn.edges) {
        group.classList.toggle("taken", machine === moved && key === `${trace.text(record.b)} ${trace.text(record.c)}`);
      }
    });
  }
}
