// The weights that lie in the page: float16, as they came, read through tables and never copied. A map is {data, rows,
// columns}: halves (Uint16Array) of weights from 0 to 1, or differences (Float32Array) from -1 to 1 with `signed`. One that
// is `packed` has of each row what lies up to the diagonal: what comes later is not seen.
import { visible } from "./dom.js";

const ONE = 0x3c00; // the half of 1; halves of numbers from 0 to 1 are in the order of these numbers
const KEEP = 96e6; // bytes of fetched maps

// The number of every half from 0 to 1.
const NUMBERS = Float32Array.from({ length: ONE + 1 }, (_, half) => {
  const exponent = half >> 10, fraction = half & 1023;
  return exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024;
});

const startOf = (map, row) => (map.packed ? (row * (row + 1)) / 2 : row * map.columns);
const endOf = (map, row) => (map.packed ? row + 1 : map.columns); // columns of the row

export function valueAt(map, row, column) {
  if (map.packed && column > row) return 0;
  const value = map.data[startOf(map, row) + column];
  return map.signed ? value : NUMBERS[Math.min(value, ONE)];
}

// A label as it can be seen: what would be out of sight or turn the text around is written out.
const UNSEEN = /[\p{Cc}\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]/gu;
export function shown(token) {
  return visible(String(token)).replace(UNSEEN, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

export function mapsOf(model, arrived) {
  const parts = new Map(); // "source:step:part" to halves; the part is "all", "thumbs" or the number of a map
  const fetched = []; // keys of what came by messages, oldest first
  const asked = new Set();
  let taken = null;
  const sources = () => model.get("sources");

  function fill() {
    const frames = model.get("frames"), bytes = model.get("maps");
    if (frames === taken) return;
    taken = frames;
    for (const { key, at, count } of frames) parts.set(key, new Uint16Array(bytes.buffer, bytes.byteOffset + at, count));
  }
  model.on("msg:custom", (message, buffers) => {
    if (message?.kind !== "part" || !buffers?.length) return;
    asked.delete(message.key);
    const view = buffers[0];
    const start = view.byteOffset ?? 0, length = view.byteLength;
    const buffer = start % 2 ? view.buffer.slice(start, start + length) : view.buffer ?? view;
    if (!parts.has(message.key)) fetched.push(message.key);
    parts.set(message.key, new Uint16Array(buffer, start % 2 ? 0 : start, length / 2));
    let size = fetched.reduce((sum, key) => sum + parts.get(key).byteLength, 0);
    while (size > KEEP && fetched.length > 1) {
      const old = fetched.shift();
      size -= parts.get(old).byteLength;
      parts.delete(old);
    }
    arrived();
  });
  const ask = (key) => {
    if (asked.has(key)) return;
    asked.add(key);
    model.send({ kind: "want", key });
  };

  // The same map is the same object, by which drawings know what they have drawn.
  const made = new WeakMap(); // halves to their maps
  const cut = (data, m, rows, columns, packed) => {
    if (!made.has(data)) made.set(data, []);
    const size = packed ? (rows * (rows + 1)) / 2 : rows * columns;
    return (made.get(data)[m] ??= { data: data.subarray(m * size, (m + 1) * size), rows, columns, packed });
  };
  // One map, or null: then it is on its way.
  function map(s, t, m) {
    fill();
    const { rows, columns, packed: half } = sources()[s];
    const all = parts.get(`${s}:${t}:all`);
    if (all) return cut(all, m, rows, columns, half);
    const one = parts.get(`${s}:${t}:${m}`);
    if (one) return cut(one, 0, rows, columns, half);
    ask(`${s}:${t}:${sources()[s].whole ? "all" : m}`);
    return null;
  }
  // The map for a small picture: the map itself, or its largest weights by region.
  function small(s, t, m) {
    fill();
    const { rows, columns, packed: half, thumb } = sources()[s];
    const all = parts.get(`${s}:${t}:all`);
    if (all) return cut(all, m, rows, columns, half);
    const some = parts.get(`${s}:${t}:thumbs`);
    if (some) return cut(some, m, ...thumb);
    ask(`${s}:${t}:${sources()[s].whole ? "all" : "thumbs"}`);
    return null;
  }
  // The step nearest to t of which there is something, or -1.
  function nearest(s, t) {
    fill();
    const have = [...parts.keys()].map((key) => key.split(":")).filter((key) => Number(key[0]) === s).map((key) => Number(key[1]));
    return have.reduce((best, at) => (best < 0 || Math.abs(at - t) < Math.abs(best - t) ? at : best), -1);
  }
  const bytes = () => { fill(); return [...parts.values()].reduce((sum, part) => sum + part.byteLength, 0); };
  return { map, small, nearest, bytes };
}

let subtracted = []; // the last difference, and of what it is
export function difference(a, b) {
  if (subtracted[0] === a && subtracted[1] === b) return subtracted[2];
  const data = new Float32Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = NUMBERS[Math.min(b.data[i], ONE)] - NUMBERS[Math.min(a.data[i], ONE)];
  subtracted = [a, b, { data, rows: a.rows, columns: a.columns, packed: a.packed, signed: true }];
  return subtracted[2];
}

const LARGEST = new WeakMap();
export function largest(map) {
  if (LARGEST.has(map)) return LARGEST.get(map);
  let most = 0;
  for (const value of map.data) { const size = value < 0 ? -value : value; if (size > most) most = size; }
  most = map.signed ? most : NUMBERS[Math.min(most, ONE)];
  LARGEST.set(map, most);
  return most;
}

// The strongest `most` pairs as [row, column, value], the strongest first. Halves are counted to find where to cut.
export function strongest(map, most) {
  const { data } = map;
  const rank = map.signed ? (value) => Math.round(Math.abs(value) * ONE) : (value) => Math.min(value, ONE);
  const counts = new Uint32Array(ONE + 1);
  for (let i = 0; i < data.length; i++) counts[rank(data[i])] += 1;
  let cut = ONE, sum = counts[ONE];
  while (sum < most && cut > 1) sum += counts[--cut];
  const found = [];
  for (let r = 0, i = 0; r < map.rows; r++) for (let c = 0, end = endOf(map, r); c < end; c++, i++) if (rank(data[i]) >= cut) found.push([r, c]);
  return found.map(([r, c]) => [r, c, valueAt(map, r, c)]).filter((pair) => pair[2] !== 0)
    .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]) || a[0] - b[0]).slice(0, most);
}

