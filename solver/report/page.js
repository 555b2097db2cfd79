"use strict";
// The table, its filters and the way between pages. Rows, axes and titles come from the page's own data; nothing is fetched.
const DATA = JSON.parse(document.getElementById("data").textContent);
const ROWS = DATA.rows, AXES = DATA.axes;
const COLUMNS = [
  ["status", "status"], ["strategy", "strategy"], ["engines", "engines"], ["gpus_used", "GPUs"], ["ttft", "TTFT, s"], ["tpot", "TPOT, ms"],
  ["request_latency", "latency, s"], ["requests_per_s", "requests/s"], ["tokens_per_s", "tokens/s"], ["tokens_per_s_per_gpu", "tokens/s per GPU"], ["operator_times", "times from"],
  ["flips", "flips from"], ["binding", "conflict"], ["reason", "reason"],
].filter(([name]) => ROWS.some(row => row[name] !== null && row[name] !== undefined));
const PAGE = 100;
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

const hasPage = row => row.picture || row.why || row.reason;
function drawTable(rows) {
  const names = [...AXES.map(key => ["@" + key, key]), ...COLUMNS];
  const head = el("tr");
  for (const [name, title] of names) {
    const sorted = state.sort === name, th = el("th", undefined, {scope: "col"}), button = el("button", title + (sorted ? (state.down ? " ▼" : " ▲") : ""));
    button.dataset.sort = name;
    if (sorted) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    button.onclick = () => {  // the button that has the focus is drawn anew
      state.down = sorted && !state.down; state.sort = name; drawTable(filtered());
      document.querySelector(`[data-sort="${CSS.escape(name)}"]`).focus();
    };
    th.append(button); head.append(th);
  }
  const body = el("tbody");
  for (const row of rows.slice(0, state.shown)) {
    const tr = el("tr");
    for (const [name] of names) {
      const value = cell(row, name), td = el("td", undefined, {className: typeof value === "number" ? "number" : name === "status" ? row.status : ""});
      if (name === (row.picture ? "strategy" : "status") && hasPage(row)) td.append(el("a", word(value), {href: "#plan=" + encodeURIComponent(row.id)}));
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

function draw() {
  const began = performance.now(), rows = filtered();
  drawTable(rows); drawPlots(rows);
  document.body.dataset.drew = Math.round(performance.now() - began);
}
function decoded(text) {  // what somebody typed by hand, such as 100%, need not be encoded
  try { return decodeURIComponent(text); } catch { return text; }
}
function route() {
  const found = /^#plan=(.*)$/.exec(location.hash), row = found && ROWS.find(r => r.id === decoded(found[1]) && hasPage(r));
  const words = /^#contains=(.*)$/.exec(location.hash);  // a filter that can be sent to somebody
  if (words) { state.text = $("text").value = decoded(words[1]); state.shown = PAGE; }
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
  $("notes").replaceChildren(...DATA.notes.map(text => el("p", text, {className: "soft"})));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", route);
  addEventListener("hashchange", route);
  route();
  document.body.dataset.ready = Math.round(performance.now());
}
