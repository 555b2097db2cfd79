// The plots of all scenarios that the filters leave.
const css = name => getComputedStyle(document.body).getPropertyValue(name).trim();
const style = () => ({paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: css("--ink")}, margin: {t: 48, l: 70, r: 20, b: 60}});
const grid = () => ({gridcolor: css("--line"), zerolinecolor: css("--line"), automargin: true});
const plot = (id, traces, title, x, y, more = {}) => Plotly.react(id, traces, {...style(), title: {text: title, font: {size: 14}}, xaxis: {...grid(), title: {text: x}}, yaxis: {...grid(), title: {text: y}}, ...more}, {responsive: true, displayModeBar: false});
const webgl = () => !!document.createElement("canvas").getContext("webgl2");
const MOST_COLOURS = 10;  // more would repeat

function drawPlots(rows) {
  const good = rows.filter(row => row.tokens_per_s_per_gpu !== null && row.request_latency !== null);
  drawPareto(good); drawHeat(rows); drawMemory(good); drawReasons(rows);
}

function groups(rows, by) {  // all rows, in at most as many groups as colours can be told apart
  const found = new Map();
  for (const row of rows) {
    const name = by ? word(cell(row, by)) : "all";
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(row);
  }
  if (found.size <= MOST_COLOURS) return [...found];
  const sorted = [...found].sort((a, b) => b[1].length - a[1].length), rest = sorted.slice(MOST_COLOURS - 1);
  return [...sorted.slice(0, MOST_COLOURS - 1), [`other (${rest.length} values)`, rest.flatMap(([, some]) => some)]];
}

function drawPareto(good) {
  const by = $("colour").value, colours = by ? good.map(row => cell(row, by)) : [];
  const scaled = new Set(colours).size > MOST_COLOURS && colours.every(value => typeof value === "number");
  const traces = (scaled ? [["scenarios", good]] : groups(good, by)).map(([name, some]) => ({
    type: good.length > 3000 && webgl() ? "scattergl" : "scatter", mode: "markers", name, x: some.map(r => r.request_latency), y: some.map(r => r.tokens_per_s_per_gpu),
    text: some.map(r => `${r.strategy}<br>${AXES.map(k => k + " " + word(r.changes[k])).join("<br>")}`),
    marker: {size: 8, opacity: .75, ...(scaled ? {color: colours, colorscale: "Viridis", showscale: true, colorbar: {title: {text: by.replace("@", "").replaceAll("_", " "), side: "right"}}} : {})}}));
  const front = [...good].sort((a, b) => a.request_latency - b.request_latency || b.tokens_per_s_per_gpu - a.tokens_per_s_per_gpu);
  let best = -Infinity;
  const line = front.filter(row => row.tokens_per_s_per_gpu > best && (best = row.tokens_per_s_per_gpu, true));
  traces.push({type: "scatter", mode: "lines", name: "Pareto front", x: line.map(r => r.request_latency), y: line.map(r => r.tokens_per_s_per_gpu), line: {shape: "hv", dash: "dot", width: 2}, hoverinfo: "skip"});
  plot("pareto", traces, "Latency against throughput per GPU", "request latency, s", "tokens/s per GPU", scaled ? {legend: {orientation: "h", y: -.2}} : {});
}

const varied = (row, keys) => keys.map(key => `<br>${key} ${word(row.changes[key])}`).join("");

function drawHeat(rows) {
  const [x, y, z] = ["heat-x", "heat-y", "heat-z"].map(id => $(id).value);
  $("heat").hidden = !x || !y || x === y;  // over one key it would be a diagonal
  if ($("heat").hidden) return;
  const order = values => [...new Set(values)].sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
  const xs = order(rows.map(r => word(r.changes[x]))), ys = order(rows.map(r => word(r.changes[y])));
  const best = new Map(), factor = value => /^x[0-9.]+$/.test(word(value)) ? Number(value.slice(1)) : 1;
  // A map of the best cell would be one of the kindest assumptions: they stay at x1 unless an axis or a filter says otherwise.
  const plain = rows.filter(r => AXES.every(k => k === x || k === y || state.axis[k] || factor(r.changes[k]) === 1));
  const shown = plain.length ? plain : rows, others = AXES.filter(k => k !== x && k !== y && new Set(shown.map(r => word(r.changes[k]))).size > 1);
  for (const row of shown) {
    const key = word(row.changes[x]) + "\u0000" + word(row.changes[y]), other = best.get(key);
    const lower = ["ttft", "tpot", "request_latency", "gpus_used"].includes(z);
    if (!other || other[z] === null || (row[z] !== null && (lower ? row[z] < other[z] : row[z] > other[z]))) best.set(key, row);
  }
  const cells = tell => ys.map(b => xs.map(a => { const row = best.get(a + "\u0000" + b); return row === undefined ? null : tell(row); }));
  const told = xs.length * ys.length <= 400 ? "%{text}" : "", common = {type: "heatmap", x: xs, y: ys, texttemplate: told, customdata: cells(row => varied(row, others)), xgap: 1, ygap: 1};
  const none = {...common, z: cells(row => row[z] === null ? 0 : null), text: cells(row => row[z] === null ? row.status : ""), showscale: false,
    colorscale: [[0, css("--panel")], [1, css("--panel")]], textfont: {color: css("--bad")}, hovertemplate: "%{x}, %{y}: %{text}%{customdata}<extra></extra>"};
  const some = {...common, z: cells(row => row[z]), text: cells(row => row.strategy ?? ""), colorscale: "Viridis", hovertemplate: "%{x}, %{y}: %{text}, %{z}%{customdata}<extra></extra>"};
  const axis = title => ({type: "category", title: {text: title}, showgrid: false, automargin: true});
  const over = others.length ? `, the best over ${others.join(", ")} (hover names it)` : "";
  plot("heat", [none, some], "Best strategy by " + z.replaceAll("_", " ") + over, x, y, {xaxis: axis(x), yaxis: axis(y)});
}

function drawMemory(good) {
  const few = [...good].sort((a, b) => b.tokens_per_s_per_gpu - a.tokens_per_s_per_gpu).filter(r => r.memory[4]).slice(0, 30);
  const labels = few.map((r, i) => `${i + 1}. ${r.strategy}`);
  const bars = ["weights", "KV cache", "activations", "reserve"].map((name, i) => ({type: "bar", name, x: labels, y: few.map(r => (r.memory[i] || 0) / 1e9),
    customdata: few.map(r => varied(r, AXES)), hovertemplate: "%{x}<br>%{fullData.name} %{y:.1f} GB%{customdata}<extra></extra>"}));
  const room = {type: "scatter", mode: "lines+markers", name: "usable", x: labels, y: few.map(r => r.memory[4] / 1e9), line: {color: css("--bad"), dash: "dash", width: 2}, marker: {symbol: "line-ew-open", size: 24, color: css("--bad")}};
  plot("memory", [...bars, room], "Memory of the fullest GPU, best 30", "", "GB", {barmode: "stack"});
}

function drawReasons(rows) {
  const reasons = new Map();
  for (const row of rows) for (const id of new Set((row.binding || "").split(/; | \+ /).filter(Boolean))) reasons.set(id, (reasons.get(id) || 0) + 1);
  const sorted = [...reasons].sort((a, b) => a[1] - b[1]);
  $("why").hidden = !sorted.length;
  if (sorted.length) plot("why", [{type: "bar", orientation: "h", y: sorted.map(r => r[0]), x: sorted.map(r => r[1])}], "What made scenarios infeasible", "scenarios in whose conflict it is", "");
}
