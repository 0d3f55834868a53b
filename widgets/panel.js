// The dashboard: header, tabs, and beneath them the Plotly figure that stands beside this widget in the same box.
import { begin, tabList } from "./begin.js";
import { header } from "./header.js";
import { lossTab } from "./loss.js";
import { attentionTab } from "./attention.js";
import { dataTab, logTab, networkTab, samplesTab } from "./sheets.js";
import { chart, palette } from "./chart.js";
import { el, freshId, say } from "./dom.js";

const TABS = { loss: "Loss", samples: "Samples", attention: "Attention", network: "Network", data: "Data", log: "Log" };
const SIGN = 20000; // ms between signs of life

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-live");

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
  const list = tabList("views of the run", TABS, (key) => changed({ tab: key }));

  function show(now = false) {
    const tab = tabs[chosen.tab] ?? tabs.loss;
    list.mark(chosen.tab, body);
    say(list.of("attention"), model.get("probe").kind === "gates" ? "Gates" : TABS.attention);
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
  for (const trait of ["base", "tail", "held", "measures", "samples", "probe", "maps", "network", "data", "log"]) listen(trait, () => news(trait));
  listen("status", () => { if (tabs[chosen.tab]?.empty?.()) show(); });

  root.replaceChildren(header(model), el("div", { class: "nbllm-row" }, list.node, asTable), body);
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
  return () => {
    end();
    clearInterval(beat);
    clearInterval(mark);
  };
}

export default { render };
