// All heads at once: as small pictures, layers downwards and heads across, and as a table of what was measured of them.
import { el, say } from "./dom.js";
import { paint } from "./explorer-store.js";

const LABEL = 26; // pixels of the layer's number

const EDGE = 6; // pixels between pictures, with their borders
const SMALLEST = 16;
const WIDEST = 64;
const SLICE = 30; // ms of drawing before the page may do other things

const cellOf = ({ heads }, width) => Math.max(SMALLEST, Math.min(WIDEST, Math.floor((width - LABEL - 8) / heads) - EDGE));

// The width that the pictures take where they may have so much.
export function widthOf(source, most) {
  return Math.max(150, LABEL + 8 + source.heads * (cellOf(source, most) + EDGE));
}

// The pictures. `choose(m)` is called with the number of a map.
export function pictures(choose) {
  const node = el("div", { class: "nbllm-heads", role: "group", "aria-label": "All heads: arrow keys move, Enter opens" });
  const waiting = new Map(); // canvases to what draws them
  let timer = null;
  let buttons = [], drawn = [], layout = "", columns = 1;

  // `source` says layers, heads, extras; `small(m)` gives a map or null, `shade(map)` its colours, `title(m)` its name.
  // The picture is drawn where the map or the `look` is another.
  function set({ source, chosen, width, small, shade, look, title, ratio = devicePixelRatio || 1 }) {
    const { layers, heads, extras } = source;
    columns = heads;
    const cell = cellOf(source, width);
    const tall = Math.max(8, Math.min(2 * cell, Math.round((cell * source.rows) / source.columns)));
    const now = JSON.stringify([layers, heads, extras, cell, tall, ratio]);
    if (now !== layout) build(source, cell, tall, ratio);
    layout = now;
    buttons.forEach((button, m) => {
      const map = small(m), canvas = button.firstChild;
      button.setAttribute("aria-pressed", String(m === chosen));
      button.tabIndex = m === chosen ? 0 : -1;
      const name = title(m);
      button.title = name;
      button.setAttribute("aria-label", name);
      if (drawn[m]?.[0] === map && drawn[m][1] === look) return;
      drawn[m] = [map, look];
      waiting.set(canvas, () => {
        const pen = canvas.getContext("2d");
        if (!map) return pen.clearRect(0, 0, canvas.width, canvas.height);
        pen.putImageData(paint(map, { r0: 0, r1: map.rows, c0: 0, c1: map.columns }, canvas.width, canvas.height, shade(map)), 0, 0);
      });
    });
    draw();
    if (!buttons.some((button) => button.tabIndex === 0) && buttons.length) buttons[0].tabIndex = 0;
  }

  // Many pictures of long texts take a while: they come after the large map, some at a time.
  function draw(later = waiting.size > 1) {
    clearTimeout(timer);
    const started = performance.now();
    for (const [canvas, act] of later ? [] : waiting) {
      waiting.delete(canvas);
      act();
      if (performance.now() - started > SLICE) break;
    }
    if (waiting.size) timer = setTimeout(() => draw(false), later ? 20 : 0);
  }

  function build({ layers, heads, extras }, cell, tall, ratio) {
    const focused = buttons.indexOf(document.activeElement);
    const picture = (m) => el("button", { type: "button", class: "nbllm-thumb", onclick: () => choose(m) },
      el("canvas", { width: Math.round(cell * ratio), height: Math.round(tall * ratio), style: `width:${cell}px;height:${tall}px`, "aria-hidden": "true" }));
    drawn = [];
    waiting.clear();
    buttons = Array.from({ length: layers * heads + extras.length }, (_, m) => picture(m));
    const grid = el("div", { class: "nbllm-heads-grid", style: `grid-template-columns:${LABEL}px repeat(${heads}, max-content)` });
    const quiet = (text) => el("span", { class: "nbllm-quiet nbllm-heads-mark", "aria-hidden": "true" }, text);
    grid.append(quiet(""), ...Array.from({ length: heads }, (_, h) => quiet(String(h))));
    for (let l = 0; l < layers; l++) grid.append(quiet(String(l)), ...buttons.slice(l * heads, (l + 1) * heads));
    node.replaceChildren(el("div", { class: "nbllm-quiet nbllm-heads-axis", "aria-hidden": "true" }, "layer ↓  head →"), grid,
      ...extras.map((name, i) => el("div", { class: "nbllm-heads-extra" }, buttons[layers * heads + i], el("span", { class: "nbllm-quiet", "aria-hidden": "true" }, name))));
    buttons[focused]?.focus();
  }

  node.addEventListener("keydown", (event) => {
    const here = buttons.indexOf(document.activeElement);
    if (here < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - columns, ArrowDown: Math.min(here + columns, Math.max(here, buttons.length - 1)), Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.max(0, Math.min(buttons.length - 1, to));
    buttons[next].focus();
    choose(next);
  });
  return { node, set };
}

// The table. A click on a column's name sorts by it, on a row's name opens the head.
export function headTable({ choose, sort }) {
  const body = el("tbody", {});
  const head = el("tr", {});
  const caption = el("caption", {});
  const node = el("div", { class: "nbllm-sheet nbllm-head-sheet", tabindex: "0", role: "region", "aria-label": "What was measured of each head" },
    el("table", { class: "nbllm-table" }, caption, el("thead", {}, head), body));
  let names = "";

  // `rows` are [{m, rank, name, brief, kind, values}], `columns` [{name, about, high}] of the values; `by` is [column, downwards].
  function set({ rows, columns, by, chosen, text }) {
    say(caption, text);
    const all = [{ name: "layer / head" }, { name: "kind", about: "the kind with the largest score, where one is large enough; sorted by that score" }, ...columns];
    if (names !== JSON.stringify(all)) {
      names = JSON.stringify(all);
      head.replaceChildren(...all.map(({ name, about }, i) => el("th", { scope: "col", title: about ?? "" },
        el("button", { type: "button", class: "nbllm-sort", onclick: () => sort(i) }, name, el("span", { "aria-hidden": "true" })))));
    }
    [...head.children].forEach((cell, i) => {
      const here = by[0] === i;
      if (here) cell.setAttribute("aria-sort", by[1] ? "descending" : "ascending"); else cell.removeAttribute("aria-sort");
      say(cell.querySelector("span"), here ? (by[1] ? " ↓" : " ↑") : "");
    });
    const value = (row) => (by[0] === 0 ? row.m : by[0] === 1 ? row.rank : row.values[by[0] - 2]);
    const order = [...rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.m - b.m; // the unknown last
      return (by[1] ? y - x : x - y) || a.m - b.m;
    });
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.map : null;
    body.replaceChildren(...order.map((row) => {
      const open = el("button", { type: "button", class: "nbllm-link", "data-map": row.m, "aria-label": row.name, "aria-pressed": String(row.m === chosen), onclick: (event) => { event.stopPropagation(); choose(row.m); } }, row.brief);
      return el("tr", { class: row.m === chosen ? "nbllm-changed nbllm-row-link" : "nbllm-row-link", onclick: () => choose(row.m) }, el("th", { scope: "row" }, open), el("td", {}, row.kind),
        ...row.values.map((v) => el("td", {}, Number.isFinite(v) ? v.toFixed(2) : "–")));
    }));
    if (focused !== null) body.querySelector(`[data-map="${focused}"]`)?.focus();
  }
  return { node, set };
}
