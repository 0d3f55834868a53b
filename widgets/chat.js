// A chat: who said what, the reply while it is written, what of the dialogue the model still reads. All of it stands in
// traits; the kernel lets the model write in a thread of its own.
import { begin, faultLine, nextFrame, statusLine } from "./begin.js";
import { count, el, freshId, say, slider } from "./dom.js";

const PAUSE = 250; // ms after the last key until the kernel is told

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-chat");

  let later = null, editing = null, view = { ...model.get("view") };
  const tell = (news) => { for (const [name, value] of Object.entries(news)) model.set(name, value); model.save_changes(); };
  const soon = (news) => { clearTimeout(later); later = setTimeout(() => tell(news()), PAUSE); };
  const ask = (message) => { clearTimeout(later); say(status, "asked the kernel …"); model.send(message); };
  const button = (text, spoken, act, kind = "nbllm-button") => el("button", { type: "button", class: kind, title: spoken, "aria-label": spoken, onclick: act }, text);
  // The notebook's own shortcuts do not reach what is typed here: Shift with Enter is a new line, not the next cell.
  const box = (label, rows, more = {}) => {
    const area = el("textarea", { rows, dir: "auto", "aria-label": label, "data-lm-suppress-shortcuts": "true", ...more });
    area.addEventListener("keydown", (event) => event.stopPropagation());
    return area;
  };

  // What is typed.
  const field = box("your message", 2, { placeholder: "Write a message. Enter sends it, Shift+Enter begins a new line." });
  field.addEventListener("input", () => soon(() => ({ draft: field.value })));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send(); }
    else if (event.key === "Escape" && model.get("busy")) { event.preventDefault(); model.send({ kind: "stop" }); }
    else if (event.key === "ArrowUp" && !field.value) {
      const mine = model.get("turns").map((turn) => turn.role).lastIndexOf("user");
      if (mine >= 0) { event.preventDefault(); edit(mine); }
    }
  });
  const send = () => {
    const text = field.value.trim();
    if (!text) { field.focus(); return; }
    field.value = "";
    ask({ kind: "say", text });
  };
  const sender = button("Send", "send the message (Enter)", send);
  sender.classList.add("nbllm-first");
  const stop = button("Stop", "stop writing; what is written stays (Escape)", () => model.send({ kind: "stop" }));
  const again = button("Again", "write the last reply anew", () => ask({ kind: "again" }));
  const clear = button("New chat", "forget all turns", () => { editing = null; ask({ kind: "clear" }); });
  const status = statusLine();
  const fault = faultLine();

  // Settings.
  const system = box("system text", 2, { placeholder: "How the model is to behave, before the first turn" });
  system.addEventListener("input", () => soon(() => ({ system: system.value })));
  const note = el("span", {}, model.get("template") ? "system text" : "system text (a model without a chat template may not heed it)");
  const temperature = slider("temperature", 0, 2, 0.1, model.get("settings").temperature, (value) => soon(() => ({ settings: { ...model.get("settings"), temperature: value } })), (value) => (value ? value.toFixed(1) : "0: the likeliest"));
  const length = slider("tokens of a reply", 8, 400, 1, model.get("settings").max_tokens, (value) => soon(() => ({ settings: { ...model.get("settings"), max_tokens: value } })));
  const panelId = freshId("chat");
  const settings = el("div", { class: "nbllm-chat-settings", id: panelId }, el("label", { class: "nbllm-chat-field" }, note, system), el("div", { class: "nbllm-controls" }, temperature.node, length.node));
  const toggle = el("button", { type: "button", class: "nbllm-link", "aria-controls": panelId, onclick: () => { view = { ...view, settings: !view.settings }; tell({ view }); opened(); } }, "Settings");
  const opened = () => { settings.hidden = !view.settings; toggle.setAttribute("aria-expanded", String(Boolean(view.settings))); };

  // What was said.
  const fill = el("div", { class: "nbllm-bar-fill" });
  const bar = el("div", { class: "nbllm-bar", role: "progressbar", "aria-label": "tokens that the model reads", "aria-valuemin": 0 }, fill);
  const spent = el("span", { class: "nbllm-number nbllm-quiet" });
  const budget = el("span", { class: "nbllm-chat-budget" }, bar, spent);
  const log = el("div", { class: "nbllm-chat-log", role: "log", "aria-label": "the dialogue", tabindex: "0" });
  const growing = el("div", { class: "nbllm-chat-said", dir: "auto" });
  const grown = el("span", { class: "nbllm-number" });
  const who = (role) => model.get("roles")[role] ?? role;

  function edit(place) {
    editing = place;
    draw();
    const area = log.querySelector("textarea");
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }
  function editor(turn, place) {
    const area = box("your message, changed", 2);
    area.value = turn.text;
    const resend = () => { const text = area.value.trim(); if (!text) return; editing = null; ask({ kind: "edit", place, text }); field.focus(); };
    const leave = () => { editing = null; draw(); field.focus(); };
    area.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); resend(); }
      else if (event.key === "Escape") { event.preventDefault(); leave(); }
    });
    const behind = model.get("turns").length - place - 1;
    return el("div", { class: "nbllm-chat-edit" }, area, el("div", { class: "nbllm-actions" },
      button("Send again", "send the changed message", resend), button("Cancel", "leave the message as it is", leave),
      behind ? el("span", { class: "nbllm-quiet" }, `the ${behind === 1 ? "turn" : `${behind} turns`} behind it will go`) : null));
  }
  function turn(each, place) {
    const unread = place < (model.get("budget").left_out ?? 0);
    const about = [el("b", {}, el("bdi", {}, who(each.role)))];
    if (each.role === "bot") about.push(el("span", { class: "nbllm-number" }, `${count(each.tokens)} tokens${each.stopped ? ", stopped" : ""}`));
    if (each.role === "user" && editing !== place) about.push(button("Edit", `edit message ${place + 1} and send it again`, () => edit(place), "nbllm-link"));
    const body = editing === place ? editor(each, place) : el("div", { class: "nbllm-chat-said", dir: "auto" }, each.text || "(nothing)");
    return el("div", { class: `nbllm-chat-turn${unread ? " nbllm-unread" : ""}`, "data-role": each.role }, el("div", { class: "nbllm-chat-who" }, ...about), body);
  }
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  function draw() {
    const turns = model.get("turns"), left = model.get("budget").left_out ?? 0, follow = atEnd() || editing === null;
    const kept = log.querySelector("textarea")?.value; // what is being changed stays
    const nodes = turns.map(turn);
    if (left && left < turns.length) nodes.splice(left, 0, el("div", { class: "nbllm-chat-cut" }, `The ${left === 1 ? "turn above no longer fits" : `${left} turns above no longer fit`} into what the model reads`));
    if (!turns.length) nodes.push(el("p", { class: "nbllm-quiet nbllm-chat-empty" }, "Nothing was said yet."));
    log.replaceChildren(...nodes);
    const area = log.querySelector("textarea");
    if (area && kept !== undefined) { area.value = kept; area.focus(); }
    write();
    if (follow) log.scrollTop = log.scrollHeight;
  }
  const live = el("div", { class: "nbllm-chat-turn", "data-role": "bot", "aria-busy": "true" }, el("div", { class: "nbllm-chat-who" }, el("b", {}, el("bdi", {}, who("bot"))), grown), growing);
  function write() {
    const { text, tokens } = model.get("writing");
    if (text === undefined) { live.remove(); return; }
    const follow = atEnd();
    say(growing, text || "…");
    say(grown, tokens ? `${count(tokens)} tokens` : "");
    if (live.parentNode !== log) log.append(live);
    if (follow) log.scrollTop = log.scrollHeight;
  }
  function told() {
    const busy = model.get("busy"), turns = model.get("turns");
    say(status, busy ? `${busy} …` : "");
    stop.disabled = !busy;
    again.disabled = Boolean(busy) || !turns.length;
    clear.disabled = !turns.length;
    fault.tell(model.get("fault"));
  }
  function measured() {
    const { used = 0, room = 0, left_out: left = 0 } = model.get("budget");
    const share = room ? Math.min(1, used / room) : 0;
    fill.style.width = `${(100 * share).toFixed(1)}%`;
    bar.setAttribute("aria-valuemax", room);
    bar.setAttribute("aria-valuenow", Math.min(used, room));
    budget.toggleAttribute("data-full", used > room || left > 0);
    say(spent, `${count(used)} of ${count(room)} tokens`);
    budget.title = left ? "the oldest turns are left out, so that the rest fits" : "what the model reads of the dialogue, of what it can read; beyond that the oldest turns are left out";
  }

  // From the kernel.
  const redraw = nextFrame(signal, draw);
  let left = model.get("budget").left_out;
  listen("turns", () => { redraw(); told(); });
  listen("writing", write);
  listen("budget", () => { measured(); if (model.get("budget").left_out !== left) { left = model.get("budget").left_out; redraw(); } });
  listen(["busy", "fault"], told);
  listen("draft", () => { if (document.activeElement !== field) field.value = model.get("draft"); });
  listen("system", () => { if (document.activeElement !== system) system.value = model.get("system"); });
  listen("view", () => { if (model.get("view").settings !== view.settings) { view = { ...model.get("view") }; opened(); } });

  root.replaceChildren(
    el("div", { class: "nbllm-title" }, el("span", { class: "nbllm-name" }, el("bdi", {}, model.get("title"))), el("span", { class: "nbllm-quiet" }, model.get("about")), toggle, budget),
    settings, log, fault.node,
    el("div", { class: "nbllm-chat-write" }, field, el("div", { class: "nbllm-actions" }, sender, stop, again, clear, status)),
  );
  field.value = model.get("draft");
  system.value = model.get("system");
  opened();
  measured();
  told();
  draw();
  return () => { end(); clearTimeout(later); };
}

export default { render };
