// The playground: a task, a model or two, and a text; what they answer, what moved it, and how well they do on a file.
// All of it stands in traits; the kernel asks the models in a thread of its own.
import { palette } from "./chart.js";
import { clock, count, el, freshId, keepKeys, say } from "./dom.js";
import { evaluationSheet, resultSheet } from "./playground-sheets.js";

const TABS = { answer: "Answer", influence: "Influence", evaluate: "Evaluate" };
const TYPED = "\u0000typed"; // a choice that no run is called
const PAUSE = 250; // ms after the last key until the kernel is told

function render({ model, el: root, signal: given }) {
  const controller = new AbortController();
  const signal = controller.signal;
  given?.addEventListener("abort", () => controller.abort());
  root.classList.add("nbllm-panel", "nbllm-playground");
  keepKeys(root, signal);

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
  const button = (text, spoken, act) => el("button", { type: "button", class: "nbllm-button", title: spoken, onclick: act }, text);
  const run = button("Run", "ask the model (Ctrl+Enter in the text)", () => ask("run"));
  run.classList.add("nbllm-play-first");
  const stop = button("Stop", "stop; what is scored so far is kept", () => model.send({ kind: "stop" }));
  const status = el("span", { class: "nbllm-quiet", role: "status", "aria-live": "polite" });
  const fault = el("p", { class: "nbllm-notice", role: "alert", hidden: true });
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
  const buttons = Object.entries(TABS).map(([key, name]) => el("button", { type: "button", role: "tab", id: freshId("tab"), "aria-controls": body.id, onclick: () => look(key) }, name));
  const keys = Object.keys(TABS);
  const tabs = el("div", { class: "nbllm-tabs", role: "tablist", "aria-label": "views of the answer" }, ...buttons);
  tabs.addEventListener("keydown", (event) => {
    const here = keys.indexOf(view.tab);
    const next = { ArrowRight: (here + 1) % keys.length, ArrowLeft: (here - 1 + keys.length) % keys.length, Home: 0, End: keys.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    look(keys[next]);
    buttons[next].focus();
  });
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
    const text = code.textContent;
    try {
      await navigator.clipboard.writeText(text);
      say(copied, "copied");
    } catch { // no leave to write: it is marked, to be copied by the keyboard
      getSelection().selectAllChildren(code);
      say(copied, document.execCommand?.("copy") ? "copied" : "marked: copy it by Ctrl+C");
    }
    copied.hidden = false;
    setTimeout(() => { copied.hidden = true; }, 2500);
  });
  copy.classList.add("nbllm-small");

  function show() {
    buttons.forEach((each, i) => {
      const here = keys[i] === view.tab;
      each.setAttribute("aria-selected", String(here));
      each.tabIndex = here ? 0 : -1;
      if (here) body.setAttribute("aria-labelledby", each.id);
    });
    const dark = palette(root).dark;
    if (view.tab === "evaluate") {
      const sheet = evaluationSheet(model.get("evaluation"));
      if (file.parentNode === body) [...body.children].slice(2).forEach((child) => child.remove());
      else body.replaceChildren(file, meter);
      body.append(sheet);
    } else body.replaceChildren(resultSheet(model.get("results"), view.tab, dark, model.get("busy")));
  }
  function told() {
    const busy = model.get("busy"), { done = 0, of = 0, left = 0 } = model.get("progress");
    say(status, busy ? `${busy} …` : "");
    stop.disabled = !busy;
    meter.hidden = !of;
    fillBar.style.width = `${of ? (100 * done) / of : 0}%`;
    bar.setAttribute("aria-valuenow", of ? Math.round((100 * done) / of) : 0);
    say(rate, of ? `${count(done)} of ${count(of)} rows, ${clock(left)} left` : "");
    say(fault, model.get("fault"));
    fault.hidden = !model.get("fault");
  }

  // From the kernel.
  let drawn = null;
  const draw = () => { cancelAnimationFrame(drawn); drawn = requestAnimationFrame(() => { if (!signal.aborted) show(); }); };
  const listen = (name, act) => { model.on(`change:${name}`, act); signal.addEventListener("abort", () => model.off(`change:${name}`, act)); };
  listen("task", turned);
  for (const name of ["models", "model", "other"]) listen(name, () => { first.draw(); second.draw(); });
  listen("texts", fill);
  for (const name of ["results", "evaluation", "busy"]) listen(name, draw);
  for (const name of ["busy", "fault", "progress"]) listen(name, told);
  listen("cell", () => say(code, model.get("cell")));
  listen("path", () => { if (document.activeElement !== path) path.value = model.get("path"); });
  listen("view", () => { if (model.get("view").tab !== view.tab) { view = { ...model.get("view") }; show(); } });
  const theme = new MutationObserver(draw);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });

  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, "Playground"), summary),
    el("div", { class: "nbllm-controls" }, pick("task", tasks), first.node, second.node, pick("example", examples)),
    box, el("div", { class: "nbllm-controls" }, run, stop, status), fault,
    el("div", { class: "nbllm-row" }, tabs), body,
    el("div", { class: "nbllm-play-same" }, el("span", { class: "nbllm-quiet" }, "The same as a cell"), code, copied, copy),
  );
  turned();
  say(code, model.get("cell"));
  path.value = model.get("path");
  told();
  show();
  return () => { controller.abort(); theme.disconnect(); clearTimeout(later); cancelAnimationFrame(drawn); };
}

export default { render };
