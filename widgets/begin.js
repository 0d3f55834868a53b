// What several widgets have in common: how one begins and ends, what it hears of the kernel, and the lines, tabs and
// buttons that look and answer alike.
import { el, freshId, keepKeys, say } from "./dom.js";

// The root with its classes, whose keys are its own. `listen` hears changes of traits, until the end.
export function begin({ model, el: root, signal: given }, name) {
  const controller = new AbortController();
  const { signal } = controller;
  given?.addEventListener("abort", () => controller.abort());
  root.classList.add("nbllm-panel", name);
  keepKeys(root, signal);
  const listen = (names, act) => {
    for (const each of [names].flat()) {
      model.on(`change:${each}`, act);
      signal.addEventListener("abort", () => model.off(`change:${each}`, act));
    }
  };
  return { signal, listen, end: () => controller.abort() };
}

// A line that says what is going on, and is read out.
export function statusLine() {
  return el("span", { class: "nbllm-quiet", role: "status", "aria-live": "polite" });
}

// What went wrong: hidden while nothing did.
export function faultLine() {
  const node = el("p", { class: "nbllm-notice", role: "alert", hidden: true });
  return { node, tell(text) { say(node, text); node.hidden = !text; } };
}

// A button; `spoken` says more than its text does.
export function button(text, spoken, act, more = "") {
  return el("button", { type: "button", class: `nbllm-button ${more}`, title: spoken, onclick: act }, text);
}

// Tabs by their keys; look(key) opens one. Arrows, Home and End open the tab that they lead to, or with `slow` only lead
// there: the kernel may take a moment to open it.
export function tabList(spoken, titles, look, slow = false) {
  const keys = Object.keys(titles);
  const buttons = keys.map((key) => el("button", { type: "button", role: "tab", id: freshId("tab"), onclick: () => look(key) }, titles[key]));
  const node = el("div", { class: "nbllm-tabs", role: "tablist", "aria-label": spoken }, ...buttons);
  node.addEventListener("keydown", (event) => {
    const here = Math.max(0, buttons.indexOf(event.target));
    const next = { ArrowRight: (here + 1) % keys.length, ArrowLeft: (here - 1 + keys.length) % keys.length, Home: 0, End: keys.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (!slow) look(keys[next]);
    buttons[next].focus();
  });
  return {
    node,
    of: (key) => buttons[keys.indexOf(key)],
    mark(now, panel) { // which one is open, and the panel that it shows once that is there
      buttons.forEach((button, i) => {
        const here = keys[i] === now;
        button.setAttribute("aria-selected", String(here));
        if (panel) button.setAttribute("aria-controls", panel.id);
        button.tabIndex = here ? 0 : -1;
        if (here) panel?.setAttribute("aria-labelledby", button.id);
      });
    },
  };
}

// A call that has `act` done in the next frame, once for all calls before it.
export function nextFrame(signal, act) {
  let asked = null;
  signal.addEventListener("abort", () => cancelAnimationFrame(asked));
  return () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => { if (!signal.aborted) act(); });
  };
}

// Calls act() whenever JupyterLab's theme changes.
export function onTheme(signal, act) {
  const theme = new MutationObserver(act);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  signal.addEventListener("abort", () => theme.disconnect());
}

// Copies the text of a node and says so; where there is no leave to write, it is marked, to be copied by the keyboard.
export async function copyText(node, done = "copied") {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return done;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand?.("copy") ? done : "marked: copy it by Ctrl+C";
  }
}
