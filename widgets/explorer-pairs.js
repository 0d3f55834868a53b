// The strongest pairs of a map as a table, and the colours of a map as a legend.
import { count, el } from "./dom.js";
import { SCALES, strongest, valueAt } from "./explorer-store.js";
import { alike, token, weight } from "./explorer-words.js";

const PAIRS = 60;

// `open(r, c)` is called with the pair of a row.
export function pairTable(open) {
  const node = el("div", { class: "nbllm-sheet", tabindex: "0", role: "region", "aria-label": "strongest pairs" });
  function set({ map, beside, tokens }, name) {
    const two = beside && alike(map, beside), found = strongest(map, PAIRS);
    const opener = (r, c) => el("button", { type: "button", class: "nbllm-link", onclick: (event) => { event.stopPropagation(); open(r, c); } }, token(tokens.queries, r));
    const rows = found.map(([r, c, value]) => el("tr", { class: "nbllm-row-link", onclick: () => open(r, c) },
      el("th", { scope: "row" }, opener(r, c)), el("td", {}, token(tokens.keys, c)), el("td", {}, weight(value, map.signed)),
      ...(two ? [el("td", {}, weight(valueAt(beside, r, c)))] : []), el("td", { class: "nbllm-quiet nbllm-number" }, `${count(r)} → ${count(c)}`)));
    const heads = ["token", "looks at", map.signed ? "change" : "weight", ...(two ? ["beside"] : []), "places"];
    node.replaceChildren(el("table", { class: "nbllm-table nbllm-narrow" },
      el("caption", {}, `The ${found.length} strongest pairs of ${name}${map.signed ? ": what differs most" : ""}`),
      el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, ...rows)));
  }
  return { node, set };
}

const LONG = 180; // pixels of the bar
const START = 20;

export function legendBar() {
  const node = el("canvas", { class: "nbllm-legend", role: "img" });
  function set(shade, scale, signed, colours) {
    const ratio = devicePixelRatio || 1, wide = LONG + 2 * START, high = 30;
    node.width = wide * ratio;
    node.height = high * ratio;
    node.style.width = `${wide}px`;
    node.style.height = `${high}px`;
    const pen = node.getContext("2d");
    pen.scale(ratio, ratio);
    for (let x = 0; x < LONG; x++) {
      pen.fillStyle = `rgb(${shade.colour(x / (LONG - 1)).join(",")})`;
      pen.fillRect(START + x, 2, 1.5, 9);
    }
    pen.strokeStyle = colours.line;
    pen.strokeRect(START - 0.5, 1.5, LONG + 1, 10);
    pen.fillStyle = colours.quiet;
    pen.font = `11px ${colours.font}`;
    pen.textAlign = "center";
    const texts = shade.marks.map((value) => weight(value, signed).replace(/\.?0+$/, "") || "0");
    texts.forEach((text, i) => pen.fillText(text, START + (LONG / 2) * i, 24));
    node.setAttribute("aria-label", `Colours from ${texts[0]} to ${texts[2]}${signed || scale === "whole" ? "" : `, ${SCALES[scale].name}`}`);
  }
  return { node, set };
}
