// The Attention tab: the probe text's map by layer, head and training step, from maps that lie in the page; a step that
// is not there yet is fetched, and its nearest neighbour shown meanwhile.
import { axis } from "./chart.js";
import { el, plain, say, slider, table, visible } from "./dom.js";
import { note } from "./loss.js";

const GATES = ["input gate", "forget gate", "output gate", "cell"];
const KEEP = 60; // fetched maps

export function attentionTab(model, view, changed) {
  const fetched = new Map();
  const asked = new Set();
  const probe = () => model.get("probe");
  const gates = () => probe().kind === "gates";
  const layer = slider("layer", 0, 0, 1, 0, (value) => changed({ layer: value }), (v) => String(v + 1));
  const head = slider("head", 0, 0, 1, 0, (value) => changed({ head: value }), (v) => (gates() ? GATES[v] ?? String(v + 1) : String(v + 1)));
  const step = slider("step", 0, 0, 1, 0, (value) => {
    const steps = probe().steps ?? [];
    changed({ step: value >= steps.length - 1 ? null : steps[value] }); // null: follow the newest
  }, (v) => (probe().steps?.[v] ?? 0).toLocaleString("en-US"));
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
    const steps = p.steps;
    const want = v.step !== null && steps.includes(v.step) ? v.step : steps[steps.length - 1];
    const l = clamp(v.layer, p.shape[0] - 1), h = clamp(v.head, p.shape[1] - 1);
    layer.set(p.shape[0] - 1, l);
    head.name(gates() ? "gate" : "head");
    head.set(p.shape[1] - 1, h);
    step.set(steps.length - 1, steps.indexOf(want));
    return { p, want, l, h };
  }

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
    return { ...c, shown, z: gates() ? z[0].map((_, unit) => z.map((row) => row[unit])) : z };
  }

  function figure(colours, width) {
    const m = map();
    const base = { height: 480, margin: { l: 86, r: 10, t: 10, b: 76 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: colours.font, size: 12, color: colours.ink }, showlegend: false,
      hoverlabel: { bgcolor: colours.dark ? "#2b2f36" : "#ffffff", bordercolor: colours.line, font: { color: colours.ink } } };
    if (!m) {
      say(heading, "");
      return { data: [], layout: { ...base, xaxis: { visible: false }, yaxis: { visible: false },
        annotations: [note("no map of the probe text yet", 0.5, colours)] } };
    }
    const raw = m.p.tokens, labels = raw.map((t) => plain(visible(t)));
    const isGates = gates();
    const both = isGates && GATES[m.h] === "cell"; // gates lie between 0 and 1, the cell on both sides of zero
    say(heading, m.shown !== m.want ? `showing step ${m.shown.toLocaleString("en-US")}` : isGates ? "units by tokens" : "each row: what a token looks at");
    const text = m.z.map((row, r) => row.map((_, k) => (isGates ? `unit ${r + 1} at “${labels[k] ?? k}”` : `“${labels[r] ?? r}” looks at “${labels[k] ?? k}”`)));
    // The square is given its size by the margins, so that the scale stands right beside it.
    const longest = Math.max(1, ...labels.map((label) => [...label].reduce((w, c) => w + (c.charCodeAt(0) > 0x2e80 ? 12 : 7), 0)));
    const left = isGates ? 64 : 40 + Math.min(longest, 120), bottom = 44 + Math.min(longest, 120);
    const across = Math.max(180, Math.min(width - left - 90, isGates ? 900 : Math.max(340, Math.min(700, labels.length * 15))));
    const high = isGates ? 380 : across;
    // Where the cells are smaller than letters, every second or third token is named.
    const pitch = across / Math.max(1, labels.length), every = Math.ceil(8.5 / pitch);
    const named = labels.map((_, i) => i).filter((i) => i % every === 0);
    const cells = axis(colours, { showgrid: false, ticks: "", showline: false, tickmode: "array", tickvals: named, ticktext: named.map((i) => labels[i]),
      tickfont: { color: colours.ink, size: Math.max(8, Math.min(12, Math.floor(pitch * every))) } });
    const blues = colours.dark
      ? [[0, "#14181d"], [0.25, "#173a57"], [0.5, "#1f6a9c"], [0.75, "#56b4e9"], [1, "#e8f6ff"]]
      : [[0, "#ffffff"], [0.25, "#c6dbef"], [0.5, "#6baed6"], [0.75, "#2171b5"], [1, "#08306b"]];
    const signed = [[0, "#b35806"], [0.25, "#fdb863"], [0.5, colours.dark ? "#22262c" : "#f7f7f7"], [0.75, "#80b1d3"], [1, "#2166ac"]];
    return {
      data: [{ type: "heatmap", z: m.z, text, zmin: both ? -1 : 0, zmax: 1, colorscale: both ? signed : blues, xgap: labels.length > 40 ? 0 : 1, ygap: labels.length > 40 ? 0 : 1,
        hovertemplate: "%{text}<br>%{z:.3f}<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, len: 0.7, lenmode: "fraction", xpad: 6, tickfont: { color: colours.quiet }, x: 1.01 } }],
      layout: { ...base, uirevision: "map", height: high + bottom + 14, margin: { l: left, r: width - left - across, t: 14, b: bottom },
        xaxis: { ...cells, tickangle: longest > 16 ? -90 : 0, title: { text: isGates ? "token" : "token looked at", font: { color: colours.quiet }, standoff: 10 } },
        yaxis: { ...(isGates ? axis(colours, { showgrid: false }) : cells), autorange: "reversed",
          title: { text: isGates ? "unit" : "token looking", font: { color: colours.quiet }, standoff: 8 } } },
    };
  }

  function asTable() {
    const m = map();
    if (!m) return el("p", { class: "nbllm-quiet" }, "No map of the probe text yet.");
    const names = m.p.tokens.map(visible);
    const rows = m.z.map((row, r) => {
      const best = row.map((value, k) => [value, k]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3);
      const own = gates() ? `unit ${r + 1}` : `${r + 1}. ${names[r] ?? ""}`;
      return [own, ...[0, 1, 2].map((i) => (best[i] ? `${names[best[i][1]] ?? best[i][1]}  ${best[i][0].toFixed(2)}` : ""))];
    });
    const what = gates() ? "Largest values of each unit" : "What each token looks at most";
    return table(`${what}: layer ${m.l + 1}, ${gates() ? GATES[m.h] : "head " + (m.h + 1)}, step ${m.shown}`, [gates() ? "unit" : "token", "first", "second", "third"], rows);
  }
  return { controls, figure, asTable, traits: ["probe", "maps"] };
}

function bytes(view) {
  return view ? new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength) : new Uint8Array();
}
