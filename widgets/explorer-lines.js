// One map as lines between two columns of tokens: on the left the token that looks, on the right what it looks at. One
// token in focus, by mouse or by arrow keys, shows its lines alone. Only what is in sight is drawn.
import { el, clip } from "./dom.js";
import { shown, strongestOf, valueAt } from "./explorer-store.js";

const ROW = 22;
const SIGHT = 528; // pixels of height
const LEAST = 0.03; // of the strongest weight; fainter lines are not drawn where all are
const MOST = 6; // lines of a token where all are drawn

export function lines({ onfocus, onscroll, describedby }) {
  const canvas = el("canvas", { class: "nbllm-lines", tabindex: "0", role: "application", "aria-roledescription": "lines between tokens", "aria-describedby": describedby });
  const spacer = el("div", {}, canvas);
  const box = el("div", { class: "nbllm-lines-box" }, spacer);
  const caption = el("div", { class: "nbllm-map-title" });
  const node = el("div", { class: "nbllm-map-box" }, caption, box);
  let now = null, place = null, cache = { map: null };

  function set(next) {
    if (cache.map !== next.map) cache = { map: next.map, rows: new Map(), columns: new Map() };
    now = next;
    draw();
  }
  const known = (side, i, most) => {
    const kept = side ? cache.columns : cache.rows;
    if (!kept.has(i)) kept.set(i, strongestOf(now.map, side, i, 64));
    return kept.get(i).slice(0, most);
  };

  function draw() {
    if (!now?.map || !(now.width > 60)) return;
    const { map, queries, keys, colours, most } = now;
    const ratio = devicePixelRatio || 1;
    const full = Math.max(map.rows, map.columns) * ROW + 8, high = Math.min(full, SIGHT), wide = Math.min(now.width - 14, 640);
    box.style.maxHeight = `${SIGHT}px`;
    spacer.style.height = `${full}px`;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      canvas.style.width = `${wide}px`;
      canvas.style.height = `${high}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    const top = box.scrollTop, column = Math.min(150, wide * 0.3), left = column, right = wide - column;
    const y = (i) => i * ROW + ROW / 2 + 4 - top;
    const first = Math.max(0, Math.floor((top - 4) / ROW)), last = Math.ceil((top + high) / ROW);
    place = { left, right, top, high };
    const focus = now.focus; // [side, place] or null; side 0 looks, side 1 is looked at
    const stroke = (q, k, value, alone) => {
      const share = Math.min(1, Math.abs(value) / most);
      pen.strokeStyle = now.signed ? (value > 0 ? colours.accent : colours.warm) : alone && focus[0] ? colours.warm : colours.accent;
      pen.globalAlpha = alone ? 0.25 + 0.75 * share : Math.max(0.05, share ** 0.8 * 0.85);
      pen.lineWidth = 0.8 + 4.2 * share;
      pen.beginPath();
      pen.moveTo(left + 4, y(q));
      pen.bezierCurveTo(left + (right - left) * 0.35, y(q), left + (right - left) * 0.65, y(k), right - 4, y(k));
      pen.stroke();
      pen.globalAlpha = 1;
    };
    if (focus) {
      const own = known(focus[0], focus[1], 64).filter(([, value]) => Math.abs(value) >= 0.005 * most);
      for (const [other, value] of own.reverse()) stroke(focus[0] ? other : focus[1], focus[0] ? focus[1] : other, value, true);
    } else {
      const drawn = [];
      for (let q = first; q < Math.min(last, map.rows); q++) for (const [k, value] of known(0, q, MOST)) if (Math.abs(value) >= LEAST * most) drawn.push([q, k, value]);
      for (let k = first; k < Math.min(last, map.columns); k++) { // what comes here from out of sight
        for (const [q, value] of known(1, k, MOST)) if ((q < first || q >= last) && Math.abs(value) >= LEAST * most) drawn.push([q, k, value]);
      }
      drawn.sort((a, b) => Math.abs(a[2]) - Math.abs(b[2])).forEach((line) => stroke(...line, false));
    }
    pen.textBaseline = "middle";
    for (const side of [0, 1]) {
      const tokens = side ? keys : queries, length = side ? map.columns : map.rows;
      for (let i = first; i < Math.min(last, length); i++) {
        const own = focus && focus[0] === side && focus[1] === i;
        const value = focus && focus[0] !== side ? (side ? valueAt(map, focus[1], i) : valueAt(map, i, focus[1])) : 0;
        const x = side ? right : left;
        const share = Math.min(1, Math.abs(value) / most);
        if (own || share > 0.01) {
          pen.globalAlpha = own ? 0.28 : 0.08 + 0.4 * share;
          pen.fillStyle = own ? colours.warm : now.signed && value < 0 ? colours.warm : colours.accent;
          pen.fillRect(side ? x : 0, y(i) - ROW / 2 + 1, side ? wide - x : x, ROW - 2);
          pen.globalAlpha = 1;
        }
        pen.direction = "ltr";
        pen.fillStyle = focus && !own && share <= 0.01 ? colours.quiet : colours.ink;
        const numbered = focus && focus[0] !== side && share > 0.01;
        const room = column - (numbered ? 48 : 12);
        pen.textAlign = side ? "left" : "right";
        pen.font = `${own ? "600 " : ""}13px ${colours.font}`;
        pen.fillText(fitting(pen, shown(tokens[i] ?? ""), room), side ? x + 7 : x - 7, y(i));
        if (numbered) {
          pen.font = `11px ${colours.font}`;
          pen.textAlign = side ? "right" : "left";
          pen.fillStyle = colours.quiet;
          pen.fillText(value.toFixed(2), side ? wide - 4 : 4, y(i));
        }
      }
    }
  }
  const at = (event) => {
    if (!place || !now?.map) return null;
    const area = canvas.getBoundingClientRect();
    const x = event.clientX - area.left, i = Math.floor((event.clientY - area.top + place.top - 4) / ROW);
    const side = x <= place.left ? 0 : x >= place.right ? 1 : null;
    return side === null || i < 0 || i >= (side ? now.map.columns : now.map.rows) ? null : [side, i];
  };
  canvas.addEventListener("pointermove", (event) => {
    const found = at(event);
    if (!same(found, now?.focus ?? null)) onfocus(found, false);
  });
  canvas.addEventListener("pointerleave", () => { if (document.activeElement !== canvas && now?.focus) onfocus(null, false); });
  canvas.addEventListener("pointerdown", (event) => onfocus(at(event), true));
  box.addEventListener("scroll", () => { draw(); onscroll(box.scrollTop); });
  canvas.addEventListener("keydown", (event) => {
    if (!now?.map || event.ctrlKey || event.metaKey || event.altKey) return;
    const [side, i] = now.focus ?? [0, -1];
    const length = side ? now.map.columns : now.map.rows;
    const kept = (place_, of = length) => Math.max(0, Math.min(of - 1, place_));
    const to = {
      ArrowDown: () => [side, kept(i + 1)], ArrowUp: () => [side, kept(i < 0 ? 0 : i - 1)], PageDown: () => [side, kept(i + 10)], PageUp: () => [side, kept(i - 10)],
      Home: () => [side, 0], End: () => [side, length - 1], Escape: () => null,
      ArrowRight: () => [1, kept(i, now.map.columns)], ArrowLeft: () => [0, kept(i, now.map.rows)],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    const found = to();
    if (found) {
      const y = found[1] * ROW;
      if (y < box.scrollTop) box.scrollTop = y;
      else if (y + 2 * ROW > box.scrollTop + SIGHT) box.scrollTop = y + 2 * ROW - SIGHT;
    }
    onfocus(found, true);
  });
  return { node, canvas, caption, set, scroll(top) { if (box.isConnected && Math.abs(box.scrollTop - top) > 1) box.scrollTop = top; } };
}

const same = (a, b) => a === b || (!!a && !!b && a[0] === b[0] && a[1] === b[1]);

// The text, cut where it is wider than its room.
function fitting(pen, text, room) {
  const letters = [...text].length;
  for (let most = Math.min(letters, 40); most > 1; most--) {
    const cut = clip(text, most);
    if (pen.measureText(cut).width <= room) return cut;
  }
  return text;
}
