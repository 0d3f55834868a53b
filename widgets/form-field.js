// One setting of the form: its label, the control that fits its kind, unit, help and limits, and a way back to "by itself".
import { el, freshId, say } from "./dom.js";

const PAUSE = 350; // ms after the last key until the kernel is told

// Text of a value in a control; a list whose items hold commas is written as JSON.
function written(value, kind) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.some((item) => String(item).includes(",")) ? JSON.stringify(value) : value.join(", ");
  if (kind === "map") return Object.keys(value).length ? JSON.stringify(value) : "";
  return String(value);
}

// The value of what is typed; undefined leaves the setting to itself. What is no number goes as text: the kernel says why.
function read(text, kind) {
  const trimmed = text.trim();
  if (kind === "int" || kind === "float") {
    if (!trimmed) return undefined;
    const number = Number(trimmed);
    return Number.isFinite(number) && (kind === "float" || Number.isSafeInteger(number)) ? number : trimmed;
  }
  if (kind === "list" || kind === "map") {
    if (!trimmed) return undefined;
    try { if (/^[[{]/.test(trimmed)) return JSON.parse(trimmed); } catch { return trimmed; }
    return kind === "list" ? trimmed.split(",").map((part) => part.trim()).filter(Boolean) : trimmed;
  }
  return text;
}

// A control for values: {input, nodes, set}, and `choices` where those can change. `changed(value)` is called when a
// person has changed it.
function control(spec, changed) {
  if (spec.kind === "bool") {
    const input = el("input", { type: "checkbox" });
    input.addEventListener("change", () => changed(input.checked));
    return { input, nodes: [input], set: (value) => { input.checked = !!value; } };
  }
  if (spec.choices.length && !spec.open && spec.kind !== "list") {
    const options = (names) => [...(spec.optional ? [["", "none"]] : []), ...names.map((name) => [name, name])].map(([value, text]) => el("option", { value }, text));
    const input = el("select", {}, ...options(spec.choices));
    input.addEventListener("change", () => changed(input.value === "" ? undefined : input.value));
    return { input, nodes: [input], set: (value) => { input.value = value ?? ""; }, choices: (names) => input.replaceChildren(...options(names)) };
  }
  if (spec.choices.length && spec.kind !== "list") return openChoice(spec, changed);
  const number = spec.kind === "int" || spec.kind === "float";
  const shape = spec.long ? { rows: 2 } : { type: number ? "number" : "text", ...(number ? { step: spec.kind === "int" ? 1 : "any", min: spec.least, max: spec.most } : {}) };
  const input = el(spec.long ? "textarea" : "input", { ...shape, spellcheck: "false", dir: "auto" });
  const nodes = [input];
  if (spec.choices.length) {
    const list = el("datalist", { id: freshId("list") }, ...spec.choices.map((name) => el("option", { value: name })));
    input.setAttribute("list", list.id);
    nodes.push(list);
  }
  let later = null;
  const tell = () => { clearTimeout(later); later = null; changed(read(input.value, spec.kind)); };
  input.addEventListener("input", () => { clearTimeout(later); later = setTimeout(tell, PAUSE); });
  input.addEventListener("change", tell);
  if (!spec.long) input.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); tell(); } });
  return { input, nodes, set: (value) => { const text = written(value, spec.kind); if (input.value !== text && !(later !== null && document.activeElement === input)) input.value = text; } };
}

// A choice that also takes what is typed: "another" opens a field for it.
function openChoice(spec, changed) {
  const TYPED = "\u0000typed";
  const input = el("select", {}, ...spec.choices.map((name) => el("option", { value: name }, name)), el("option", { value: TYPED }, "another …"));
  const own = el("input", { type: "text", spellcheck: "false", "aria-label": `${spec.label}: a path or a name`, placeholder: "a path or a name", hidden: true });
  const tell = () => { if (own.value.trim()) changed(own.value.trim()); };
  input.addEventListener("change", () => {
    own.hidden = input.value !== TYPED;
    if (own.hidden) changed(input.value); else { own.value = ""; own.focus(); }
  });
  own.addEventListener("change", tell);
  own.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); tell(); } });
  return {
    input, nodes: [input, own],
    set(value) {
      if (document.activeElement === own) return;
      const known = spec.choices.includes(value);
      input.value = known ? value : TYPED;
      own.hidden = known;
      if (!known) own.value = value ?? "";
    },
  };
}

// The row of a setting. `change(path, value)`; undefined gives it back to itself.
export function formField(spec, change) {
  const made = control(spec, (value) => change(spec.path, value));
  const { input } = made;
  input.id = freshId("field");
  const help = el("span", { class: "nbllm-form-help", id: freshId("help") }, [spec.help, spec.limits].filter(Boolean).join("; "));
  input.setAttribute("aria-describedby", help.id);
  input.dataset.path = spec.path;
  const back = el("button", { type: "button", class: "nbllm-form-back", title: "leave it to itself", "aria-label": `leave ${spec.label} to itself`, onclick: () => { input.value = ""; change(spec.path, undefined); input.focus(); } }, "×");
  const name = el("label", { for: input.id }, spec.label);
  const unit = el("span", { class: "nbllm-quiet nbllm-form-unit" }, spec.unit);
  let last = () => {}; // what the kernel says now, written when nobody types
  input.addEventListener("blur", () => setTimeout(() => last(), 0));
  const wrong = el("span", { class: "nbllm-form-wrong", hidden: true });
  const node = el("div", { class: "nbllm-form-row" }, name, el("span", { class: "nbllm-form-control" }, ...made.nodes, spec.unit ? unit : null, back), wrong, help);
  node.dataset.kind = spec.long ? "long" : spec.kind;
  return {
    node, spec,
    draw(shown, values, fault) {
      const own = spec.path in values;
      last = () => made.set(own ? values[spec.path] : shown[spec.path]);
      const typing = document.activeElement === input && (input.type === "number" || input.type === "text" || spec.long);
      if (!typing) last();
      if (spec.optional && !spec.choices.length) input.placeholder = own && values[spec.path] === null ? "none" : "by itself";
      node.classList.toggle("nbllm-form-own", own);
      back.hidden = !own;
      say(wrong, fault || "");
      wrong.hidden = !fault;
      if (fault) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    },
    choices: made.choices,
    fits: (words) => { const text = `${spec.path} ${spec.label} ${spec.help}`.toLowerCase(); return words.every((word) => text.includes(word)); },
  };
}
