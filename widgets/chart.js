// The one Plotly figure of the dashboard, drawn from here: found in the page, coloured after its theme, never oftener
// than it can be drawn. Its values go by keyboard (cursor.js).
import { cursor } from "./cursor.js";

const LIGHT = { train: "#0072B2", held: "#D55E00", third: "#5B6770" };
const DARK = { train: "#56B4E9", held: "#E69F00", third: "#A9B4BE" };

export function palette(node) {
  const style = getComputedStyle(node);
  const ink = style.getPropertyValue("color");
  const [r, g, b] = (ink.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
  const dark = 0.299 * r + 0.587 * g + 0.114 * b > 140; // light ink stands on a dark page
  const faint = (share) => `rgba(${r},${g},${b},${share})`;
  return { ...(dark ? DARK : LIGHT), dark, ink, quiet: faint(0.62), grid: faint(0.1), line: faint(0.25), font: style.fontFamily };
}

export function axis(colours, more = {}) {
  return { gridcolor: colours.grid, linecolor: colours.line, tickcolor: colours.line, zeroline: false, tickfont: { color: colours.quiet },
    title: { font: { color: colours.quiet } }, automargin: false, ...more };
}

export function chart(root, signal) {
  let wanted = null, drawing = false, free = 0, timer = null, graph = null, drawn = null, keys = null;
  const find = () => {
    const box = root.closest(".nbllm-dashboard");
    const found = box?.querySelector(".js-plotly-plot");
    if (found && found !== graph) adopt(found);
    return graph?.isConnected ? graph : null;
  };
  const adopt = (found) => {
    if (found !== graph) keys = cursor(found, signal);
    graph = found;
    drawn = null;
    sizes.disconnect();
    sizes.observe(found);
  };
  const sizes = new ResizeObserver(() => { if (drawn && graph?.offsetWidth && Math.abs(graph.offsetWidth - drawn.width) > 1) again(); });

  // Plotly's view tells the kernel of every hover and zoom; nothing there listens, and a busy kernel would queue them.
  const hush = () => ["plotly_hover", "plotly_unhover", "plotly_click", "plotly_relayout", "plotly_restyle", "plotly_update", "plotly_selected"]
    .forEach((event) => graph.removeAllListeners?.(event));

  async function draw() {
    timer = null;
    if (!wanted || drawing || signal.aborted) return;
    if (!find() || !globalThis.Plotly || document.hidden) return;
    if (!graph.offsetWidth) return;
    drawing = true;
    const make = wanted;
    wanted = null;
    const started = performance.now();
    try {
      const width = graph.offsetWidth;
      const { data, layout, label } = make(width);
      graph.setAttribute("aria-label", `${label} Arrow keys tell single values.`);
      hush();
      await globalThis.Plotly.react(graph, data, { ...layout, autosize: true, width });
      hush();
      drawn = { make, width };
      keys.again();
    } finally {
      drawing = false;
      free = performance.now() + 3 * (performance.now() - started); // a slow page draws less often
    }
    if (wanted) plan();
  }
  const plan = () => { timer ??= setTimeout(() => requestAnimationFrame(draw), Math.max(0, free - performance.now())); };
  const show = (make, now = false) => {
    wanted = make;
    if (now) { free = 0; clearTimeout(timer); timer = null; }
    plan();
  };
  const again = () => { const make = wanted ?? drawn?.make; if (make) show(make); };

  // Plotly's view says so when it has drawn itself: then, and whenever the page or its theme changes, draw again.
  const options = { signal };
  document.addEventListener("plotlywidget-after-render", (event) => {
    if (root.closest(".nbllm-dashboard")?.contains(event.detail.element)) { adopt(event.detail.element); again(); }
  }, options);
  document.addEventListener("visibilitychange", again, options);
  const themes = new MutationObserver(() => [60, 700].forEach((wait) => setTimeout(again, wait)));
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-jp-theme-light", "data-vscode-theme-kind", "theme"] });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again, options);
  const waiting = setInterval(() => { if (wanted && find()) plan(); }, 300);
  signal.addEventListener("abort", () => { clearInterval(waiting); clearTimeout(timer); themes.disconnect(); sizes.disconnect(); });
  return { show };
}
