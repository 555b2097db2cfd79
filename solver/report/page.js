"use strict";
// Rows, axes and titles come from the page's own data; nothing is fetched.
const DATA = JSON.parse(document.getElementById("data").textContent);
const ROWS = DATA.rows, AXES = DATA.axes;
const COLUMNS = [
  ["status", "status"], ["strategy", "strategy"], ["engines", "engines"], ["gpus_used", "GPUs"], ["ttft", "TTFT, s"], ["tpot", "TPOT, ms"],
  ["request_latency", "latency, s"], ["requests_per_s", "requests/s"], ["tokens_per_s", "tokens/s"], ["tokens_per_s_per_gpu", "tokens/s per GPU"],
  ["flips", "flips from"], ["binding", "conflict"], ["reason", "reason"],
].filter(([name]) => ROWS.some(row => row[name] !== null && row[name] !== undefined));
const PAGE = 100;
const webgl = () => !!document.createElement("canvas").getContext("webgl2");
const state = {text: "", status: "", axis: {}, sort: null, down: false, shown: PAGE};
const $ = id => document.getElementById(id);
const word = value => value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
const cell = (row, name) => name.startsWith("@") ? row.changes[name.slice(1)] : row[name];
const told = (value, name) => typeof value !== "number" ? word(value) : name === "tpot" ? (value * 1e3).toPrecision(4)
  : Number.isInteger(value) ? value.toLocaleString("en") : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(4);
const el = (tag, text, more = {}) => Object.assign(document.createElement(tag), text === undefined ? {} : {textContent: text}, more);

function filtered() {
  const text = state.text.toLowerCase();
  const found = ROWS.filter(row => (!state.status || row.status === state.status)
    && Object.entries(state.axis).every(([key, value]) => value === "" || word(row.changes[key]) === value)
    && (!text || row.haystack.includes(text)));
  if (state.sort !== null) {
    const name = state.sort, sign = state.down ? -1 : 1;
    const blank = value => value === null || value === undefined;
    found.sort((a, b) => {
      const x = cell(a, name), y = cell(b, name);
      if (blank(x) || blank(y)) return blank(x) - blank(y);
      return sign * (typeof x === "number" && typeof y === "number" ? x - y : word(x).localeCompare(word(y), "en", {numeric: true}));
    });
  }
  return found;
}

function drawTable(rows) {
  const names = [...AXES.map(key => ["@" + key, key]), ...COLUMNS];
  const head = el("tr");
  for (const [name, title] of names) {
    const sorted = state.sort === name, th = el("th"), button = el("button", title + (sorted ? (state.down ? " ▼" : " ▲") : ""));
    if (sorted) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    button.onclick = () => { state.down = sorted && !state.down; state.sort = name; draw(); };
    th.append(button); head.append(th);
  }
  const body = el("tbody");
  for (const row of rows.slice(0, state.shown)) {
    const tr = el("tr");
    for (const [name] of names) {
      const value = cell(row, name), td = el("td", undefined, {className: typeof value === "number" ? "number" : name === "status" ? row.status : ""});
      if (name === "strategy" && row.picture) td.append(el("a", word(value), {href: "#plan=" + encodeURIComponent(row.key)}));
      else td.textContent = told(value, name);
      tr.append(td);
    }
    body.append(tr);
  }
  const thead = el("thead"); thead.append(head);
  $("table").replaceChildren(thead, body);
  $("count").textContent = `${rows.length.toLocaleString("en")} of ${ROWS.length.toLocaleString("en")} scenarios`;
  $("more").hidden = rows.length <= state.shown;
}

const style = () => { const s = getComputedStyle(document.body); return {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: s.color}, margin: {t: 48, l: 70, r: 20, b: 60}}; };
const grid = () => ({gridcolor: getComputedStyle(document.body).getPropertyValue("--line"), automargin: true});
const plot = (id, traces, title, x, y, more = {}) => Plotly.react(id, traces, {...style(), title: {text: title, font: {size: 14}}, xaxis: {...grid(), title: {text: x}}, yaxis: {...grid(), title: {text: y}}, ...more}, {responsive: true, displayModeBar: false});

