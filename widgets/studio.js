// The studio's bar: the tabs, and the run that they are of. The panels stand below it in the same box.
import { begin, faultLine, statusLine, tabList } from "./begin.js";
import { el, freshId, say } from "./dom.js";

function render(context) {
  const { model, el: root } = context;
  const { listen, end } = begin(context, "nbllm-studio-bar");

  const tell = (name, value) => { model.set(name, value); model.save_changes(); };
  const look = (key) => {
    if (key === model.get("tab")) return;
    say(status, "asked the kernel …");
    tell("tab", key);
    show();
  };
  const tabs = tabList("parts of the studio", Object.fromEntries(model.get("tabs")), look, true);
  const runs = el("select", { "aria-label": "run" });
  runs.addEventListener("focus", () => model.send({ kind: "runs" }));
  runs.addEventListener("change", () => { say(status, "asked the kernel …"); tell("run", runs.value); });
  const none = el("span", { class: "nbllm-quiet" }, "none yet");
  const status = statusLine();
  const fault = faultLine();

  function show() {
    const stage = root.closest(".nbllm-studio")?.querySelector(".nbllm-studio-stage") ?? null;
    if (stage) {
      stage.id ||= freshId("stage");
      stage.setAttribute("role", "tabpanel");
    }
    tabs.mark(model.get("tab"), stage);
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
    fault.tell(model.get("fault"));
  }
  listen("tab", show);
  listen(["runs", "run"], drawRuns);
  listen(["busy", "fault"], told);

  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, "Studio"), status, el("label", { class: "nbllm-control nbllm-where" }, "run", runs, none)),
    el("div", { class: "nbllm-row" }, tabs.node), fault.node,
  );
  drawRuns();
  told();
  show();
  requestAnimationFrame(show); // the panels are put beside it a moment later
  return end;
}

export default { render };
