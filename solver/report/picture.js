// The page of one scenario: its plan as a picture of nodes, GPUs and links, or why it has none.
const COLOURS = ["#0969da", "#8250df", "#bf3989", "#cf222e", "#bc4c00", "#9a6700", "#1a7f37", "#0a7d91"];

function drawPlan(row) {
  const box = $("plan");
  box.replaceChildren(el("h2", row.strategy || row.status), el("p", [row.status, ...AXES.map(k => k + " " + word(row.changes[k]))].join(", "), {className: "soft"}));
  const list = el("dl");
  for (const [name, title] of COLUMNS) if (row[name] !== null && row[name] !== undefined) list.append(el("dt", title), el("dd", told(row[name], name)));
  box.append(list);
  if (row.why) box.append(el("h2", "Why there is no plan"), ...row.why.split("\n").map(text => el("p", text)));
  if (row.picture) drawPicture(box, row.picture);
  box.append(el("p")); box.lastChild.append(el("a", "back to all scenarios", {href: "#"}));
}

function drawPicture(box, p) {
  const nodes = new Map(), spans = [];
  let engine = 0;
  for (const kind of p.kinds) for (let copy = 0; copy < kind.count; copy++, engine++) {
    let rank = 0;
    const stands = [...new Set((p.seats[engine] || []).map(([node]) => node))];
    if (stands.length > 1) spans.push(`engine ${engine} over nodes ${stands.join(", ")}`);
    for (const [node, first, gpus] of p.seats[engine] || []) for (let i = 0; i < gpus; i++, rank++) {
      if (!nodes.has(node)) nodes.set(node, []);
      nodes.get(node).push({gpu: first + i, engine, kind, rank});
    }
  }
  box.append(el("h2", nodes.size ? "Who holds what" : "Placement"));
  if (!nodes.size) { box.append(el("p", "The engines of a table have no placement.", {className: "soft"})); return; }
  const area = el("div", undefined, {className: nodes.size > 1 ? "nodes linked" : "nodes"});
  for (const [node, gpus] of [...nodes].sort((a, b) => a[0] - b[0])) area.append(drawNode(node, gpus, p));
  box.append(area);
  if (spans.length) box.append(el("p", `The network carries ${spans.slice(0, 20).join("; ")}${spans.length > 20 ? `; and ${spans.length - 20} more` : ""}.`));
  if (p.feeds.length) box.append(el("h2", "Who feeds whom"));
  for (const [from, to, rate, seconds] of p.feeds) {
    const flow = el("p", undefined, {className: "flow"});
    flow.append(kindBox(p, from), el("span", `${told(rate)} requests/s, KV cache in ${told(seconds * 1e3)} ms ⟶`, {className: "soft"}), kindBox(p, to));
    box.append(flow);
  }
}

function drawNode(node, gpus, p) {
  const card = p.cards[node], [inside, between] = p.links[card] || [];
  const one = el("div", undefined, {className: "node"}), tiles = el("div", undefined, {className: gpus.length > 1 ? "gpus linked" : "gpus"});
  const links = [gpus.length > 1 && inside && `node link ${inside}`, between && `network ${between}`].filter(Boolean).join("; ");
  one.append(el("span", `node ${node}, ${card}` + (links ? `; ${links}, per GPU` : "")));
  for (const g of gpus.sort((a, b) => a.gpu - b.gpu)) {
    const tile = el("div", undefined, {className: "gpu"});
    tile.style.setProperty("--mark", COLOURS[g.engine % COLOURS.length]);
    tile.append(el("strong", `GPU ${g.gpu} · engine ${g.engine}`), el("br"), document.createTextNode(held(g, p)));
    tiles.append(tile);
  }
  one.append(tiles);
  return one;
}

function kindBox(p, index) {
  const first = p.kinds.slice(0, index).reduce((sum, kind) => sum + kind.count, 0), kind = p.kinds[index];
  const box = el("span", `${kind.role} ${kind.name} × ${kind.count} (engine${kind.count > 1 ? `s ${first}–${first + kind.count - 1}` : ` ${first}`})`, {className: "kind"});
  box.style.setProperty("--mark", COLOURS[first % COLOURS.length]);
  return box;
}

function held(g, p) {  // ranks run over tensor, then context, data, pipeline
  if (!g.kind.degrees) return g.kind.role;
  const [t, c, d, , e, s] = g.kind.degrees, group = t * c * d;
  const stage = Math.floor(g.rank / group), inside = g.rank % group, tensor = inside % t;
  const first = g.kind.layers.slice(0, stage).reduce((a, b) => a + b, 0), words = [g.kind.role, `layers ${first}–${first + g.kind.layers[stage] - 1}`];
  if (g.kind.linear) words.push(`${g.kind.linear[stage]} of them linear`);
  if (p.heads) words.push(`heads ${tensor * p.heads / t}–${(tensor + 1) * p.heads / t - 1}`);
  if (d > 1) words.push(`data ${Math.floor(inside / (t * c))}`);
  if (p.experts) { const n = p.experts / e, x = Math.floor(inside / s); words.push(`experts ${x * n}–${(x + 1) * n - 1}` + (s > 1 ? ` (1/${s})` : "")); }
  return words.join(", ");
}