function drawPlots(rows) {
  const good = rows.filter(row => row.tokens_per_s_per_gpu !== null && row.request_latency !== null);
  const by = $("colour").value, groups = new Map();
  for (const row of good) {
    const name = by ? word(cell(row, by)) : "all";
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  const traces = [...groups].slice(0, 24).map(([name, some]) => ({type: good.length > 3000 && webgl() ? "scattergl" : "scatter", mode: "markers", name, x: some.map(r => r.request_latency), y: some.map(r => r.tokens_per_s_per_gpu),
    text: some.map(r => `${r.strategy}<br>${AXES.map(k => k + " " + word(r.changes[k])).join("<br>")}`), marker: {size: 8, opacity: .75}}));
  const front = [...good].sort((a, b) => a.request_latency - b.request_latency || b.tokens_per_s_per_gpu - a.tokens_per_s_per_gpu);
  let best = -Infinity;
  const line = front.filter(row => row.tokens_per_s_per_gpu > best && (best = row.tokens_per_s_per_gpu, true));
  traces.push({type: "scatter", mode: "lines", name: "Pareto front", x: line.map(r => r.request_latency), y: line.map(r => r.tokens_per_s_per_gpu), line: {shape: "hv", dash: "dot", width: 2}, hoverinfo: "skip"});
  plot("pareto", traces, "Latency against throughput per GPU", "request latency, s", "tokens/s per GPU");
  drawHeat(rows);
  const few = [...good].sort((a, b) => b.tokens_per_s_per_gpu - a.tokens_per_s_per_gpu).slice(0, 30);
  const labels = few.map((r, i) => `${i + 1}. ${r.strategy}`);
  plot("memory", ["weights", "KV cache", "activations", "reserve"].map((name, i) => ({type: "bar", name, x: labels, y: few.map(r => (r.memory[i] || 0) / 1e9)})),
    "Memory of the fullest GPU, best 30", "", "GB", {barmode: "stack"});
  const reasons = new Map();
  for (const row of rows) for (const id of new Set((row.binding || "").split(/; | \+ /).filter(Boolean))) reasons.set(id, (reasons.get(id) || 0) + 1);
  const sorted = [...reasons].sort((a, b) => a[1] - b[1]);
  $("why").hidden = !sorted.length;
  if (sorted.length) plot("why", [{type: "bar", orientation: "h", y: sorted.map(r => r[0]), x: sorted.map(r => r[1])}], "What made scenarios infeasible", "scenarios in whose conflict it is", "");
}

function drawHeat(rows) {
  const [x, y, z] = ["heat-x", "heat-y", "heat-z"].map(id => $(id).value);
  if (!x || !y) { $("heat").hidden = true; return; }
  $("heat").hidden = false;
  const order = values => [...new Set(values)].sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
  const xs = order(rows.map(r => word(r.changes[x]))), ys = order(rows.map(r => word(r.changes[y])));
  const best = new Map(), factor = value => /^x[0-9.]+$/.test(word(value));
  // A map of the best cell would be one of the kindest assumptions: they stay at x1 unless an axis or a filter says otherwise.
  const plain = rows.filter(r => AXES.every(k => k === x || k === y || state.axis[k] || !factor(r.changes[k]) || r.changes[k] === "x1"));
  for (const row of plain.length ? plain : rows) {
    const key = word(row.changes[x]) + "\u0000" + word(row.changes[y]), other = best.get(key);
    const lower = ["ttft", "tpot", "request_latency", "gpus_used"].includes(z);
    if (!other || other[z] === null || (row[z] !== null && (lower ? row[z] < other[z] : row[z] > other[z]))) best.set(key, row);
  }
  const at = (a, b) => best.get(a + "\u0000" + b);
  plot("heat", [{type: "heatmap", x: xs, y: ys, z: ys.map(b => xs.map(a => at(a, b)?.[z] ?? null)), text: ys.map(b => xs.map(a => at(a, b)?.strategy ?? at(a, b)?.status ?? "")),
    texttemplate: xs.length * ys.length <= 400 ? "%{text}" : "", colorscale: "Viridis"}], "Best strategy by " + z.replaceAll("_", " "), x, y, {xaxis: {type: "category", title: {text: x}}, yaxis: {type: "category", title: {text: y}, automargin: true}});
}

const COLOURS = ["#0969da", "#8250df", "#bf3989", "#cf222e", "#bc4c00", "#9a6700", "#1a7f37", "#0a7d91"];
function drawPlan(row) {
  const box = $("plan"), p = row.picture;
  box.replaceChildren(el("h2", row.strategy), el("p", `${row.status}; ${AXES.map(k => k + " " + word(row.changes[k])).join(", ")}`, {className: "soft"}));
  const list = el("dl");
  for (const [name, title] of COLUMNS) if (row[name] !== null && row[name] !== undefined) list.append(el("dt", title), el("dd", told(row[name], name)));
  box.append(list);
  const nodes = new Map();
  let engine = 0;
  for (const kind of p.kinds) for (let copy = 0; copy < kind.count; copy++, engine++) {
    let rank = 0;
    for (const [node, first, gpus] of p.seats[engine] || []) for (let i = 0; i < gpus; i++, rank++) {
      if (!nodes.has(node)) nodes.set(node, []);
      nodes.get(node).push({gpu: first + i, engine, kind, rank});
    }
  }
  const area = el("div", undefined, {className: "nodes"});
  for (const [node, gpus] of [...nodes].sort((a, b) => a[0] - b[0])) {
    const one = el("div", undefined, {className: "node"}), inside = el("div", undefined, {className: "gpus"});
    one.append(el("span", `node ${node}, ${gpus[0].kind.card}`));
    for (const g of gpus.sort((a, b) => a.gpu - b.gpu)) {
      const tile = el("div", undefined, {className: "gpu"});
      tile.style.setProperty("--mark", COLOURS[g.engine % COLOURS.length]);
      tile.append(el("strong", `GPU ${g.gpu} · engine ${g.engine}`), el("br"), document.createTextNode(held(g, p)));
      inside.append(tile);
    }
    one.append(inside); area.append(one);
  }
  box.append(el("h2", nodes.size ? "Who holds what" : "Placement"), nodes.size ? area : el("p", "The engines of a table have no placement.", {className: "soft"}));
  if (p.link) box.append(el("p", "Prefill engines send the KV cache to decode engines over the link between pools.", {className: "soft"}));
  box.append(el("p")); box.lastChild.append(el("a", "back to all scenarios", {href: "#"}));
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

function draw() {
  const began = performance.now(), rows = filtered();
  drawTable(rows); drawPlots(rows);
  document.body.dataset.drew = Math.round(performance.now() - began);
}
function route() {
  const found = /^#plan=(.*)$/.exec(location.hash), row = found && ROWS.find(r => r.key === decodeURIComponent(found[1]) && r.picture);
  const words = /^#contains=(.*)$/.exec(location.hash);  // a filter that can be sent to somebody
  if (words) { state.text = $("text").value = decodeURIComponent(words[1]); state.shown = PAGE; }
  $("all").hidden = !!row; $("plan").hidden = !row;
  if (row) { drawPlan(row); scrollTo(0, 0); $("plan").focus(); } else draw();
}

function start() {
  for (const row of ROWS) row.haystack = [row.strategy, row.status, row.binding, row.reason, ...Object.entries(row.changes).flat().map(word)].join(" ").toLowerCase();
  const option = (value, text) => el("option", text, {value});
  $("status").append(option("", "any"), ...[...new Set(ROWS.map(r => r.status))].map(s => option(s, s)));
  for (const key of AXES) {
    const values = [...new Set(ROWS.map(r => word(r.changes[key])))].sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
    if (values.length > 200) continue;
    const label = el("label", key), select = el("select");
    select.dataset.axis = key;
    select.append(option("", "any"), ...values.map(v => option(v, v)));
    select.onchange = () => { state.axis[key] = select.value; state.shown = PAGE; draw(); };
    label.append(select); $("filters").append(label);
  }
  $("colour").append(option("gpus_used", "GPUs used"), ...AXES.map(key => option("@" + key, key)), option("", "nothing"));
  if (AXES.length) $("colour").value = "@" + AXES[0];
  for (const id of ["heat-x", "heat-y"]) $(id).append(...AXES.map(key => option(key, key)));
  if (AXES.length > 1) $("heat-y").value = AXES[1];
  $("heat-z").append(...["tokens_per_s_per_gpu", "tokens_per_s", "request_latency", "ttft", "tpot", "gpus_used"].map(name => option(name, name.replaceAll("_", " "))));
  $("text").oninput = () => { state.text = $("text").value; state.shown = PAGE; draw(); };
  $("status").onchange = () => { state.status = $("status").value; state.shown = PAGE; draw(); };
  for (const id of ["colour", "heat-x", "heat-y", "heat-z"]) $(id).onchange = () => drawPlots(filtered());
  $("more").onclick = () => { state.shown += PAGE; drawTable(filtered()); };
  $("heat-controls").hidden = AXES.length < 2;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", route);
  addEventListener("hashchange", route);
  route();
  document.body.dataset.ready = Math.round(performance.now());
}
start();
