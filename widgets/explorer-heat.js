// One map as a heatmap in a canvas: a row a query, a column a key. A cursor goes by mouse and by arrow keys; a window is
// zoomed into by dragging, by + and -. The window and the cursor are the caller's, so that maps side by side share them.
import { el, clip } from "./dom.js";
import { paint, shown, valueAt } from "./explorer-store.js";

const CELL = 40; // pixels of the largest cell
const PITCH = 13; // pixels that a label needs
const LETTERS = 16;
const NUMBERED = 4; // tokens a label from which the places are numbered
const ROUND = [1, 2, 3, 4, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000];
const LONGEST = 118; // pixels of a label
const TALL = 700;

export function wholeOf(map) {
  return { r0: 0, r1: map.rows, c0: 0, c1: map.columns };
}

// The window at `factor` of its size about a cell, within the map.
export function zoomed(window, factor, map, row, column) {
  const span = (from, to, length, at) => {
    const size = Math.max(Math.min(4, length), Math.min(length, Math.round((to - from) * factor)));
    const share = (at - from + 0.5) / Math.max(1, to - from);
    const start = Math.max(0, Math.min(length - size, Math.round(at + 0.5 - share * size)));
    return [start, start + size];
  };
  const [r0, r1] = span(window.r0, window.r1, map.rows, row), [c0, c1] = span(window.c0, window.c1, map.columns, column);
  return { r0, r1, c0, c1 };
}

// The window moved so that it holds the cell.
export function holding(window, row, column) {
  const move = (from, to, at) => (at < from ? [at, at + to - from] : at >= to ? [at + 1 - (to - from), at + 1] : [from, to]);
  const [r0, r1] = move(window.r0, window.r1, row), [c0, c1] = move(window.c0, window.c1, column);
  return { r0, r1, c0, c1 };
}

