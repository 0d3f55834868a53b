// The values of a Plotly chart by keyboard: arrows go from value to value, Plotly's own label shows where, and a line for
// screen readers says it. In a heatmap up and down are rows; of curves they are the next curve, near the same x. The page
// keys go to the next heatmap or curve of a chart that has several.
import { el, figures, say } from "./dom.js";

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const PARTS = { PageUp: -1, PageDown: 1 };
const ENDS = { Home: false, End: true };
const DRAWN = 120; // ms until Plotly has drawn its label, which it does at most every 50 ms

// `told(graph, at)` is what is said of a value, {curve, row, column}; once the label is drawn.
export function cursor(graph, signal, told = values) {
  let at = null;
  let later = 0;
  const spoken = el("div", { class: "nbllm-spoken", role: "status", "aria-live": "polite", style: HIDDEN });
  graph.after(spoken);
  graph.tabIndex = 0;
  graph.setAttribute("role", "application"); // arrow keys are ours, also under a screen reader
  graph.setAttribute("aria-roledescription", "chart");

  const shown = () => (graph._fullData ?? []).filter((trace) => trace.visible === true && length(trace)).map((trace) => trace.index);
  const within = (value, size) => Math.max(0, Math.min(size - 1, value));

  function enter(curve, near) {
    const trace = graph._fullData[curve];
    if (isMap(trace)) return { curve, row: downwards(graph, trace) > 0 ? 0 : trace.z.length - 1, column: 0 }; // top left
    return { curve, row: 0, column: near === undefined ? length(trace) - 1 : nearest(trace.x, near) }; // a curve's newest value
  }

  function toPart(step) {
    const all = shown();
    const curve = all[within(all.indexOf(at.curve) + step, all.length)];
    return curve === at.curve ? at : enter(curve, isMap(graph._fullData[at.curve]) ? undefined : graph._fullData[at.curve].x[at.column]);
  }

  function moved([down, right], far) {
    const trace = graph._fullData[at.curve];
    if (!isMap(trace)) return down ? toPart(down) : { ...at, column: within(at.column + right * far, length(trace)) };
    return { ...at, row: within(at.row + down * downwards(graph, trace) * far, trace.z.length), column: within(at.column + right * far, length(trace)) };
  }

  function show() {
    const trace = at && graph._fullData?.[at.curve];
    if (!trace || (isMap(trace) ? trace.z[at.row]?.[at.column] : trace.x[at.column]) === undefined) { at = null; return; } // another chart by now
    const where = isMap(trace) ? { xval: middle(trace.x, at.column, length(trace)), yval: middle(trace.y, at.row, trace.z.length) } : { pointNumber: at.column };
    globalThis.Plotly.Fx.hover(graph, [{ curveNumber: at.curve, ...where }], [(trace.xaxis ?? "x") + (trace.yaxis ?? "y")]);
    later ||= setTimeout(() => { later = 0; if (at) say(spoken, told(graph, at) || "nothing here"); }, DRAWN);
  }

  graph.addEventListener("keydown", (event) => {
    if (!globalThis.Plotly?.Fx || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && at) leave();
    else if (event.key in MOVES || event.key in PARTS || event.key in ENDS) {
      const all = shown();
      if (!all.length) return;
      if (!at || !all.includes(at.curve)) at = enter(all[0]);
      else if (event.key in MOVES) at = moved(MOVES[event.key], event.shiftKey ? 10 : 1);
      else if (event.key in PARTS) at = toPart(PARTS[event.key]);
      else at = { ...at, column: ENDS[event.key] ? length(graph._fullData[at.curve]) - 1 : 0 };
      show();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  const leave = () => { at = null; say(spoken, ""); globalThis.Plotly?.Fx?.unhover(graph); };
  graph.addEventListener("blur", () => at && leave(), { signal });
  return { again: show };
}

const HIDDEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap";

const isMap = (trace) => trace.type === "heatmap";
const length = (trace) => (isMap(trace) ? trace.z?.[0]?.length : trace.x?.length) ?? 0;

// By how much a row further down is another row of the data: 1, or -1 where the axis runs upwards.
function downwards(graph, trace) {
  const axis = graph._fullLayout[(trace.yaxis ?? "y").replace("y", "yaxis")];
  const [from, to] = axis?.range ?? [1, 0];
  return from > to ? 1 : -1;
}

// Where the middle of a heatmap's cell is on its axis; names count as their places.
function middle(places, at, size) {
  if (!places?.length || typeof places[0] === "string") return at;
  return places.length > size ? (places[at] + places[at + 1]) / 2 : places[at];
}

// "train loss 2.31 at 400"; a heatmap's cell by its own words.
function values(graph, { curve, row, column }) {
  const trace = graph._fullData[curve];
  if (isMap(trace)) return `${words(trace.text?.[row]?.[column] ?? "")}: ${Number(trace.z[row][column]).toFixed(3)}`;
  return `${trace.name} ${figures(Number(trace.y[column]))} at ${figures(Number(trace.x[column]), 6)}`;
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
