// The form that writes the cell: settings in groups, what they will take, a drawing of the network, and the cell itself.
// What is said stands in traits; the kernel checks it, fills in the rest and answers with the drawing and the estimates.
import { begin, button, copyText, faultLine, nextFrame, statusLine } from "./begin.js";
import { el, freshId, say } from "./dom.js";
import { formField } from "./form-field.js";

const BUDGETS = { "train.steps": "steps", "train.minutes": "minutes", "train.epochs": "passes over the text", "train.tokens": "tokens" };
const WAIT = 700; // ms without an answer until the page says that the kernel is busy

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-form");

  let values = { ...model.get("values") }, waiting = null;
  const answered = () => { clearTimeout(waiting); if (busy.textContent) say(busy, ""); };
  const wait = () => { clearTimeout(waiting); waiting = setTimeout(() => say(busy, "the kernel is busy; it answers when it is free"), WAIT); };
  const tell = (trait, value) => { model.set(trait, value); model.save_changes(); wait(); };
  const send = (content) => { model.send(content); wait(); };
  const change = (path, value) => {
    const next = { ...values };
    if (value === undefined || value === "" && !(path in BUDGETS) && fields.get(path)?.spec.optional) delete next[path]; else next[path] = value;
    if (JSON.stringify(next) === JSON.stringify(values)) return;
    values = next;
    tell("values", values);
    drawFields();
  };

  // Fields.
  const fields = new Map();
  const make = (spec) => { const field = formField(spec, change); fields.set(spec.path, field); return field; };
  const groups = model.get("schema").map(({ title, fields: specs }) => ({ title, specs }));
  const specs = Object.fromEntries(groups.flatMap(({ specs: inside }) => inside.map((spec) => [spec.path, spec])));
  const first = groups.find(({ title }) => title === "First").specs.map(make);
  const budget = budgetField(specs, () => values, () => model.get("shown"), (next) => { values = next; tell("values", values); drawFields(); });
  const folds = groups.filter(({ title }) => title !== "First" && title !== "Budget").map(({ title, specs: inside }) => {
    const rows = inside.map(make);
    const count = el("span", { class: "nbllm-quiet" });
    const node = el("details", { class: "nbllm-form-fold" }, el("summary", {}, el("span", {}, title), " ", count), el("div", { class: "nbllm-form-grid" }, ...rows.map((row) => row.node)));
    node.addEventListener("toggle", () => {
      if (looked()) return;
      const open = folds.filter((fold) => fold.node.open).map((fold) => fold.title);
      if (JSON.stringify(open) !== JSON.stringify(model.get("view").open)) { model.set("view", { ...model.get("view"), open }); model.save_changes(); }
    });
    return { title, node, rows, count };
  });
  const search = el("input", { type: "search", placeholder: "find a setting", "aria-label": "find a setting", spellcheck: "false" });
  const looked = () => search.value.trim();
  search.addEventListener("input", () => drawFields());

  // The name, and what the run does with one that is there.
  const name = el("input", { type: "text", id: freshId("name"), spellcheck: "false", placeholder: "found by itself" });
  name.addEventListener("change", () => tell("name", name.value.trim()));
  const nameRow = el("div", { class: "nbllm-form-row" }, el("label", { for: name.id }, "name of the run"), el("span", { class: "nbllm-form-control" }, name), el("span", { class: "nbllm-form-help" }, "what the run is called from now on"));
  const replace = el("input", { type: "checkbox" });
  replace.addEventListener("change", () => { const flags = { ...model.get("flags") }; if (replace.checked) flags.replace = true; else delete flags.replace; tell("flags", flags); });

  // What it makes.
  const estimates = el("ul", { class: "nbllm-form-estimates", "aria-label": "what the training will take" });
  const drawing = el("div", { class: "nbllm-form-drawing" });
  const code = el("pre", { class: "nbllm-form-code", tabindex: "0", "aria-label": "the cell that trains it" });
  const fault = faultLine();
  const said = statusLine();
  const busy = statusLine();
  const settle = () => { // what is still being typed
    const input = root.contains(document.activeElement) ? document.activeElement : null;
    if (input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement) input.dispatchEvent(new Event("change"));
    if (name.value.trim() !== model.get("name")) tell("name", name.value.trim());
  };
  const train = button("Train", "train it now, as the cell would", () => { settle(); say(said, "asked the kernel …"); send({ kind: "train" }); }, "nbllm-first");
  const copy = button("Copy", "copy the cell", async () => say(said, await copyText(code, "the cell is copied")), "nbllm-small");
  const insert = button("Put it below", "insert the cell below this one", () => putBelow(root, code.textContent).then((done) => say(said, done ? "the cell stands below" : "this page does not allow it: copy it")), "nbllm-small");
  insert.hidden = !globalThis.jupyterapp?.commands?.hasCommand?.("notebook:insert-cell-below");

  // Loading a cell, and presets.
  const text = el("textarea", { rows: 4, id: freshId("paste"), spellcheck: "false", placeholder: "%%llm_train words --model lstm\nmodel: {layers: 2}" });
  const load = el("details", { class: "nbllm-form-fold" }, el("summary", {}, "Load a cell"), el("label", { class: "nbllm-form-help", for: text.id }, "a %%llm_train cell, or settings in YAML, as a run's config.yaml"), text,
    el("div", { class: "nbllm-controls" }, button("Load", "put what it says into the form", () => send({ kind: "load", text: text.value }))));
  const presetName = el("input", { type: "text", spellcheck: "false", "aria-label": "name of the preset", placeholder: "my-preset" });
  const saving = button("Keep", "keep these settings as a preset", () => send({ kind: "save", name: presetName.value, replace: saving.dataset.replace === "true" }));
  const owned = el("ul", { class: "nbllm-form-presets" });
  const drawSaving = () => {
    const there = model.get("presets").some(([each, own]) => own && each === presetName.value.trim());
    saving.dataset.replace = String(there);
    say(saving, there ? "Replace it" : "Keep");
  };
  presetName.addEventListener("input", drawSaving);
  const presets = el("details", { class: "nbllm-form-fold" }, el("summary", {}, "Your presets"), owned,
    el("div", { class: "nbllm-controls" }, el("label", { class: "nbllm-control" }, "keep these settings as", presetName), saving));

  // From the kernel.
  function drawFields() {
    const shown = model.get("shown"), { path: where, text: wrong } = model.get("fault"), matter = new Set(model.get("matter"));
    const words = looked().toLowerCase().split(/\s+/).filter(Boolean);
    for (const field of fields.values()) field.draw(shown, values, field.spec.path === where ? wrong : "");
    budget.draw();
    const open = new Set(model.get("view").open);
    for (const { title, node, rows, count } of folds) {
      let seen = 0;
      for (const row of rows) {
        const own = row.spec.path in values;
        row.node.hidden = words.length ? !row.fits(words) : !(matter.has(row.spec.path) || own);
        if (!row.node.hidden) seen += 1;
      }
      const own = rows.filter((row) => row.spec.path in values).length;
      say(count, own ? `${own} set` : "");
      node.hidden = !seen;
      node.open = words.length ? seen > 0 : open.has(title);
    }
    for (const path of ["model.kind", "objective.kind", "size"]) fields.get(path)?.node.classList.toggle("nbllm-form-own", path in values);
  }
  function drawPresets() {
    const known = model.get("presets"), own = known.filter(([, mine]) => mine).map(([each]) => each);
    const field = fields.get("preset");
    field.choices?.(known.map(([each]) => each));
    field.draw(model.get("shown"), values, "");
    owned.replaceChildren(...own.map((each) => el("li", {}, el("span", {}, each),
      button("Use", `begin with preset ${each}`, () => send({ kind: "preset", name: each }), "nbllm-small"),
      button("Delete", `take preset ${each} away`, () => send({ kind: "delete", name: each }), "nbllm-small"))));
    if (!own.length) owned.append(el("li", { class: "nbllm-quiet" }, "none yet: keep these settings under a name, and --preset NAME takes them"));
    drawSaving();
  }
  function drawMade() {
    estimates.replaceChildren(...model.get("estimates").map(({ name: what, value, note, warn }) => el("li", { class: warn ? "nbllm-form-warn" : false },
      el("span", { class: "nbllm-quiet" }, what), " ", el("strong", { class: "nbllm-number" }, value), note ? el("span", { class: "nbllm-form-help" }, ` ${note}`) : null)));
    const parsed = new DOMParser().parseFromString(model.get("network") || "<svg/>", "image/svg+xml").documentElement;
    drawing.replaceChildren(...(parsed.localName === "svg" ? [document.importNode(parsed, true)] : []));
    root.classList.toggle("nbllm-form-wide", Number(parsed.getAttribute("width")) > 400); // two columns side by side
  }
  function told() {
    const { text: wrong = "" } = model.get("fault");
    fault.tell(wrong);
    root.classList.toggle("nbllm-form-faulty", !!wrong);
  }
  const soon = nextFrame(signal, drawFields);
  listen("values", () => { values = { ...model.get("values") }; soon(); });
  listen(["shown", "matter", "fault"], soon);
  listen(["estimates", "network"], drawMade);
  listen("presets", drawPresets);
  listen("cell", () => say(code, model.get("cell")));
  listen("fault", told);
  listen("said", () => say(said, model.get("said").text ?? ""));
  listen("name", () => { if (document.activeElement !== name) name.value = model.get("name"); });
  listen("flags", () => { replace.checked = !!model.get("flags").replace; });
  listen(["cell", "fault", "said", "shown", "presets"], answered);

  const made = el("div", { class: "nbllm-form-made" }, el("h3", {}, "What it will take"), estimates, el("h3", {}, "The network"), drawing);
  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, "Configure a run"), el("span", { class: "nbllm-quiet" }, "every field may be left to itself")),
    el("div", { class: "nbllm-form-sides" },
      el("div", { class: "nbllm-form-said" },
        el("div", { class: "nbllm-form-grid" }, nameRow, ...first.map((field) => field.node), budget.node),
        el("div", { class: "nbllm-form-same" }, el("div", { class: "nbllm-form-head" }, el("span", { class: "nbllm-quiet" }, "The cell that trains it"), copy, insert), code),
        fault.node,
        el("div", { class: "nbllm-controls" }, train, el("label", { class: "nbllm-control" }, replace, "replace a run of this name"), said, busy),
        el("div", { class: "nbllm-form-head nbllm-form-all" }, el("h3", {}, "All settings"), search),
        el("div", { class: "nbllm-form-folds" }, ...folds.map((fold) => fold.node), load, presets)),
      made),
  );
  name.value = model.get("name");
  replace.checked = !!model.get("flags").replace;
  say(code, model.get("cell"));
  drawPresets();
  drawFields();
  drawMade();
  told();
  return () => { end(); clearTimeout(waiting); };
}

