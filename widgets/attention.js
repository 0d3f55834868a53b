// The Attention tab (Gates, of a recurrent network): the probe text's map by layer, head and training step, from maps
// that lie in the page; a step that is not there yet is fetched, and its nearest neighbour shown meanwhile.
// Layers, heads and units are counted from 0, as in Python.
import { axis } from "./chart.js";
import { across, clip, count, el, plain, say, slider, table, visible, wide } from "./dom.js";
import { note } from "./loss.js";

const SIGNED = ["cell", "candidate", "hidden"]; // these lie on both sides of zero; gates lie between 0 and 1
const KEEP = 60; // fetched maps

export function attentionTab(model, view, changed) {
  const fetched = new Map();
  const asked = new Set();
  let run = "", newest = -1; // what the fetched maps belong to
  const probe = () => model.get("probe");
  const gates = () => probe().kind === "gates";
  const gate = (at) => probe().gates?.[at] ?? String(at);
  const layer = slider("layer", 0, 0, 1, 0, (value) => changed({ layer: value }));
  const head = slider("head", 0, 0, 1, 0, (value) => changed({ head: value }), (v) => (gates() ? gate(v) : String(v)));
  const step = slider("step", 0, 0, 1, 0, (value) => {
    const steps = probe().steps ?? [];
    changed({ step: value >= steps.length - 1 ? null : steps[value] }); // null: follow the newest
  }, (v) => count(probe().steps?.[v] ?? 0));
  const heading = el("span", { class: "nbllm-quiet" });
  const controls = el("div", { class: "nbllm-controls" }, layer.node, head.node, step.node, heading);

  model.on("msg:custom", (message, buffers) => {
    if (message?.kind !== "map" || !buffers?.length) return;
    asked.delete(message.step);
    fetched.set(message.step, bytes(buffers[0]));
    if (fetched.size > KEEP) fetched.delete(fetched.keys().next().value);
    changed({});
  });

  const clamp = (value, most) => Math.max(0, Math.min(value ?? 0, most));
  function chosen() {
    const p = probe(), v = view();
    if (!p.shape?.length || !p.kept?.length) return null;
    const steps = p.steps, last = steps[steps.length - 1], now = JSON.stringify([p.tokens, p.shape]);
    if (now !== run || last < newest) { fetched.clear(); asked.clear(); } // another run lies in the folder
    run = now;
    newest = last;
    const want = v.step !== null && steps.includes(v.step) ? v.step : last;
    const l = clamp(v.layer, p.shape[0] - 1), h = clamp(v.head, p.shape[1] - 1);
    layer.set(p.shape[0] - 1, l);
    head.name(gates() ? "gate" : "head");
    head.set(p.shape[1] - 1, h);
    step.set(steps.length - 1, steps.indexOf(want));
    return { p, want, l, h, where: `layer ${l}, ${gates() ? gate(h) : `head ${h}`}` };
  }

  // z, with the names of its rows and columns. Of a decoder that reads another text the columns are that text's tokens.
  function map() {
    const c = chosen();
    if (!c) return null;
    const { p, want, l, h } = c;
    const [, heads, rows, columns] = p.shape;
    const size = p.shape.reduce((a, b) => a * b, 1);
    let data = fetched.get(want), shown = want, offset = 0;
    if (!data) {
      const nearest = p.kept.reduce((best, s, i) => (Math.abs(s - want) < Math.abs(p.kept[best] - want) ? i : best), 0);
      shown = p.kept[nearest];
      data = bytes(model.get("maps"));
      offset = nearest * size;
      if (shown !== want && !asked.has(want)) { asked.add(want); model.send({ kind: "map", step: want }); }
    }
    const start = offset + (l * heads + h) * rows * columns;
    const value = gates() ? (b) => b / 127.5 - 1 : (b) => b / 255;
    const z = Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, k) => value(data[start + r * columns + k] ?? 0)));
    const tokens = p.tokens.map(visible);
    if (!gates()) return { ...c, shown, z, names: tokens, keys: p.keys?.length ? p.keys.map(visible) : tokens };
    const units = Array.from({ length: columns }, (_, unit) => `unit ${p.units?.[unit] ?? unit}`);
    return { ...c, shown, z: units.map((_, unit) => z.map((row) => row[unit])), names: units, keys: tokens };
  }

  function figure(colours, width) {
    const m = map();
    const base = { height: 480, margin: { l: 86, r: 10, t: 10, b: 76 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: colours.font, size: 12, color: colours.ink }, showlegend: false,
      hoverlabel: { bgcolor: colours.dark ? "#2b2f36" : "#ffffff", bordercolor: colours.line, font: { color: colours.ink } } };
    if (!m) {
      say(heading, "");
      return { label: "No map of the probe text yet.", data: [], layout: { ...base, xaxis: { visible: false }, yaxis: { visible: false },
        annotations: [note("no map of the probe text yet", 0.5, colours)] } };
    }
    const isGates = gates(), signed = isGates && SIGNED.includes(gate(m.h));
    const names = m.names.map((name) => clip(name)), keys = m.keys.map((key) => clip(key));
    say(heading, m.shown !== m.want ? `showing step ${count(m.shown)}` : isGates ? "units by tokens" : "each row: what a token looks at");
    const text = m.z.map((row, r) => row.map((_, k) =>
      (isGates ? `${m.names[r]} at “${plain(m.keys[k] ?? "")}”` : `“${plain(m.names[r] ?? "")}” looks at “${plain(m.keys[k] ?? "")}”`)));
    // The map is given its size by the margins, so that the scale stands right beside it.
    const left = isGates ? 64 : 40 + Math.max(10, ...names.map(wide));
    const room = Math.max(180, Math.min(width - left - 90, isGates ? 900 : Math.max(340, Math.min(700, keys.length * 15))));
    const high = isGates ? 380 : Math.max(120, Math.min(700, (room * names.length) / Math.max(1, keys.length)));
    // Where the cells are smaller than letters, every second or third token is named.
    const named = (labels, pitch) => labels.map((_, i) => i).filter((i) => i % Math.ceil(8.5 / pitch) === 0);
    const ticks = (labels, at, pitch) => axis(colours, { showgrid: false, ticks: "", showline: false, tickmode: "array", tickvals: at, ticktext: labels,
      tickfont: { color: colours.ink, size: Math.max(8, Math.min(12, Math.floor(pitch * Math.ceil(8.5 / pitch)))) } });
    const wideness = room / Math.max(1, keys.length), tallness = high / Math.max(1, names.length);
    const below = named(keys, wideness), beside = named(names, tallness);
    const under = across(below.map((i) => keys[i]), wideness * Math.ceil(8.5 / wideness));
    const bottom = 44 + under.depth;
    const numbers = isGates ? beside.filter((_, i) => i % 8 === 0) : beside;
    const blues = colours.dark
      ? [[0, "#14181d"], [0.25, "#173a57"], [0.5, "#1f6a9c"], [0.75, "#56b4e9"], [1, "#e8f6ff"]]
      : [[0, "#ffffff"], [0.25, "#c6dbef"], [0.5, "#6baed6"], [0.75, "#2171b5"], [1, "#08306b"]];
    const both = [[0, "#b35806"], [0.25, "#fdb863"], [0.5, colours.dark ? "#22262c" : "#f7f7f7"], [0.75, "#80b1d3"], [1, "#2166ac"]];
    const gap = keys.length > 40 ? 0 : 1;
    return {
      label: `${isGates ? "Gates" : "Attention"} of ${m.where} at step ${count(m.shown)}: ${names.length} rows, ${keys.length} columns. “Show as table” gives the largest values.`,
      data: [{ type: "heatmap", z: m.z, text, zmin: signed ? -1 : 0, zmax: 1, colorscale: signed ? both : blues, xgap: gap, ygap: gap,
        hovertemplate: "%{text}<br>%{z:.3f}<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, len: 0.7, lenmode: "fraction", xpad: 6, tickfont: { color: colours.quiet }, x: 1.01 } }],
      layout: { ...base, uirevision: "map", height: high + bottom + 14, margin: { l: left, r: width - left - room, t: 14, b: bottom },
        xaxis: { ...ticks(under.texts, below, wideness), tickangle: under.angle, title: { text: isGates ? "token" : "token looked at", font: { color: colours.quiet }, standoff: 10 } },
        yaxis: { ...ticks(numbers.map((i) => (isGates ? m.names[i].slice(5) : plain(names[i]))), numbers, tallness), autorange: "reversed",
          title: { text: isGates ? "unit" : "token looking", font: { color: colours.quiet }, standoff: 8 } } },
    };
  }

  function asTable() {
    const m = map();
    if (!m) return el("p", { class: "nbllm-quiet" }, "No map of the probe text yet.");
    const rows = m.z.map((row, r) => {
      const best = row.map((value, k) => [value, k]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3);
      const seen = best.filter(([value]) => Math.abs(value) >= 0.005); // less is nothing, or the future
      const own = gates() ? m.names[r] : `${r}. ${m.names[r] ?? ""}`;
      return [own, ...[0, 1, 2].map((i) => (seen[i] ? `${seen[i][1]}. ${m.keys[seen[i][1]] ?? ""}  ${seen[i][0].toFixed(2)}` : ""))];
    });
    const what = gates() ? "Largest values of each unit" : "What each token looks at most";
    return table(`${what}: ${m.where}, step ${count(m.shown)}`, [gates() ? "unit" : "token", "first", "second", "third"], rows);
  }
  return { controls, figure, asTable, traits: ["probe", "maps"] };
}

function bytes(view) {
  return view ? new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength) : new Uint8Array();
}
