// What the explorer says in words: weights, tokens, and the sentence about a cell or a token. All text stays text, and
// each token is kept apart from what stands beside it, whatever way it is written.
import { clip, count, el } from "./dom.js";
import { shown, strongestOf, valueAt } from "./explorer-store.js";

const LETTERS_TOLD = 48; // of a token
const TELLS = 5; // strongest tokens of a line
const TOLD = 0.0005; // weights from which they are told

export function token(tokens, i) {
  return el("bdi", { class: "nbllm-token" }, clip(shown(tokens[i] ?? ""), LETTERS_TOLD));
}

export function weight(value, signed) {
  const text = Math.abs(value) >= TOLD || value === 0 ? value.toFixed(3) : value.toExponential(1);
  return (signed && value > 0 ? "+" : "") + text.replace("-", "−");
}

export const alike = (a, b) => a.rows === b.rows && a.columns === b.columns;
const quiet = (text) => el("span", { class: "nbllm-quiet" }, text);

// A cell: `now` has the map, what stands beside it, the two of a difference, the tokens and the source.
export function sentence({ map, beside, first, second, source, tokens }, r, c) {
  const value = valueAt(map, r, c);
  const parts = [token(tokens.queries, r), " looks at ", token(tokens.keys, c), ": ", el("b", {}, weight(value, map.signed))];
  if (map.signed) parts.push(` (${weight(valueAt(first, r, c))} less ${weight(valueAt(second, r, c))})`);
  else if (beside && alike(map, beside)) parts.push(", beside it ", el("b", {}, weight(valueAt(beside, r, c))));
  if (value === 0 && !map.signed && source.causal && c > r) parts.push(" (it comes later: out of sight)");
  parts.push(quiet(`  query ${count(r)}, key ${count(c)}`));
  return parts;
}

// What is told of the map in this view, at its cursor (row, column) or its focus (side, place).
export function told(now, view, cursor, focus) {
  const { map, tokens } = now;
  if (view === "heatmap") {
    if (cursor && cursor[0] < map.rows && cursor[1] < map.columns) return sentence(now, ...cursor);
    return [quiet("Point at a cell, or move with the arrow keys. Drag to zoom in, double-click for the whole.")];
  }
  if (view !== "lines") return [];
  if (!focus || focus[1] >= (focus[0] ? map.columns : map.rows)) return [quiet("Point at a token, or move with the arrow keys, to see its lines alone.")];
  const [side, i] = focus;
  const own = side ? tokens.keys : tokens.queries, others = side ? tokens.queries : tokens.keys;
  const best = strongestOf(map, side, i, TELLS).filter(([, value], n) => !n || Math.abs(value) >= TOLD);
  return [token(own, i), side ? " is looked at by " : " looks at ",
    ...(best.length ? best.flatMap(([k, value], n) => [n ? ", " : "", token(others, k), ` ${weight(value, map.signed)}`]) : ["nothing"])];
}