const UPRIGHT_SIGNS = /^[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+$/;

export function heat({ oncursor, onwindow, describedby }) {
  const canvas = el("canvas", { class: "nbllm-map", tabindex: "0", role: "application", "aria-roledescription": "heatmap", "aria-describedby": describedby });
  const caption = el("div", { class: "nbllm-map-title" });
  const node = el("div", { class: "nbllm-map-box" }, caption, canvas);
  let now = null, place = null, drag = null, base = null;

  function set(next) { now = next; draw(); }

  function draw() {
    if (!now?.map || !(now.width > 60)) return;
    const { map, queries, keys, window, colours, width } = now;
    const rows = window.r1 - window.r0, columns = window.c1 - window.c0, ratio = devicePixelRatio || 1;
    const pen = canvas.getContext("2d");
    const face = (bold) => `${bold ? "600 " : ""}12px ${colours.font}`;
    pen.font = face(true);
    const label = (tokens, i) => clip(shown(tokens[i] ?? ""), LETTERS);
    // Of very long texts the places are numbered; a token in twenty would tell nothing.
    const mark = (tokens, i, every) => (every >= NUMBERED ? String(i) : label(tokens, i));
    const long = (tokens, from, to, every) => {
      let most = 14;
      const stride = Math.max(1, Math.floor((to - from) / 400)); // of very many labels some are measured
      for (let i = from; i < to; i += stride) most = Math.max(most, pen.measureText(mark(tokens, i, every)).width);
      return Math.min(LONGEST, Math.ceil(most));
    };
    const stride = (pitch) => ROUND.find((n) => n * pitch >= PITCH) ?? 5000;
    const left = long(queries, window.r0, window.r1, stride(Math.min(width, TALL) / rows)) + 9;
    const room = Math.max(60, width - left - 12);
    const cell = Math.min(CELL, room / columns, Math.max(TALL / rows, rows < 40 ? 14 : 0));
    const wide = Math.max(1, Math.floor(cell >= 3 ? Math.floor(cell) * columns : cell * columns));
    const high = Math.max(1, Math.round((wide / columns) * rows));
    const pitch = { x: wide / columns, y: high / rows };
    const every = { x: stride(pitch.x), y: stride(pitch.y) };
    const falls = (i, from, each) => (each >= NUMBERED ? i % each === 0 : (i - from) % each === 0);
    const names = []; // labels over the columns, every n-th where they are too narrow
    let flat = 0, count = 0;
    for (let c = window.c0; c < window.c1; c++) {
      if (!falls(c, window.c0, every.x)) continue;
      const text = mark(keys, c, every.x);
      const fits = pen.measureText(text).width <= pitch.x * every.x - 2, signs = UPRIGHT_SIGNS.test(text);
      names.push({ c, text, lines: signs && !fits ? [...text].slice(0, 4) : null });
      if (fits || signs) flat += 1;
      count += 1;
    }
    const upright = flat >= count * 0.85; // else all are turned
    const over = upright ? 14 * Math.max(1, ...names.map((n) => n.lines?.length ?? 1)) + 4 : long(keys, window.c0, window.c1, every.x) + 9;
    const total = { w: left + wide + 8, h: over + high + 4 };
    if (canvas.width !== Math.round(total.w * ratio) || canvas.height !== Math.round(total.h * ratio)) {
      canvas.width = Math.round(total.w * ratio);
      canvas.height = Math.round(total.h * ratio);
      canvas.style.width = `${total.w}px`;
      canvas.style.height = `${total.h}px`;
    }
    place = { left, over, wide, high, pitch, window };
    const X = Math.round(left * ratio), Y = Math.round(over * ratio), W = Math.round(wide * ratio), H = Math.round(high * ratio);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.putImageData(paint(map, window, W, H, now.shade), X, Y);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (pitch.x >= 9) { // cells apart
      pen.fillStyle = colours.ground;
      for (let c = 1; c < columns; c++) pen.fillRect(left + c * pitch.x - 0.5, over, 1, high);
      for (let r = 1; r < rows; r++) pen.fillRect(left, over + r * pitch.y - 0.5, wide, 1);
    }
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1;
    pen.strokeRect(left - 0.5, over - 0.5, wide + 1, high + 1);
    const cursor = now.cursor;
    const seen = cursor && cursor[0] >= window.r0 && cursor[0] < window.r1 && cursor[1] >= window.c0 && cursor[1] < window.c1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let r = window.r0; r < window.r1; r++) {
      const own = seen && r === cursor[0];
      const beside = seen && Math.abs(r - cursor[0]) * pitch.y < PITCH; // the cursor's own label has its room
      if (own || (falls(r, window.r0, every.y) && !beside)) written(pen, own ? label(queries, r) : mark(queries, r, every.y), left - 6, over + (r - window.r0 + 0.5) * pitch.y, own);
    }
    for (const { c, text, lines } of seen ? [...names.filter((each) => each.c !== cursor[1]), { c: cursor[1], text: label(keys, cursor[1]), lines: names.find((each) => each.c === cursor[1])?.lines }] : names) {
      const own = seen && c === cursor[1];
      if (seen && !own && Math.abs(c - cursor[1]) * pitch.x < PITCH) continue;
      const x = left + (c - window.c0 + 0.5) * pitch.x;
      if (!upright) {
        pen.save();
        pen.translate(x, over - 6);
        pen.rotate(-Math.PI / 2);
        pen.textAlign = "left";
        written(pen, text, 0, 0, own);
        pen.restore();
      } else {
        pen.textAlign = "center";
        const drawn = lines ?? [own || pen.measureText(text).width <= pitch.x * every.x + 6 ? text : "…"];
        if (own) {
          const half = Math.max(...drawn.map((line) => pen.measureText(line).width)) / 2 + 3;
          pen.clearRect(x - half, 0, 2 * half, over - 2);
        }
        drawn.forEach((line, i) => written(pen, line, x, over - 10 - 14 * (drawn.length - 1 - i), own));
      }
    }
    if (seen) {
      const x = left + (cursor[1] - window.c0) * pitch.x, y = over + (cursor[0] - window.r0) * pitch.y;
      pen.fillStyle = colours.faint;
      pen.fillRect(left, y + pitch.y / 2 - 0.5, x - left, 1);
      pen.fillRect(x + pitch.x / 2 - 0.5, over, 1, y - over);
      framed(pen, x, y, Math.max(pitch.x, 5), Math.max(pitch.y, 5));
    }
    if (drag?.to) {
      pen.setLineDash([4, 3]);
      pen.strokeStyle = colours.ink;
      const [a, b] = [drag.from, drag.to];
      pen.strokeRect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x), Math.abs(a.y - b.y));
      pen.setLineDash([]);
    }
    base = { total };
  }
  function written(pen, text, x, y, own) {
    pen.direction = "ltr";
    pen.font = `${own ? "600 " : ""}12px ${now.colours.font}`;
    pen.fillStyle = own ? now.colours.warm : now.colours.ink;
    pen.fillText(text, x, y, LONGEST);
  }
  function framed(pen, x, y, w, h) {
    pen.lineWidth = 4;
    pen.strokeStyle = now.colours.ground;
    pen.strokeRect(x - 1, y - 1, w + 2, h + 2);
    pen.lineWidth = 2;
    pen.strokeStyle = now.colours.warm;
    pen.strokeRect(x - 1, y - 1, w + 2, h + 2);
  }

  const at = (event) => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
  function cellAt({ x, y }) {
    if (!place) return null;
    const c = Math.floor((x - place.left) / place.pitch.x), r = Math.floor((y - place.over) / place.pitch.y);
    const { r0, r1, c0, c1 } = place.window;
    return r < 0 || c < 0 || r >= r1 - r0 || c >= c1 - c0 ? null : [r0 + r, c0 + c];
  }
  const kept = (point) => ({ x: Math.max(place.left, Math.min(place.left + place.wide - 1e-6, point.x)), y: Math.max(place.over, Math.min(place.over + place.high - 1e-6, point.y)) });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !cellAt(at(event))) return;
    drag = { from: at(event), to: null };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const point = at(event);
    if (drag) {
      const inside = kept(point);
      if (drag.to || Math.hypot(point.x - drag.from.x, point.y - drag.from.y) > 6) { drag.to = inside; draw(); }
      return;
    }
    const cell = cellAt(point);
    if (cell) oncursor(cell, true);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, to } = drag;
    drag = null;
    if (!to) { const cell = cellAt(at(event)); if (cell) oncursor(cell, true); return; }
    const a = cellAt(from), b = cellAt(to);
    if (a && b) onwindow({ r0: Math.min(a[0], b[0]), r1: Math.max(a[0], b[0]) + 1, c0: Math.min(a[1], b[1]), c1: Math.max(a[1], b[1]) + 1 });
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("dblclick", () => onwindow(wholeOf(now.map)));
  canvas.addEventListener("wheel", (event) => { // alone it scrolls the page
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const cell = cellAt(at(event));
    if (cell) onwindow(zoomed(now.window, event.deltaY > 0 ? 1.5 : 1 / 1.5, now.map, ...cell));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!now?.map || event.ctrlKey || event.metaKey || event.altKey) return;
    const { map, window } = now;
    const [r, c] = now.cursor ?? [window.r0, window.c0];
    const page = Math.max(1, Math.round((window.r1 - window.r0) / 8));
    const to = {
      ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1],
      PageUp: [r - page, c], PageDown: [r + page, c], Home: [r, 0], End: [r, map.columns - 1],
    }[event.key];
    if (to) {
      oncursor([Math.max(0, Math.min(map.rows - 1, to[0])), Math.max(0, Math.min(map.columns - 1, to[1]))], false);
    } else if (event.key === "+" || event.key === "=") onwindow(zoomed(window, 0.5, map, r, c));
    else if (event.key === "-") onwindow(zoomed(window, 2, map, r, c));
    else if (event.key === "0" || event.key === "Escape") onwindow(wholeOf(map));
    else if (event.key === "Enter") oncursor([r, strongestIn(map, r)], false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { node, canvas, caption, set, point: (r, c) => place && { x: place.left + (c - place.window.c0 + 0.5) * place.pitch.x, y: place.over + (r - place.window.r0 + 0.5) * place.pitch.y }, size: () => base?.total };
}

function strongestIn(map, row) {
  let best = 0;
  for (let c = 1; c < map.columns; c++) if (Math.abs(valueAt(map, row, c)) > Math.abs(valueAt(map, row, best))) best = c;
  return best;
}
