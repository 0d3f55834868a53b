// The dashboard: header, tabs, and beneath them the Plotly figure that stands beside this widget in the same box.
import { header } from "./header.js";
import { lossTab } from "./loss.js";
import { attentionTab } from "./attention.js";
import { dataTab, logTab, networkTab, samplesTab } from "./sheets.js";
import { chart, palette } from "./chart.js";
import { el, freshId, keepKeys, say } from "./dom.js";

const TABS = { loss: "Loss", samples: "Samples", attention: "Attention", network: "Network", data: "Data", log: "Log" };
const SIGN = 20000; // ms between signs of life

function render({ model, el: root, signal: given }) {
  const controller = new AbortController();
  const signal = controller.signal;
  given?.addEventListener("abort", () => controller.abort());
  root.classList.add("nbllm-panel", "nbllm-live");
  keepKeys(root, signal);

  // What the person chose stands here at once and in the trait, which a reloaded page brings back.
  let chosen = { ...model.get("view") };
  const view = () => chosen;
  const changed = (news) => {
    chosen = { ...chosen, ...news };
    if (Object.keys(news).length) { model.set("view", chosen); model.save_changes(); }
    show(true);
  };

  const tabs = {
    loss: lossTab(model, view, changed), attention: attentionTab(model, view, changed),
    samples: samplesTab(model), network: networkTab(model), data: dataTab(model), log: logTab(model),
  };
  const figure = chart(root, signal);
  const controls = el("div", {});
  const sheet = el("div", { class: "nbllm-sheet", tabindex: "0" }); // it scrolls, also by the keyboard
  const asTable = el("button", { type: "button", class: "nbllm-link", onclick: () => changed({ table: !chosen.table }) });
  const body = el("div", { role: "tabpanel", id: freshId("body") }, controls, sheet);
  const buttons = Object.entries(TABS).map(([key, name]) =>
    el("button", { type: "button", role: "tab", id: freshId("tab"), "aria-controls": body.id, onclick: () => changed({ tab: key }) }, name));
  const keys = Object.keys(TABS);
  const list = el("div", { class: "nbllm-tabs", role: "tablist", "aria-label": "views of the run" }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const here = keys.indexOf(chosen.tab);
    const next = { ArrowRight: (here + 1) % keys.length, ArrowLeft: (here - 1 + keys.length) % keys.length, Home: 0, End: keys.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    changed({ tab: keys[next] });
    buttons[next].focus();
  });

  function show(now = false) {
    const tab = tabs[chosen.tab] ?? tabs.loss;
    buttons.forEach((button, i) => {
      const here = keys[i] === chosen.tab;
      button.setAttribute("aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
      if (keys[i] === "attention") say(button, model.get("probe").kind === "gates" ? "Gates" : TABS.attention);
      if (here) body.setAttribute("aria-labelledby", button.id);
    });
    const drawn = !!tab.figure && !chosen.table;
    if (controls.firstChild !== (tab.controls ?? null)) controls.replaceChildren(...(tab.controls ? [tab.controls] : []));
    asTable.hidden = !tab.figure;
    asTable.textContent = chosen.table ? "show as chart" : "show as table";
    sheet.hidden = drawn;
    root.closest(".nbllm-dashboard")?.classList.toggle("nbllm-no-figure", !drawn);
    if (drawn) return figure.show((width) => tab.figure(palette(root), width), now);
    const log = sheet.querySelector(".nbllm-log");
    const followed = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const top = sheet.scrollTop, focused = !!log && log === log.ownerDocument.activeElement;
    sheet.replaceChildren(tab.figure ? tab.asTable() : tab.render());
    sheet.scrollTop = top;
    if (focused) sheet.querySelector(".nbllm-log")?.focus({ preventScroll: true });
    if (tab.end && followed) sheet.firstChild.scrollTop = sheet.firstChild.scrollHeight;
  }

  // Many traits change together: one drawing for all of them.
  let waiting = false, last = 0;
  const news = (...names) => {
    if (waiting || !(tabs[chosen.tab] ?? tabs.loss).traits.some((name) => names.includes(name))) return;
    waiting = true;
    setTimeout(() => { waiting = false; last = Date.now(); if (!signal.aborted) show(); }, chosen.table ? Math.max(0, 1000 - (Date.now() - last)) : 0);
  };
  for (const trait of ["base", "tail", "held", "measures", "samples", "probe", "maps", "network", "data", "log"]) model.on(`change:${trait}`, () => news(trait));
  model.on("change:status", () => { if (tabs[chosen.tab]?.empty?.()) show(); });

  root.replaceChildren(header(model), el("div", { class: "nbllm-row" }, list, asTable), body);
  requestAnimationFrame(() => show(true));

  // A view whose kernel was restarted is marked by its manager; one whose kernel was shut down is not. Neither has anybody
  // to speak to, and the saved picture is shown in its place.
  let own = null; // the id of the kernel that this view speaks to
  const over = () => {
    const kernel = model.widget_manager?.kernel;
    own ??= kernel?.id ?? null;
    return own !== null && (!kernel || kernel.id !== own || kernel.isDisposed || kernel.status === "dead");
  };
  const gone = () => !root.isConnected || root.closest(".jupyter-widgets-disconnected") !== null || over();
  const mark = setInterval(() => root.closest(".nbllm-dashboard")?.classList.toggle("nbllm-over", over()), 1000);
  const here = () => { if (!gone() && !document.hidden) model.send({ kind: "sign" }); };
  if (!document.hidden) model.send({ kind: "sign" }); // the first, before the view is in the page
  const beat = setInterval(here, SIGN);
  document.addEventListener("visibilitychange", here, { signal });
  return () => { // anywidget takes the listeners off the model
    controller.abort();
    clearInterval(beat);
    clearInterval(mark);
  };
}

export default { render };
