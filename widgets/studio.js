// The studio's bar: the tabs, and the run that they are of. The panels stand below it in the same box.
import { el, freshId, keepKeys, say } from "./dom.js";

function render({ model, el: root, signal: given }) {
  const controller = new AbortController();
  const signal = controller.signal;
  given?.addEventListener("abort", () => controller.abort());
  root.classList.add("nbllm-panel", "nbllm-studio-bar");
  keepKeys(root, signal);

  const tell = (name, value) => { model.set(name, value); model.save_changes(); };
  const keys = model.get("tabs").map(([key]) => key);
  const look = (key) => {
    if (key === model.get("tab")) return;
    say(status, "asked the kernel …");
    tell("tab", key);
    show();
  };
  const buttons = model.get("tabs").map(([key, title]) => el("button", { type: "button", role: "tab", id: freshId("tab"), onclick: () => look(key) }, title));
  const tabs = el("div", { class: "nbllm-tabs", role: "tablist", "aria-label": "parts of the studio" }, ...buttons);
  tabs.addEventListener("keydown", (event) => {
    const here = Math.max(0, buttons.indexOf(document.activeElement));
    const next = { ArrowRight: (here + 1) % keys.length, ArrowLeft: (here - 1 + keys.length) % keys.length, Home: 0, End: keys.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    buttons[next].focus(); // a tab is opened by Enter or space: it may take the kernel a moment
  });
  const runs = el("select", { "aria-label": "run" });
  runs.addEventListener("focus", () => model.send({ kind: "runs" }));
  runs.addEventListener("change", () => { say(status, "asked the kernel …"); tell("run", runs.value); });
  const none = el("span", { class: "nbllm-quiet" }, "none yet");
  const status = el("span", { class: "nbllm-quiet", role: "status", "aria-live": "polite" });
  const fault = el("p", { class: "nbllm-notice", role: "alert", hidden: true });

  function show() {
    const now = model.get("tab");
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(keys[i] === now));
      button.tabIndex = keys[i] === now ? 0 : -1;
    });
    const stage = root.closest(".nbllm-studio")?.querySelector(".nbllm-studio-stage");
    if (!stage) return;
    stage.id ||= freshId("stage");
    stage.setAttribute("role", "tabpanel");
    stage.setAttribute("aria-labelledby", buttons[keys.indexOf(now)]?.id ?? "");
    for (const button of buttons) button.setAttribute("aria-controls", stage.id);
  }
  function drawRuns() {
    const known = model.get("runs");
    runs.replaceChildren(...known.map(([name, text]) => el("option", { value: name }, text)));
    runs.value = model.get("run");
    runs.hidden = !known.length;
    none.hidden = !!known.length;
  }
  function told() {
    say(status, model.get("busy"));
    say(fault, model.get("fault"));
    fault.hidden = !model.get("fault");
  }
  const listen = (names, act) => { for (const name of names) { model.on(`change:${name}`, act); signal.addEventListener("abort", () => model.off(`change:${name}`, act)); } };
  listen(["tab"], show);
  listen(["runs", "run"], drawRuns);
  listen(["busy", "fault"], told);

  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, "Studio"), status, el("label", { class: "nbllm-control nbllm-where" }, "run", runs, none)),
    el("div", { class: "nbllm-row" }, tabs), fault,
  );
  drawRuns();
  told();
  show();
  requestAnimationFrame(show); // the panels are put beside it a moment later
  return () => controller.abort();
}

export default { render };
