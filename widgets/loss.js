// The Loss tab: train and held-out loss above, one of four other curves below; x, y and smoothing answer in the page.
import { axis } from "./chart.js";
import { choice, clock, count, el, figures, slider, table } from "./dom.js";
import { heldOut, smooth, train } from "./series.js";

const X = { step: "steps", tokens: "tokens", seconds: "time" };
const BELOW = { lr: "learning rate", grad_norm: "gradient norm", rate: "tokens/s", memory: "memory, MB" };

export function lossTab(model, view, changed) {
  const xs = choice("x", X, view().x, (x) => changed({ x }));
  const ys = choice("y", { linear: "linear", log: "log" }, view().log ? "log" : "linear", (y) => changed({ log: y === "log" }));
  const smoothing = slider("smoothing", 0, 1, 0.05, view().smoothing, (value) => changed({ smoothing: value }), (v) => v.toFixed(2));
  const below = el("select", { "aria-label": "curve below", onchange: () => changed({ below: below.value }) },
    ...Object.entries(BELOW).map(([key, name]) => el("option", { value: key }, name)));
  below.value = view().below;
  const controls = el("div", { class: "nbllm-controls" }, xs.node, ys.node, smoothing.node,
    el("label", { class: "nbllm-control" }, el("span", {}, "below"), below));

  function figure(colours) {
    const v = view(), t = train(model), h = heldOut(model);
    const smoothed = v.smoothing > 0 && t.step.length > 2;
    const at = v.x === "seconds" ? (column) => column.map((s) => s / (minutes ? 60 : 1)) : (column) => column;
    const minutes = (t.seconds[t.seconds.length - 1] ?? 0) > 300;
    const x = at(t[v.x]), hx = at(h[v.x]);
    const blank = !t.step.length, none = !Array.from(t[v.below] ?? []).some(Number.isFinite);
    const line = (more) => ({ type: "scatter", mode: "lines", hoverlabel: { namelength: -1 }, ...more });
    const few = t.step.length < 3 ? "lines+markers" : "lines";
    const data = [
      line({ x, y: t.loss, name: "train loss", mode: few, opacity: smoothed ? (colours.dark ? 0.5 : 0.38) : 1, line: { color: colours.train, width: smoothed ? 1 : 1.7 }, marker: { size: 6 } }),
      line({ x, y: smoothed ? smooth(t.step, t.mean, v.smoothing) : [], name: "train loss, smoothed", visible: smoothed, line: { color: colours.train, width: 2.4 } }),
      line({ x: hx, y: h.loss, name: "held-out loss", mode: "lines+markers", line: { color: colours.held, width: 1.7 }, marker: { size: h.loss.length > 60 ? 4 : 7, symbol: "diamond" } }),
      line({ x: none ? [] : x, y: none ? [] : t[v.below], name: BELOW[v.below], yaxis: "y2", connectgaps: true, line: { color: colours.third, width: 1.4 } }),
    ];
    const title = v.x === "seconds" ? (minutes ? "minutes of training" : "seconds of training") : v.x;
    const name = { text: BELOW[v.below], showarrow: false, xref: "paper", yref: "paper", x: 0, xanchor: "left", y: 0.245, yanchor: "bottom",
      font: { color: colours.quiet, size: 12 } };
    const layout = {
      height: 400, margin: { l: 58, r: 12, t: 12, b: 42 }, uirevision: `loss-${v.x}-${v.log}`, hovermode: "x unified",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: colours.font, size: 12, color: colours.ink },
      showlegend: true, legend: { x: 1, xanchor: "right", y: 0.995, yanchor: "top", orientation: "v", bgcolor: "rgba(0,0,0,0)" },
      hoverlabel: { bgcolor: colours.dark ? "#2b2f36" : "#ffffff", bordercolor: colours.line, font: { color: colours.ink } },
      xaxis: axis(colours, { anchor: "y2", visible: !blank, title: { text: title, font: { color: colours.quiet }, standoff: 8 }, hoverformat: v.x === "seconds" ? ".1f" : ",d", rangemode: "tozero",
        dtick: v.x === "step" && !(x[x.length - 1] > 10) ? 1 : null, exponentformat: "SI" }),
      yaxis: axis(colours, { domain: [0.34, 1], visible: !blank, type: v.log ? "log" : "linear", title: { text: "loss", font: { color: colours.quiet } }, hoverformat: ".4f", nticks: 7 }),
      yaxis2: axis(colours, { domain: [0, 0.24], visible: !none, nticks: 4, hoverformat: ".3~g", rangemode: "tozero",
        tickformat: v.below === "lr" ? "~g" : "~s" }),
      annotations: blank ? [note(waiting(model), 0.6, colours)] : [name],
    };
    if (none && !blank) layout.annotations.push(note("not measured in this run", 0.12, colours));
    data[3].showlegend = false;
    const last = (column) => figures(column[column.length - 1]);
    const label = blank ? waiting(model) : `Loss by ${title}, to step ${count(t.step[t.step.length - 1])}: train ${last(t.loss)}, held-out ${last(h.loss)}. ` +
      `Below it the ${BELOW[v.below]}. “Show as table” gives the numbers.`;
    return { data, layout, label };
  }

  function asTable() {
    const t = train(model), h = heldOut(model);
    const rows = t.step.length, picked = [];
    for (let i = 0; i < Math.min(40, rows); i += 1) picked.push(Math.round((rows - 1) * (1 - i / Math.max(1, Math.min(40, rows) - 1))));
    const near = (step) => { let found = null; h.step.forEach((s, i) => { if (s <= step) found = h.loss[i]; }); return found; };
    return table("Loss of the run, newest first; held-out loss is the last one measured",
      ["step", "time", "tokens", "train loss", "held-out loss", "learning rate", "gradient norm"],
      [...new Set(picked)].map((i) => [count(t.step[i]), clock(t.seconds[i] || 0), count(t.tokens[i]), figures(t.loss[i]), figures(near(t.step[i])), figures(t.lr[i], 3), figures(t.grad_norm[i], 3)]));
  }
  // The state is only looked at while there is no point: the words in the empty chart are about it.
  return { controls, figure, asTable, traits: ["base", "tail", "held"], empty: () => !model.get("base")?.byteLength && !model.get("tail")?.byteLength };
}

export function note(text, y, colours) {
  return { text, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y, font: { color: colours.quiet, size: 14 } };
}

function waiting(model) {
  const state = model.get("status").state;
  return ["failed", "lost", "stopped", "finished"].includes(state) ? "no step was logged" : "the first point comes with the first step";
}
