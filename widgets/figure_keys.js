// Arrow keys over the Plotly figure that stands above this script in the same output of a notebook.
import { cursor } from "./cursor.js";

const script = document.currentScript;
const output = script.closest(".jp-OutputArea, .output, .cell-output") ?? script.parentNode;
const until = Date.now() + 30000; // Plotly's own 5 MB come first
// The pressed one of a figure's buttons is nearly white by Plotly, in every theme, and cannot be set in the figure.
const STYLE = `.jp-RenderedPlotly .updatemenu-item-text { fill: var(--jp-ui-font-color1) !important; }
.jp-RenderedPlotly .updatemenu-item-rect[style*="244, 250, 255"] { fill: var(--jp-layout-color3) !important; }
body[data-jp-theme-light="false"] .nbllm-on-white { filter: invert(0.93) hue-rotate(180deg); }`;

// What Plotly's label says, a line after the other.
function label(graph) {
  const texts = [...graph.querySelectorAll(".hoverlayer .hovertext text, .hoverlayer .legendtext")];
  const lines = texts.flatMap((text) => {
    const parts = [...text.querySelectorAll("tspan.line")];
    return parts.length ? parts.map((part) => part.textContent) : [text.textContent];
  });
  return lines.map((line) => line.trim()).filter(Boolean).join(", ");
}

function attach() {
  const above = [...output.querySelectorAll(".js-plotly-plot")].filter(
    (graph) => graph._fullLayout && script.compareDocumentPosition(graph) & Node.DOCUMENT_POSITION_PRECEDING);
  const graph = above.at(-1);
  if (!graph) {
    if (Date.now() < until) setTimeout(attach, 200);
    return;
  }
  if (graph.getAttribute("role")) return; // has its keys
  // Plotly reads its height off the page when it draws anew: while a theme is changed that is none, and it would stay so.
  graph.style.minHeight = `${graph._fullLayout.height}px`;
  graph.setAttribute("aria-label", `${script.dataset.of}. Arrow keys go from value to value, Page keys from part to part`);
  // A figure on white is made dark in a dark theme: light and dark change places, and colours stay what they are.
  if (/^(#fff(fff)?|white|rgb\(255, 255, 255\))$/.test(graph._fullLayout.paper_bgcolor)) graph.classList.add("nbllm-on-white");
  cursor(graph, undefined, label);
}

if (!document.getElementById("nbllm-figures")) {
  document.head.append(Object.assign(document.createElement("style"), { id: "nbllm-figures", textContent: STYLE }));
}
attach();