// The budget: one number, of steps, minutes, passes or tokens.
function budgetField(specs, values, shown, change) {
  const amount = el("input", { type: "number", min: 0, step: "any", id: freshId("budget") });
  const unit = el("select", { "aria-label": "unit of the budget" }, ...Object.entries(BUDGETS).map(([path, text]) => el("option", { value: path }, text)));
  const help = el("span", { class: "nbllm-form-help", id: freshId("help") });
  amount.setAttribute("aria-describedby", help.id);
  const others = () => Object.fromEntries(Object.entries(values()).filter(([path]) => !(path in BUDGETS)));
  const back = el("button", { type: "button", class: "nbllm-form-back", title: "leave it to itself", "aria-label": "leave the budget to itself", onclick: () => { change(others()); amount.focus(); } }, "×");
  let later = null;
  const tell = () => { clearTimeout(later); later = null; const text = amount.value.trim(); if (text) change({ ...others(), [unit.value]: Number(text) }); };
  amount.addEventListener("input", () => { clearTimeout(later); later = setTimeout(tell, 350); });
  amount.addEventListener("change", tell);
  unit.addEventListener("change", () => { amount.value = { "train.steps": 500, "train.minutes": 3, "train.epochs": 1, "train.tokens": 1000000 }[unit.value]; tell(); });
  const node = el("div", { class: "nbllm-form-row" }, el("label", { for: amount.id }, "budget"), el("span", { class: "nbllm-form-control nbllm-form-two" }, amount, unit, back), help);
  return {
    node,
    draw() {
      const now = { ...shown(), ...Object.fromEntries(Object.keys(BUDGETS).map((path) => [path, shown()[path]])) };
      const said = Object.keys(BUDGETS).find((path) => (values()[path] ?? null) !== null);
      const path = said ?? Object.keys(BUDGETS).find((each) => (now[each] ?? null) !== null) ?? "train.steps";
      if (later === null && document.activeElement !== amount) { unit.value = path; amount.value = (said ? values()[path] : now[path]) ?? ""; }
      say(help, specs[path]?.help ?? "");
      back.hidden = !said;
      node.classList.toggle("nbllm-form-own", !!said);
    },
  };
}

// Puts a cell with this text below the one that shows the form, where the page lets its own commands be used.
async function putBelow(root, text) {
  const app = globalThis.jupyterapp, notebook = app?.shell?.currentWidget?.content;
  const at = notebook?.widgets?.findIndex((cell) => cell.node.contains(root)) ?? -1;
  if (at < 0) return false;
  notebook.activeCellIndex = at;
  await app.commands.execute("notebook:insert-cell-below");
  notebook.activeCell?.model?.sharedModel?.setSource(text);
  return true;
}

export default { render };
