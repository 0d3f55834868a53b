// The Loss tab: train and held-out loss above, another curve below (the learning rate, an accuracy, ...); x, y and
// smoothing answer in the page.
import { axis } from "./chart.js";
import { choice, clock, count, el, figures, plain, slider, table } from "./dom.js";
import { heldOut, measures, smooth, train } from "./series.js";

const X = { step: "steps", tokens: "tokens", seconds: "time" };
const BELOW = { lr: "learning rate", grad_norm: "gradient norm", rate: "tokens/s", memory: "memory, MB" };
const NAMES = { kl: "KL to the prior, nats", reconstruction: "reconstruction, nats", f1: "macro F1" };

export function lossTab(model, view, changed) {
  const xs = choice("x", "horizontal axis", X, view().x, (x) => changed({ x }));
  const ys = choice("y", "vertical axis", { linear: "linear", log: "log" }, view().log ? "log" : "linear", (y) => changed({ log: y === "log" }));
  const smoothing = slider("smoothing", 0, 1, 0.05, view().smoothing, (value) => changed({ smoothing: value }), (v) => v.toFixed(2));
  const below = el("select", { "aria-label": "curve below", onchange: () => changed({ below: below.value }) });
  // What this objective measures is known with its first evaluation.
  function offer() {
    const names = { ...BELOW, ...Object.fromEntries(Object.keys(measures(model)).map((key) => [key, named(key)])) };
    if (below.options.length !== Object.keys(names).length) {
      below.replaceChildren(...Object.entries(names).map(([key, name]) => el("option", { value: key }, name)));
    }
    below.value = names[view().below] ? view().below : "lr";
  }
  offer();
  const controls = el("div", { class: "nbllm-controls" }, xs.node, ys.node, smoothing.node,
    el("label", { class: "nbllm-control" }, el("span", {}, "below"), below));

  function figure(colours) {
    const v = view(), t = train(model), h = heldOut(model);
    offer();
    const own = measures(model)[v.below], title2 = named(v.below); // measured where the held-out loss is
    const smoothed = v.smoothing > 0 && t.step.length > 2;
    const at = v.x === "seconds" ? (column) => column.map((s) => s / (minutes ? 60 : 1)) : (column) => column;
    const minutes = (t.seconds[t.seconds.length - 1] ?? 0) > 300;
    const x = at(t[v.x]), hx = at(h[v.x]);
    const blank = !t.step.length, none = !Array.from(own ?? t[v.below] ?? []).some(Number.isFinite);
    const line = (more) => ({ type: "scatter", mode: "lines", hoverlabel: { namelength: -1 }, ...more });
    const few = t.step.length < 3 ? "lines+markers" : "lines";
    const data = [
      line({ x, y: t.loss, name: "train loss", mode: few, opacity: smoothed ? (colours.dark ? 0.5 : 0.38) : 1, line: { color: colours.train, width: smoothed ? 1 : 1.7 }, marker: { size: 6 } }),
      line({ x, y: smoothed ? smooth(t.step, t.mean, v.smoothing) : [], name: "train loss, smoothed", visible: smoothed, line: { color: colours.train, width: 2.4 } }),
      line({ x: hx, y: h.loss, name: "held-out loss", mode: "lines+markers", line: { color: colours.held, width: 1.7 }, marker: { size: h.loss.length > 60 ? 4 : 7, symbol: "diamond" } }),
      line({ x: none ? [] : own ? hx : x, y: none ? [] : own ?? t[v.below], name: title2, yaxis: "y2", connectgaps: true, mode: own ? "lines+markers" : "lines",
        marker: { size: 4 }, line: { color: colours.third, width: 1.4 } }),
    ];
    const title = v.x === "seconds" ? (minutes ? "minutes of training" : "seconds of training") : v.x;
    const name = { text: title2, showarrow: false, xref: "paper", yref: "paper", x: 0, xanchor: "left", y: 0.245, yanchor: "bottom",
      font: { color: colours.quiet, size: 12 } };
    const layout = {
      height: 400, margin: { l: 58, r: 12, t: 12, b: 42 }, uirevision: `loss-${v.x}-${v.log}`, hovermode: "x unified",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: colours.font, size: 12, color: colours.ink },
      showlegend: true, legend: { x: 1, xanchor: "right", y: 0.995, yanchor: "top", orientation: "v", bgcolor: "rgba(0,0,0,0)" },
      hoverlabel: { bgcolor: colours.dark ? "#2b2f36" : "#ffffff", bordercolor: colours.line, font: { color: colours.ink } },
      xaxis: axis(colours, { anchor: "y2", visible: !blank, title: { text: title, font: { color: colours.quiet }, standoff: 8 }, hoverformat: v.x === "seconds" ? ".1f" : ",d", rangemode: "tozero",
        dtick: v.x === "step" && !(x[x.length - 1] > 10) ? 1 : null, exponentformat: "SI" }),
      yaxis: axis(colours, { domain: [0.34, 1], visible: !blank, type: v.log ? "log" : "linear", title: { text: "loss (nats)", font: { color: colours.quiet } }, hoverformat: ".4f", nticks: 7 }),
      yaxis2: axis(colours, { domain: [0, 0.24], visible: !none, nticks: 4, hoverformat: ".3~g", rangemode: "tozero",
        tickformat: v.below === "lr" ? "~g" : "~s" }),
      annotations: blank ? [note(waiting(model), 0.6, colours)] : [name],
    };
    const parent = model.get("status").parent; // where the run began with another's weights: what that one had reached
    if (!blank && Number.isFinite(parent?.held)) {
      layout.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: parent.held, y1: parent.held, line: { color: colours.quiet, width: 1.2, dash: "dot" } }];
      layout.annotations.push({ text: `${plain(parent.name)} had reached ${figures(parent.held)}`, showarrow: false, xref: "paper", x: 0, xanchor: "left", yref: "y",
        y: v.log ? Math.log10(parent.held) : parent.held, yanchor: "bottom", font: { color: colours.quiet, size: 11 } });
    }
    if (none && !blank) layout.annotations.push(note("not measured in this run", 0.12, colours));
    data[3].showlegend = false;
    const last = (column) => figures(column[column.length - 1]);
    const label = blank ? waiting(model) : `Loss by ${title}, to step ${count(t.step[t.step.length - 1])}: train ${last(t.loss)}, held-out ${last(h.loss)}. ` +
      `Below it the ${title2}. “Show as table” gives the numbers.`;
    return { data, layout, label };
  }

  function asTable() {
    const t = train(model), h = heldOut(model);
    const rows = t.step.length, picked = [];
    for (let i = 0; i < Math.min(40, rows); i += 1) picked.push(Math.round((rows - 1) * (1 - i / Math.max(1, Math.min(40, rows) - 1))));
    const near = (values, step) => { let found = null; h.step.forEach((s, i) => { if (s <= step) found = values[i]; }); return found; };
    const own = Object.entries(measures(model));
    return table("Loss of the run, newest first; what is held out is the last one measured",
      ["step", "time", "tokens", "train loss", "held-out loss", "learning rate", "gradient norm", ...own.map(([key]) => named(key))],
      [...new Set(picked)].map((i) => [count(t.step[i]), clock(t.seconds[i] || 0), count(t.tokens[i]), figures(t.loss[i]), figures(near(h.loss, t.step[i])), figures(t.lr[i], 3), figures(t.grad_norm[i], 3),
        ...own.map(([, values]) => figures(near(values, t.step[i]), 3))]));
  }
  // The state is only looked at while there is no point: the words in the empty chart are about it.
  return { controls, figure, asTable, traits: ["base", "tail", "held", "measures"], empty: () => !model.get("base")?.byteLength && !model.get("tail")?.byteLength };
}

// "val_masked_accuracy" is told as "masked accuracy".
const named = (key) => BELOW[key] ?? NAMES[key] ?? key.replace(/^val_/, "").replaceAll("_", " ");

export function note(text, y, colours) {
  return { text, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y, font: { color: colours.quiet, size: 14 } };
}

function waiting(model) {
  const state = model.get("status").state;
  return ["failed", "lost", "stopped", "finished"].includes(state) ? "no step was logged" : "the first point comes with the first step";
}