// The strongest of one row, or of one column, as [place, value].
export function strongestOf(map, side, place, most) {
  const length = side ? map.rows : map.columns;
  const all = Array.from({ length }, (_, i) => [i, side ? valueAt(map, i, place) : valueAt(map, place, i)]);
  return all.filter((pair) => pair[1] !== 0).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, most);
}

// Colours. A scale takes a weight to 0..1 and back; `most` is the weight at its end.
const FLOOR = 1e-4;
export const SCALES = {
  whole: { name: "0 to 1", at: (v) => v, back: (t) => t, fixed: true },
  linear: { name: "to the largest", at: (v, most) => v / most, back: (t, most) => t * most },
  root: { name: "square root", at: (v, most) => Math.sqrt(v / most), back: (t, most) => t * t * most },
  log: { name: "logarithm", at: (v) => 1 + Math.log10(Math.max(v, FLOOR)) / 4, back: (t) => 10 ** (4 * t - 4), fixed: true },
};
const STOPS = {
  light: ["#f1f6fc", "#c6dbef", "#6baed6", "#2171b5", "#08306b"],
  dark: ["#16212c", "#173a57", "#1f6a9c", "#56b4e9", "#e8f6ff"],
  signedLight: ["#b35806", "#fdb863", "#f7f7f7", "#80b1d3", "#08519c"],
  signedDark: ["#ffa54a", "#a35a16", "#22262c", "#2f78a8", "#9ad4ff"],
};
function between(stops, t) {
  const place = Math.max(0, Math.min(1, t)) * (stops.length - 1), i = Math.min(stops.length - 2, Math.floor(place)), share = place - i;
  const part = (at) => { const [a, b] = [stops[i], stops[i + 1]].map((c) => parseInt(c.slice(at, at + 2), 16)); return Math.round(a + (b - a) * share); };
  return [part(1), part(3), part(5)];
}
const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

// From what lies in a map to a pixel. Nothing at all (a masked pair) stays the page's own ground.
export function shading(map, scale, dark, most = largest(map) || 1) {
  const { at, back, fixed } = SCALES[scale] ?? SCALES.whole;
  if (map.signed) {
    const stops = dark ? STOPS.signedDark : STOPS.signedLight;
    const table = Uint32Array.from({ length: 511 }, (_, i) => packed(between(stops, i / 510)));
    return { pixel: (v) => table[Math.round((v / most + 1) * 255)], colour: (t) => between(stops, t), marks: [-most, 0, most] };
  }
  const stops = dark ? STOPS.dark : STOPS.light;
  const table = new Uint32Array(ONE + 1);
  for (let half = 1; half <= ONE; half++) table[half] = packed(between(stops, at(NUMBERS[half], most)));
  const pixel = (half) => table[half > ONE ? ONE : half];
  return { pixel, table, colour: (t) => between(stops, t), marks: [0, 0.5, 1].map((t) => (t === 0 && scale !== "log" ? 0 : back(t, fixed ? 1 : most))) };
}

// Draws the window [r0, r1) x [c0, c1) of a map into width x height pixels. Where a pixel holds several cells it shows
// the largest of them, so that a single strong pair among a thousand tokens is never lost.
export function paint(map, window, width, height, shade) {
  const { data } = map, { r0, r1, c0, c1 } = window;
  const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const from = new Uint32Array(width), to = new Uint32Array(width);
  for (let x = 0; x < width; x++) {
    from[x] = c0 + Math.floor((x * (c1 - c0)) / width);
    to[x] = Math.max(from[x] + 1, c0 + Math.floor(((x + 1) * (c1 - c0)) / width));
  }
  let before = -1, end = -1;
  for (let y = 0; y < height; y++) {
    const top = r0 + Math.floor((y * (r1 - r0)) / height), under = Math.max(top + 1, r0 + Math.floor(((y + 1) * (r1 - r0)) / height));
    if (top === before && under === end) { pixels.copyWithin(y * width, (y - 1) * width, y * width); continue; }
    before = top;
    end = under;
    for (let x = 0; x < width; x++) {
      let best = 0, size = 0;
      for (let r = top; r < under; r++) {
        const start = startOf(map, r);
        for (let i = start + from[x], last = start + Math.min(to[x], endOf(map, r)); i < last; i++) {
          const value = data[i], own = value < 0 ? -value : value;
          if (own > size) { size = own; best = value; }
        }
      }
      pixels[y * width + x] = shade.pixel(best);
    }
  }
  return image;
}
