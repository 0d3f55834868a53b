// Questions with buttons above a panel of the studio, and what came of them.
import { begin, faultLine, statusLine } from "./begin.js";
import { el, freshId, say } from "./dom.js";

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-ask");

  const inputs = {};
  const ask = (key) => {
    const values = Object.fromEntries(Object.entries(inputs).map(([name, { get }]) => [name, get()]));
    model.set("values", values);
    model.save_changes();
    say(status, "asked the kernel …");
    model.send({ kind: "ask", key, values });
  };
  const [[mainKey]] = model.get("actions");
  const rows = model.get("fields").map(({ name, label, kind, choices = [], help = "" }) => {
    const value = model.get("values")[name];
    if (kind === "many") {
      const boxes = choices.map(([key, text]) => { const box = el("input", { type: "checkbox", value: key }); box.checked = value.includes(key); return { box, node: el("label", { class: "nbllm-control" }, box, text) }; });
      inputs[name] = { get: () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value), set: (now) => boxes.forEach(({ box }) => { box.checked = now.includes(box.value); }) };
      return el("fieldset", { class: "nbllm-ask-many" }, el("legend", {}, label), ...boxes.map(({ node }) => node));
    }
    const id = freshId("ask");
    const input = kind === "choice" ? el("select", { id }, ...choices.map(([key, text]) => el("option", { value: key }, text)))
      : kind === "long" ? el("textarea", { id, rows: 2, dir: "auto", spellcheck: "false" })
        : el("input", { id, type: kind === "number" ? "number" : "text", step: "any", dir: "auto", spellcheck: "false" });
    input.value = value;
    input.addEventListener("keydown", (event) => {
      const go = event.key === "Enter" && !event.isComposing && (kind !== "long" || event.ctrlKey || event.metaKey);
      if (!go) return;
      event.preventDefault();
      event.stopPropagation();
      if (model.get("actions").length === 1) ask(mainKey);
    });
    if (help) input.placeholder = help;
    inputs[name] = { get: () => input.value, set: (now) => { if (document.activeElement !== input) input.value = now; } };
    return el("div", { class: `nbllm-ask-field nbllm-ask-${kind}` }, el("label", { for: id }, label), input, help && kind !== "long" ? el("span", { class: "nbllm-form-help" }, help) : null);
  });
  const buttons = model.get("actions").map(([key, text], i) => el("button", { type: "button", class: `nbllm-button ${i ? "" : "nbllm-first"}`, onclick: () => ask(key) }, text));
  const fetch_ = el("button", { type: "button", class: "nbllm-button", hidden: true, onclick: () => { say(status, "fetching …"); model.send({ kind: "fetch" }); } });
  const status = statusLine();
  const fault = faultLine();

  function told() {
    const busy = model.get("busy");
    say(status, busy ? "working …" : model.get("said"));
    buttons.forEach((button) => { button.disabled = busy; });
    fault.tell(model.get("fault"));
    fetch_.hidden = !model.get("file");
    say(fetch_, `Save ${model.get("file")} to this computer`);
  }
  const save = (content, buffers) => {
    if (content.kind !== "file") return;
    const link = el("a", { href: URL.createObjectURL(new Blob(buffers)), download: content.name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(status, `${content.name} is saved`);
  };
  model.on("msg:custom", save);
  signal.addEventListener("abort", () => model.off("msg:custom", save));
  listen(["busy", "said", "fault", "file"], told);
  listen("values", () => { for (const [name, { set }] of Object.entries(inputs)) set(model.get("values")[name]); });

  root.replaceChildren(
    el("h3", {}, model.get("label")), el("div", { class: "nbllm-ask-fields" }, ...rows),
    el("div", { class: "nbllm-controls" }, ...buttons, fetch_, status), fault.node,
  );
  told();
  return end;
}

export default { render };
