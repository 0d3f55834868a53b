// The playground: a task, a model or two, and a text; what they answer, what moved it, and how well they do on a file.
// All of it stands in traits; the kernel asks the models in a thread of its own.
import { begin, button, copyText, faultLine, nextFrame, onTheme, statusLine, tabList } from "./begin.js";
import { palette } from "./chart.js";
import { clock, count, el, freshId, say } from "./dom.js";
import { evaluationSheet, resultSheet } from "./playground-sheets.js";

const TABS = { answer: "Answer", influence: "Influence", evaluate: "Evaluate" };
const TYPED = "\u0000typed"; // a choice that no run is called
const PAUSE = 250; // ms after the last key until the kernel is told

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-playground");

  let view = { ...model.get("view") }, later = null, fields = [];
  const tell = (news) => { for (const [name, value] of Object.entries(news)) model.set(name, value); model.save_changes(); };
  const task = () => model.get("tasks").find((each) => each.name === model.get("task")) ?? { name: "", summary: "", inputs: [], examples: [] };
  const typed = () => Object.fromEntries(fields.map(({ column, input }) => [column, input.value]));

  // A model: a run of the task, or what is typed.
  function picker(trait, label, first) {
    const select = el("select", { "aria-label": label });
    const own = el("input", { type: "text", "aria-label": `${label}: a name`, placeholder: "hf:NAME, a run or a folder", spellcheck: "false", hidden: true });
    const value = () => (select.value === TYPED ? own.value.trim() : select.value);
    select.addEventListener("change", () => { own.hidden = select.value !== TYPED; if (own.hidden) tell({ [trait]: select.value }); else own.focus(); });
    own.addEventListener("change", () => tell({ [trait]: value() }));
    own.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); ask("run"); } });
    select.addEventListener("focus", () => model.send({ kind: "runs" }));
    const draw = () => {
      const runs = model.get("models"), now = model.get(trait), known = runs.some(([name]) => name === now);
      const open = select.value === TYPED && document.activeElement === own;
      const options = [["", first(runs)], ...runs, [TYPED, "another, by its name …"]];
      if (JSON.stringify(options) !== select.dataset.options) {
        select.replaceChildren(...options.map(([name, said]) => el("option", { value: name }, said)));
        select.dataset.options = JSON.stringify(options);
      }
      if (open) return;
      select.value = now === "" || known ? now : TYPED;
      own.hidden = select.value !== TYPED;
      if (!own.hidden) own.value = now;
    };
    return { node: el("label", { class: "nbllm-control" }, label, select, own), value, draw };
  }

  const ask = (kind) => {
    clearTimeout(later);
    if (kind === "run" && view.tab === "evaluate") look("answer");
    say(status, "asked the kernel …");
    model.send({ kind, texts: typed(), model: first.value(), other: second.value(), path: path.value });
  };
  const look = (tab) => {
    view = { ...view, tab };
    tell({ view });
    show();
    if (tab === "influence" && model.get("results").some((result) => !result.fault && !result.influence)) { say(status, "asked the kernel …"); model.send({ kind: "explain" }); }
  };

  // What is asked.
  const tasks = el("select", { "aria-label": "task" });
  tasks.addEventListener("change", () => { clearTimeout(later); tell({ task: tasks.value }); });
  const first = picker("model", "model", (runs) => (runs.length ? `the newest: ${runs[0][0]}` : "no trained run yet"));
  const second = picker("other", "compare with", () => "nothing");
  const examples = el("select", { "aria-label": "example" });
  examples.addEventListener("change", () => {
    const example = task().examples[Number(examples.value)];
    if (!example) return;
    fields.forEach(({ input }, i) => { input.value = example[i] ?? ""; });
    examples.value = "";
    tell({ texts: typed() });
  });
  const summary = el("span", { class: "nbllm-quiet" });
  const box = el("div", { class: "nbllm-play-fields" });
  const run = button("Run", "ask the model (Ctrl+Enter in the text)", () => ask("run"), "nbllm-first");
  const stop = button("Stop", "stop; what is scored so far is kept", () => model.send({ kind: "stop" }));
  const status = statusLine();
  const fault = faultLine();
  const pick = (label, select) => el("label", { class: "nbllm-control" }, label, select);

  function write() {
    const { inputs } = task();
    box.replaceChildren();
    fields = inputs.map((column) => {
      const input = el("textarea", { rows: 2, dir: "auto", spellcheck: "false", "aria-label": column });
      input.addEventListener("input", () => { clearTimeout(later); later = setTimeout(() => tell({ texts: typed() }), PAUSE); });
      input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
        event.preventDefault();
        event.stopPropagation();
        ask("run");
      });
      box.append(el("label", { class: "nbllm-play-field" }, column, input));
      return { column, input };
    });
    fill();
  }
  const fill = () => fields.forEach(({ column, input }) => { const text = model.get("texts")[column] ?? ""; if (input.value !== text && document.activeElement !== input) input.value = text; });

  function turned() {
    const now = task();
    if (tasks.children.length !== model.get("tasks").length) tasks.replaceChildren(...model.get("tasks").map((each) => el("option", { value: each.name }, each.name)));
    tasks.value = now.name;
    say(summary, now.summary);
    examples.replaceChildren(el("option", { value: "" }, "choose one …"), ...now.examples.map((example, i) => {
      const said = example.join(" | ");
      return el("option", { value: i }, said.length > 70 ? `${said.slice(0, 69)}…` : said);
    }));
    first.draw();
    second.draw();
    write();
  }

  // What is seen.
  const body = el("div", { class: "nbllm-play-panel", role: "tabpanel", id: freshId("play"), tabindex: "0" });
  const tabs = tabList("views of the answer", TABS, look);
  const path = el("input", { type: "text", spellcheck: "false", placeholder: "empty: the rows that the model did not learn from" });
  path.addEventListener("input", () => { clearTimeout(later); later = setTimeout(() => tell({ path: path.value }), PAUSE); });
  path.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); ask("evaluate"); } });
  const file = el("div", { class: "nbllm-play-file" }, el("label", { class: "nbllm-play-field" }, "file of rows with their answers", path), button("Evaluate", "score the model on at most 1,000 rows", () => ask("evaluate")));
  const fillBar = el("div", { class: "nbllm-bar-fill" });
  const bar = el("div", { class: "nbllm-bar", role: "progressbar", "aria-label": "rows that are scored", "aria-valuemin": 0, "aria-valuemax": 100 }, fillBar);
  const rate = el("span", { class: "nbllm-number nbllm-quiet" });
  const meter = el("div", { class: "nbllm-play-meter", hidden: true }, bar, rate);
  const code = el("pre", { class: "nbllm-play-code", tabindex: "0", "aria-label": "the cell that does the same" });
  const copied = el("span", { class: "nbllm-quiet", role: "status", "aria-live": "polite", hidden: true });
  const copy = button("Copy", "copy the cell that does the same", async () => {
    say(copied, await copyText(code));
    copied.hidden = false;
    setTimeout(() => { copied.hidden = true; }, 2500);
  }, "nbllm-small");

  function show() {
    tabs.mark(view.tab, body);
    const dark = palette(root).dark;
    if (view.tab === "evaluate") {
      const sheet = evaluationSheet(model.get("evaluation"));
      if (file.parentNode === body) [...body.children].slice(2).forEach((child) => child.remove());
      else body.replaceChildren(file, meter);
      body.append(sheet);
    } else body.replaceChildren(resultSheet(model.get("results"), view.tab, dark, model.get("busy"), model.get("models").length ? "" : task().name));
  }
  function told() {
    const busy = model.get("busy"), { done = 0, of = 0, left = 0 } = model.get("progress");
    say(status, busy ? `${busy} …` : "");
    stop.disabled = !busy;
    meter.hidden = !of;
    fillBar.style.width = `${of ? (100 * done) / of : 0}%`;
    bar.setAttribute("aria-valuenow", of ? Math.round((100 * done) / of) : 0);
    say(rate, of ? `${count(done)} of ${count(of)} rows, ${clock(left)} left` : "");
    fault.tell(model.get("fault"));
  }

  // From the kernel.
  const draw = nextFrame(signal, show);
  listen("task", turned);
  listen(["models", "model", "other"], () => { first.draw(); second.draw(); });
  listen("texts", fill);
  listen(["results", "evaluation", "busy", "models"], draw);
  listen(["busy", "fault", "progress"], told);
  listen("cell", () => say(code, model.get("cell")));
  listen("path", () => { if (document.activeElement !== path) path.value = model.get("path"); });
  listen("view", () => { if (model.get("view").tab !== view.tab) { view = { ...model.get("view") }; show(); } });
  onTheme(signal, draw);

  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, "Playground"), summary),
    el("div", { class: "nbllm-controls" }, pick("task", tasks), first.node, second.node, pick("example", examples)),
    box, el("div", { class: "nbllm-controls" }, run, stop, status), fault.node,
    el("div", { class: "nbllm-row" }, tabs.node), body,
    el("div", { class: "nbllm-play-same" }, el("span", { class: "nbllm-quiet" }, "The same as a cell"), code, copied, copy),
  );
  turned();
  say(code, model.get("cell"));
  path.value = model.get("path");
  told();
  show();
  return () => { end(); clearTimeout(later); };
}

export default { render };
