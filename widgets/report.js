// The report of a run, made interactive: curves that answer the mouse and the keyboard, and maps with pickers.
// The page is whole without it. Text of models and data is only ever set as text.
import { el, say, figures } from "./dom.js";
import { smooth } from "./series.js";

const HINT = "Move over the chart, or focus it and use the arrow keys. Drag to look closer.";
const SVG = "http://www.w3.org/2000/svg";
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const NIGHT = ["#10161f", "#1b3a5e", "#2b6ca3", "#6baed6", "#e4f0fa"]; // the scale of weights on a dark page
const NIGHT_SIGNED = ["#f0a35c", "#8a5524", "#1d232a", "#2d6394", "#8cc6f2"];

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function menu(label, options, value, change) {
  const box = el("select", { onchange: () => change(box.value) },
    ...options.map(([name, text]) => el("option", { value: name }, text)));
  box.value = value;
  return el("label", {}, `${label} `, box);
}

function dial(label, attributes, told, change) {
  const said = el("output", {}, told(Number(attributes.value)));
  const bar = el("input", { type: "range", ...attributes, oninput: () => { say(said, told(Number(bar.value))); change(Number(bar.value)); } });
  return el("label", {}, `${label} `, bar, " ", said);
}

// Round numbers between low and high, about as many as asked.
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? power * 10;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

