// The values of a Plotly chart by keyboard: arrows go from value to value, Plotly's own label shows where, and a line for
// screen readers says it. In a heatmap up and down are rows; of curves they are the next curve, near the same x.
import { el, figures, say } from "./dom.js";

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export function cursor(graph, signal) {
  let at = null; // {curve, row, column}
  const spoken = el("div", { class: "nbllm-spoken", role: "status", "aria-live": "polite" });
  graph.after(spoken);
  graph.tabIndex = 0;
  graph.setAttribute("role", "application"); // arrow keys are ours, also under a screen reader
  graph.setAttribute("aria-roledescription", "chart");

  const points = (trace) => trace.x?.length ?? 0;
  const curves = () => graph.data.map((trace, i) => ({ trace, i })).filter(({ trace }) => trace.visible !== false && points(trace)).map(({ i }) => i);
  const map = () => (graph.data?.[0]?.type === "heatmap" ? graph.data[0] : null);

  function start() {
    if (map()) return { curve: 0, row: 0, column: 0 };
    const first = curves()[0];
    return first === undefined ? null : { curve: first, row: 0, column: points(graph.data[first]) - 1 }; // the newest value
  }

  function moved([down, right], far) {
    const z = map()?.z;
    if (z) {
      const within = (value, size) => Math.max(0, Math.min(size - 1, value));
      return { ...at, row: within(at.row + down * far, z.length), column: within(at.column + right * far, z[0].length) };
    }
    const all = curves();
    const curve = all[Math.max(0, Math.min(all.length - 1, all.indexOf(at.curve) + down))] ?? all[0];
    const { x } = graph.data[curve];
    const from = curve === at.curve ? at.column + right * far : nearest(x, graph.data[at.curve].x[at.column]);
    return { curve, row: 0, column: Math.max(0, Math.min(x.length - 1, from)) };
  }

  function edge(last) {
    const most = (map()?.z[0].length ?? points(graph.data[at.curve])) - 1;
    return { ...at, column: last ? most : 0 };
  }

  function show() {
    const trace = at && graph.data?.[at.curve];
    if (!trace) return;
    const heat = map();
    const value = heat ? heat.z[at.row]?.[at.column] : trace.y[at.column];
    if (value === undefined) { at = null; return; } // the chart is another by now
    const where = heat ? { xval: at.column, yval: at.row } : { pointNumber: at.column };
    globalThis.Plotly.Fx.hover(graph, [{ curveNumber: at.curve, ...where }], [(trace.xaxis ?? "x") + (trace.yaxis ?? "y")]);
    const x = Number(trace.x?.[at.column]);
    say(spoken, heat ? `${words(heat.text?.[at.row]?.[at.column] ?? "")}: ${Number(value).toFixed(3)}` : `${trace.name} ${figures(Number(value))} at ${figures(x, 6)}`);
  }

  graph.addEventListener("keydown", (event) => {
    if (!globalThis.Plotly?.Fx || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && at) leave();
    else if (MOVES[event.key] || event.key === "Home" || event.key === "End") {
      const fresh = !at;
      at ??= start();
      if (!at) return;
      if (!fresh) at = MOVES[event.key] ? moved(MOVES[event.key], event.shiftKey ? 10 : 1) : edge(event.key === "End");
      show();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  const leave = () => { at = null; say(spoken, ""); globalThis.Plotly?.Fx?.unhover(graph); };
  graph.addEventListener("blur", () => at && leave(), { signal });
  return { again: show };
}

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, i) => { if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i; });
  return best;
}

// Labels of Plotly are a little HTML; a reader is told the text.
function words(label) {
  return label.replaceAll("<br>", ", ").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
