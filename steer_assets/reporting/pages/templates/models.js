const D = JSON.parse(document.getElementById("data").textContent);
const ROW = 34, MORE = 6;
const at = (id) => document.getElementById(id);
const box = at("matrix"), table = at("cells"), body = table.tBodies[0];
const made = (name, values = {}, text = "") => {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(values)) found.setAttribute(key, value);
  found.textContent = text;
  return found;
};
const address = (m, t) => `${encodeURIComponent(D.models[m][1])}/${encodeURIComponent(D.traits[t][1])}.html`;
const number = (x) => (x === null ? "–" : x.toFixed(2).replace("-", "−"));
let S, cells, order, first = -1;

function index() {
  S = D.scorers[at("scorer").selectedIndex];
  cells = new Map();
  (S?.m ?? []).forEach((m, i) => {
    const key = m * D.traits.length + S.t[i];
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(i);
  });
}

function sorted() {
  const asked = at("filter").value.trim().toLowerCase();
  order = D.models.map((_, m) => m).filter((m) => D.models[m][0].toLowerCase().includes(asked));
  const by = at("order").value;
  if (by === "size") order.sort((a, b) => D.models[a][2] - D.models[b][2]);
  if (by === "equivalent") {
    const n = new Array(D.models.length).fill(0);
    (S?.m ?? []).forEach((m, i) => { if (D.verdicts[S.v[i]][0] === "equivalent") n[m] += 1; });
    order.sort((a, b) => n[b] - n[a]);
  }
  table.setAttribute("aria-rowcount", order.length + 1);
  at("shown").textContent = `${order.length} of ${D.models.length} models`;
  first = -1;
  box.scrollTop = 0;
  draw();
}

function said(m, t, i) {
  const effect = `${number(S.efficacy[i])} [${number(S.efficacy_low[i])}, ${number(S.efficacy_high[i])}]`;
  return `${D.models[m][0]}, ${D.traits[t][0]}, layer ${S.layer[i]}: ${D.verdicts[S.v[i]][0]}; v moves the score by ${effect} SD`;
}

function row(m, place) {
  const line = made("tr", { "aria-rowindex": place + 2 });
  line.append(made("th", { scope: "row", title: D.models[m][0] }, D.models[m][0]));
  for (let t = 0; t < D.traits.length; t++) {
    const cell = made("td");
    for (const i of cells.get(m * D.traits.length + t) ?? []) {
      const [verdict, symbol] = D.verdicts[S.v[i]];
      const words = said(m, t, i);
      cell.append(made("a", { href: address(m, t), class: `mark chip-${verdict}`, title: words, "aria-label": words }, symbol));
    }
    line.append(cell);
  }
  return line;
}

const space = (height) => {
  const line = made("tr", { "aria-hidden": "true" });
  const cell = made("td", { colspan: D.traits.length + 1, class: "space" });
  cell.style.height = `${height}px`;
  line.append(cell);
  return line;
};

// Rows in view and a few beside them; the rest is empty space of their height.
function draw() {
  const from = Math.max(0, Math.floor(box.scrollTop / ROW) - MORE);
  if (from === first) return;
  first = from;
  const to = Math.min(order.length, from + Math.ceil(innerHeight / ROW) + 2 * MORE);
  const rows = order.slice(from, to).map((m, k) => row(m, from + k));
  body.replaceChildren(...(from ? [space(from * ROW)] : []), ...rows,
    ...(to < order.length ? [space((order.length - to) * ROW)] : []));
}

const SVG = "http://www.w3.org/2000/svg";
const drawn = (name, values, text = "") => {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) found.setAttribute(key, value);
  found.textContent = text;
  return found;
};

function chart() {
  const svg = at("chart"), t = at("trait").selectedIndex;
  const marks = (S?.m ?? []).map((_, i) => i)
    .filter((i) => S.t[i] === t && S.efficacy[i] !== null && D.models[S.m[i]][2] > 0);
  svg.replaceChildren();
  if (!marks.length) { svg.append(drawn("text", { x: 20, y: 40 }, "no effect and size are known")); return; }
  const xs = marks.map((i) => Math.log10(D.models[S.m[i]][2])), ys = marks.map((i) => S.efficacy[i]);
  const low = Math.floor(Math.min(...xs) * 2) / 2, high = Math.max(low + 0.5, Math.ceil(Math.max(...xs) * 2) / 2);
  const bottom = Math.min(0, Math.floor(Math.min(...ys))), top = Math.max(1, Math.ceil(Math.max(...ys)));
  const x = (v) => 60 + (640 * (v - low)) / (high - low), y = (v) => 290 - (270 * (v - bottom)) / (top - bottom);
  const step = top - bottom <= 2 ? 0.5 : Math.ceil((top - bottom) / 6);
  for (let v = bottom; v <= top; v += step) {
    svg.append(drawn("line", { x1: 60, x2: 700, y1: y(v), y2: y(v), class: "grid" }));
    svg.append(drawn("text", { x: 50, y: y(v) + 4, "text-anchor": "end" }, String(v).replace("-", "−")));
  }
  for (let v = low; v <= high; v += 0.5) {
    const n = 10 ** v, shown = n >= 1e9 ? `${+(n / 1e9).toPrecision(2)} B` : n >= 1e6 ? `${+(n / 1e6).toPrecision(2)} M` : n >= 1e3 ? `${+(n / 1e3).toPrecision(2)} k` : `${Math.round(n)}`;
    svg.append(drawn("text", { x: x(v), y: 312, "text-anchor": "middle" }, shown));
  }
  svg.append(drawn("text", { x: 380, y: 334, "text-anchor": "middle" }, "parameters"));
  marks.forEach((i, k) => {
    const [verdict, symbol] = D.verdicts[S.v[i]], words = said(S.m[i], t, i);
    const link = drawn("a", { href: address(S.m[i], t), "aria-label": words, class: `point chip-${verdict}` });
    link.append(drawn("title", {}, words), drawn("text", { x: x(xs[k]), y: y(ys[k]) + 5, "text-anchor": "middle" }, symbol));
    svg.append(link);
  });
}

at("scorer").append(...D.scorers.map((s) => made("option", {}, s.scorer)));
at("trait").append(...D.traits.map(([shown]) => made("option", {}, shown)));
const head = made("tr", { "aria-rowindex": 1 });
head.append(made("th", { scope: "col" }, "model"), ...D.traits.map(([shown]) => {
  const cell = made("th", { scope: "col" });
  cell.append(made("span", {}, shown));
  return cell;
}));
table.tHead.append(head);
box.addEventListener("scroll", () => requestAnimationFrame(draw));
addEventListener("resize", () => { first = -1; draw(); });
at("scorer").addEventListener("change", () => { index(); sorted(); chart(); });
at("filter").addEventListener("input", sorted);
at("order").addEventListener("change", sorted);
at("trait").addEventListener("change", chart);
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
index();
sorted();
chart();