function short(value) {
  const size = Math.abs(value);
  for (const [unit, of] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) if (size >= of) return `${Number((value / of).toPrecision(4))}${unit}`;
  return size && size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

const smoothed = (x, y, strength) => (!strength || x.length < 3 ? y : Array.from(smooth(x, y, strength)));

function curves(box, data) {
  const LOSS = ["loss", "val_loss"];
  const others = data.series.filter((each) => !LOSS.includes(each.name));
  const state = { what: "loss", axis: "step", log: false, smooth: 0.2, range: null, at: null };
  const read = el("p", { class: "read", "aria-live": "polite" }, HINT);
  const whole = el("button", { type: "button", hidden: true, onclick: () => { state.range = null; draw(); } }, "Show all");
  const log = el("input", { type: "checkbox", onchange: () => { state.log = log.checked; draw(); } });
  const stage = el("div", { class: "chart", tabindex: "0", role: "application", "aria-label": "Curves; left and right read the points" });
  const controls = el("div", { class: "controls" },
    menu("Show", [["loss", "loss"], ...others.map((each) => [each.name, each.title])], "loss", (value) => { state.what = value; state.at = null; say(read, HINT); draw(); }),
    menu("over", [["step", "steps"], ["tokens", "tokens"], ["seconds", "seconds"]], "step", (value) => { state.axis = value; state.range = null; draw(); }),
    dial("Smoothing", { min: 0, max: 1, step: 0.05, value: 0.2 }, (value) => value.toFixed(2), (value) => { state.smooth = value; draw(); }),
    el("label", {}, log, " logarithmic"), whole);
  box.append(controls, stage, read);
  const W = 760, H = 320, L = 56, R = 12, T = 26, B = 38;
  let lines = [], place = null, back = null;

  function chosen() {
    const names = state.what === "loss" ? LOSS : [state.what];
    return data.series.filter((each) => names.includes(each.name));
  }

  function draw() {
    lines = [];
    for (const each of chosen()) {
      const x = each[state.axis];
      const smooth = each.dots || x.length < 20 ? each.y : smoothed(each.step, each.y, state.smooth);
      if (smooth !== each.y) lines.push({ ...each, x, faint: true });
      lines.push({ ...each, x, y: smooth, title: smooth === each.y ? each.title : `${each.title}, smoothed` });
    }
    const [from, to] = state.range ?? [Math.min(...lines.map((line) => line.x[0])), Math.max(...lines.map((line) => line.x[line.x.length - 1]))];
    const high = to > from ? to : from + 1;
    const values = lines.flatMap((line) => line.y.filter((y, i) => line.x[i] >= from && line.x[i] <= high && (!state.log || y > 0)));
    const scale = (y) => (state.log ? Math.log10(y) : y);
    let [low, top] = [Math.min(...values.map(scale)), Math.max(...values.map(scale))];
    if (!(top > low)) [low, top] = [low - 0.5, low + 0.5];
    const pad = (top - low) * 0.05;
    [low, top] = [low - pad, top + pad];
    place = (x, y) => [L + (W - L - R) * (x - from) / (high - from), T + (H - T - B) * (top - scale(y)) / (top - low)];
    back = (px) => from + (high - from) * (px - L) / (W - L - R);
    const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" });
    const clip = svg("clipPath", { id: "inside-chart" }, svg("rect", { x: L, y: T - 6, width: W - L - R, height: H - T - B + 8 }));
    picture.append(clip);
    const levels = state.log ? ticks(10 ** low, 10 ** top, top - low > 1 ? 20 : 5).filter((y) => y > 0).map(Math.log10) : ticks(low, top, 5);
    const decades = state.log && top - low > 1.5 ? ticks(Math.ceil(low), Math.floor(top), 6) : levels;
    for (const at of decades) {
      const y = T + (H - T - B) * (top - at) / (top - low);
      picture.append(svg("path", { d: `M${L} ${y}H${W - R}`, class: "grid" }), svg("text", { x: L - 7, y: y + 4, "text-anchor": "end", class: "tick" }, short(state.log ? 10 ** at : at)));
    }
    for (const at of ticks(from, high, 7)) {
      const x = place(at, 1)[0];
      picture.append(svg("text", { x, y: H - B + 17, "text-anchor": "middle", class: "tick" }, short(at)));
    }
    picture.append(svg("text", { x: (L + W - R) / 2, y: H - 5, "text-anchor": "middle", class: "tick" }, state.axis === "seconds" ? "seconds of training" : state.axis));
    if (state.what === "loss") picture.append(svg("text", { x: 0, y: 15, class: "tick" }, "nats"));
    let legend = L;
    for (const line of lines) {
      const warm = line.dots ? "warm" : "cool";
      const d = line.y.map((y, i) => (state.log && y <= 0 ? null : place(line.x[i], y))).filter(Boolean).map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
      picture.append(svg("path", { d, class: `line ${warm}${line.faint ? " faint" : ""}`, "clip-path": "url(#inside-chart)" }));
      if (line.dots && line.x.length <= 60) line.y.forEach((y, i) => { if (line.x[i] >= from && line.x[i] <= high) { const [cx, cy] = place(line.x[i], y); picture.append(svg("circle", { cx, cy, r: 3, class: `dot ${warm}` })); } });
      if (!line.faint) {
        picture.append(svg("path", { d: `M${legend} 11h18`, class: `line ${warm}` }), svg("text", { x: legend + 24, y: 15 }, line.title));
        legend += 44 + 6.6 * line.title.length;
      }
    }
    const mark = svg("g", { class: "mark" });
    picture.append(mark);
    stage.replaceChildren(picture);
    whole.hidden = state.range === null;
    if (state.at !== null) point(state.at);
  }

  function nearest(xs, x) {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (xs[middle] < x) low = middle; else high = middle; }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  }

  function point(x) {
    state.at = x;
    const mark = stage.querySelector(".mark");
    const told = [];
    mark.replaceChildren(svg("path", { d: `M${place(x, 1)[0]} ${T}V${H - B}`, class: "cross" }));
    for (const line of lines.filter((each) => !each.faint)) {
      const i = nearest(line.x, x);
      const [cx, cy] = place(line.x[i], line.y[i]);
      mark.append(svg("circle", { cx, cy, r: 4.5, class: `dot ${line.dots ? "warm" : "cool"}` }));
      told.push(`${line.title} ${figures(line.y[i])}${line.dots ? ` (at ${short(line.step[i])})` : ""}`);
    }
    const main = lines.find((each) => !each.dots) ?? lines[0];
    const i = nearest(main.x, x);
    say(read, `step ${Math.round(main.step[i]).toLocaleString("en-US")}: ${told.join(", ")}`);
  }

  const at = (event) => { const box = stage.getBoundingClientRect(); return back((event.clientX - box.left) * W / box.width); };
  let began = null;
  stage.addEventListener("pointermove", (event) => { if (lines.length) point(Math.min(Math.max(at(event), back(L)), back(W - R))); });
  stage.addEventListener("pointerdown", (event) => { began = at(event); });
  window.addEventListener("pointerup", (event) => {
    if (began === null) return;
    const ended = at(event), [low, high] = began < ended ? [began, ended] : [ended, began];
    began = null;
    if (high - low > (back(W - R) - back(L)) * 0.03) { state.range = [Math.max(low, back(L)), Math.min(high, back(W - R))]; draw(); }
  });
  stage.addEventListener("dblclick", () => { state.range = null; draw(); });
  stage.addEventListener("keydown", (event) => {
    const line = lines.find((each) => !each.faint);
    const jump = { ArrowLeft: -1, ArrowRight: 1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") { state.range = null; draw(); }
    if (!line || jump === undefined) return;
    event.preventDefault();
    const now = (state.at === null ? (jump === 1 ? -1 : 0) : nearest(line.x, state.at)) + jump;
    point(line.x[Math.min(line.x.length - 1, Math.max(0, now))]);
  });
  draw();
}

async function maps(box, about, packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  const [N, LAYERS, HEADS, ROWS, COLUMNS] = about.shape;
  const state = { step: N - 1, layer: LAYERS - 1, head: 0, row: Math.min(1, ROWS - 1), column: 0 };
  const from = (layer, head, step = state.step) => ((step * LAYERS + layer) * HEADS + head) * ROWS * COLUMNS;
  const gates = about.kind === "gates";

  const colours = {};
  function scale(head) {
    const signed = about.ends[head][0] < 0;
    const key = `${signed}${DARK.matches}`;
    if (!colours[key]) {
      const stops = (signed ? (DARK.matches ? NIGHT_SIGNED : about.scales.signed) : DARK.matches ? NIGHT : about.scales.weights).map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
      colours[key] = Array.from({ length: 256 }, (_, level) => {
        // The shade of a weight grows with its root: most weights are small, and are to be seen.
        const at = (signed ? level / 255 : Math.sqrt(level / 255)) * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at));
        return stops[low].map((c, i) => Math.round(c + (stops[low + 1][i] - c) * (at - low)));
      });
    }
    return colours[key];
  }
  function image(layer, head) {
    const picture = new ImageData(COLUMNS, ROWS), table = scale(head), start = from(layer, head);
    for (let i = 0; i < ROWS * COLUMNS; i += 1) { const c = table[values[start + i]]; picture.data.set([c[0], c[1], c[2], 255], 4 * i); }
    const canvas = el("canvas", { width: COLUMNS, height: ROWS });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }

  const layers = Array.from({ length: LAYERS }, (_, i) => [String(i), `layer ${i}`]);
  const pickLayer = menu("Layer", layers, String(state.layer), (value) => { state.layer = Number(value); draw(); });
  const pickHead = menu(gates ? "Gate" : "Head", about.heads.map((name, i) => [String(i), name]), "0", (value) => { state.head = Number(value); draw(); });
  const pickStep = dial("Step", { min: 0, max: N - 1, step: 1, value: N - 1 }, (i) => about.steps[i].toLocaleString("en-US"), (i) => { state.step = i; draw(); });
  const thumbs = el("div", { class: "thumbs", role: "group", "aria-label": "All at this step; choose one" });
  const canvas = el("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": "Map; the arrow keys read its cells" });
  const read = el("p", { class: "read", "aria-live": "polite" });
  const small = LAYERS * HEADS <= 144;
  box.append(el("div", { class: "controls" }, pickLayer, pickHead, ...(N > 1 ? [pickStep] : [])), el("div", { class: "maps" }, ...(small ? [thumbs] : []), el("div", { class: "stage" }, canvas, read)));
  const buttons = [];
  if (small) for (let layer = 0; layer < LAYERS; layer += 1) {
    const row = el("div", { class: "thumb-row" });
    for (let head = 0; head < HEADS; head += 1) {
      const name = `layer ${layer}, ${about.heads[head]}`;
      const button = el("button", { type: "button", class: "thumb", title: name, "aria-label": name, onclick: () => choose(layer, head) });
      buttons.push({ layer, head, button });
      row.append(button);
    }
    thumbs.append(row);
  }
  function choose(layer, head) {
    Object.assign(state, { layer, head });
    pickLayer.querySelector("select").value = String(layer);
    pickHead.querySelector("select").value = String(head);
    draw();
  }

  let frame = { left: 0, top: 0, cell: 1 };
  const cut = (token, most) => { const letters = [...token]; return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : token; };
  function draw() {
    for (const { layer, head, button } of buttons) {
      button.setAttribute("aria-pressed", String(layer === state.layer && head === state.head));
      button.replaceChildren(image(layer, head));
    }
    const style = getComputedStyle(box), ratio = window.devicePixelRatio || 1;
    const room = Math.max(260, (canvas.parentElement.clientWidth || 600));
    const context = canvas.getContext("2d");
    const face = (size) => `${size}px ${style.fontFamily}`;
    const size = 11;
    context.font = face(size);
    const rows = about.rows.map((token) => cut(token, 10)), columns = about.columns.map((token) => cut(token, 10));
    const left = 10 + Math.max(...rows.map((token) => context.measureText(token).width));
    const top = 10 + Math.max(...columns.map((token) => context.measureText(token).width));
    const cell = Math.max(3, Math.min(22, Math.floor((room - left - 4) / COLUMNS)));
    const [wide, high] = [left + COLUMNS * cell + 4, top + ROWS * cell + 4];
    canvas.width = wide * ratio; canvas.height = high * ratio;
    canvas.style.width = `${wide}px`; canvas.style.height = `${high}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(image(state.layer, state.head), left, top, COLUMNS * cell, ROWS * cell);
    context.font = face(Math.min(size, Math.max(8, cell)));
    context.fillStyle = style.color;
    context.textBaseline = "middle";
    if (cell >= 8) {
      context.textAlign = "right";
      rows.forEach((token, i) => { context.globalAlpha = i === state.row ? 1 : 0.75; context.fillText(token, left - 5, top + (i + 0.5) * cell); });
      context.textAlign = "left";
      columns.forEach((token, i) => {
        context.save(); context.globalAlpha = i === state.column ? 1 : 0.75;
        context.translate(left + (i + 0.5) * cell, top - 5);
        if ([...token].length > 1) context.rotate(-Math.PI / 2); else { context.textAlign = "center"; context.textBaseline = "bottom"; } // one letter stands
        context.fillText(token, 0, 0); context.restore();
      });
      context.globalAlpha = 1;
    }
    context.strokeStyle = style.getPropertyValue("--warm");
    context.lineWidth = 2;
    context.strokeRect(left + state.column * cell - 1, top + state.row * cell - 1, cell + 2, cell + 2);
    frame = { left, top, cell };
    const [low, end] = about.ends[state.head];
    const value = low + values[from(state.layer, state.head) + state.row * COLUMNS + state.column] / 255 * (end - low);
    const isolate = (token) => `\u2068${token}\u2069`;
    say(read, gates
      ? `${about.rows[state.row]}, ${about.heads[state.head]} at ${isolate(about.columns[state.column])} (place ${state.column}): ${value.toFixed(2)}`
      : `${isolate(about.rows[state.row])} (place ${state.row}) looks at ${isolate(about.columns[state.column])} (place ${state.column}): ${value.toFixed(2)}`);
  }
  function cell(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - frame.left) / frame.cell), row = Math.floor((event.clientY - box.top - frame.top) / frame.cell);
    if (row < 0 || column < 0 || row >= ROWS || column >= COLUMNS || (row === state.row && column === state.column)) return;
    Object.assign(state, { row, column });
    draw();
  }
  canvas.addEventListener("pointermove", cell);
  canvas.addEventListener("pointerdown", cell);
  canvas.addEventListener("keydown", (event) => {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
    if (down === undefined) return;
    event.preventDefault();
    state.row = Math.min(ROWS - 1, Math.max(0, state.row + down));
    state.column = Math.min(COLUMNS - 1, Math.max(0, state.column + right));
    draw();
  });
  DARK.addEventListener("change", draw);
  new ResizeObserver(() => { if (canvas.parentElement.clientWidth) draw(); }).observe(box);
  draw();
}

for (const box of document.querySelectorAll(".live")) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const packed = box.querySelector(".packed")?.textContent.trim();
  box.hidden = false;
  box.parentElement.classList.add("lively");
  Promise.resolve(box.dataset.kind === "curves" ? curves(box, data) : maps(box, data, packed))
    .then(() => box.setAttribute("data-drawn", ""))
    .catch(() => { box.hidden = true; box.parentElement.classList.remove("lively"); }); // the still picture stays
}
window.addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
