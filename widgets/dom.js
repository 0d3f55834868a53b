// Small helpers: elements whose text is always text, and numbers as people read them.

// el("div", {class: "x", onclick: f, "aria-label": "y"}, child, "text", ...)
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Sets text only where it differs: a screen reader is not told the same thing twice.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function count(value) {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "–";
}

export function brief(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value >= 1e9) return (value / 1e9).toFixed(1) + "G";
  if (value >= 1e6) return (value / 1e6).toFixed(1) + "M";
  return value >= 1e3 ? (value / 1e3).toFixed(1) + "k" : value.toFixed(0);
}

export function figures(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

export function clock(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

// A token with its white space to be seen.
export function visible(token) {
  return token.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "∅";
}

// A token in its text: a space is a space, and the end of a line is seen and ends it.
export function inText(label) {
  return label.replaceAll("␣", " ").replace(/[⏎↵]/g, (end) => `${end}\n`);
}

// Plotly's labels know a little HTML: text that came from data is shown as it is.
export function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function clip(text, most = 16) {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : text;
}

// About how many pixels a label takes at 12 px: Chinese signs are as wide as high.
export function wide(text) {
  return [...text].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e80 ? 12 : 7), 0);
}

const UPRIGHT = /^[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+$/;

// Labels below an axis that have so much room each: upright where most fit (Chinese words are written downwards, and a
// few long ones among short ones are left to the hover), else turned. `depth` is the room they take below.
export function across(labels, room) {
  const set = labels.map((text) => (wide(text) <= room + 2 ? [text] : UPRIGHT.test(text) ? [...text] : null));
  if (set.filter((lines) => !lines).length > labels.length / 8) {
    return { angle: -90, depth: Math.max(12, ...labels.map(wide)), texts: labels.map(plain) };
  }
  return { angle: 0, depth: 12 * Math.max(1, ...set.map((lines) => lines?.length ?? 1)), texts: set.map((lines) => (lines ?? ["…"]).map(plain).join("<br>")) };
}

export function table(caption, heads, rows) {
  return el("table", { class: "nbllm-table" }, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, i) =>
      i ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))));
}

let lastId = 0;
export function freshId(stem) {
  lastId += 1;
  return `nbllm-${stem}-${lastId}-${Math.random().toString(36).slice(2, 7)}`;
}

// Keys that are pressed in here are not the notebook's: in its command mode an arrow would leave a slider for another
// cell, and a letter could delete one. Shortcuts with Ctrl or the like, and Shift with Enter, stay the page's.
export function keepKeys(root, signal) {
  root.addEventListener("keydown", (event) => {
    const theirs = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!theirs) event.stopPropagation();
    // Escape on a button that has no other use for it leads back to the cell, from where the notebook's keys go on.
    const idle = event.target.matches("button") && event.target === event.target.getRootNode().activeElement;
    if (event.key === "Escape" && idle) root.closest(".jp-Cell")?.focus({ preventScroll: true });
  }, { signal });
}

// Turns a button on or off. One that has the focus keeps it: who goes by keyboard is not thrown out of the panel. Its
// clicks then still come, and `isOff` tells that they are not meant.
export function off(button, yes) {
  button.disabled = yes && button !== button.getRootNode().activeElement;
  button.setAttribute("aria-disabled", String(yes));
}

export function isOff(button) {
  return button.getAttribute("aria-disabled") === "true";
}

// A labelled slider: onchange(value) at every move.
export function slider(label, least, most, step, value, onchange, show = String) {
  const input = el("input", { type: "range", min: least, max: most, step, "aria-label": label });
  const out = el("output", { class: "nbllm-number" });
  input.value = value;
  const tell = () => { say(out, show(Number(input.value))); input.setAttribute("aria-valuetext", out.textContent); };
  input.addEventListener("input", () => { tell(); onchange(Number(input.value)); });
  tell();
  const word = el("span", {}, label);
  const node = el("label", { class: "nbllm-control" }, word, input, out);
  return { node, name(text) { say(word, text); input.setAttribute("aria-label", text); }, set(most_, value_) { input.max = most_; input.value = value_; tell(); node.hidden = Number(most_) <= Number(least); } };
}

// A choice of a few, as a row of buttons of which one is pressed; `spoken` is its name for those who hear it.
export function choice(label, spoken, options, value, onchange) {
  const buttons = Object.entries(options).map(([key, name]) =>
    el("button", { type: "button", "aria-pressed": String(key === value), onclick: () => { pick(key); onchange(key); } }, name));
  const keys = Object.keys(options);
  const pick = (key) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(keys[i] === key)));
  const node = el("div", { class: "nbllm-control", role: "group", "aria-label": spoken }, el("span", { "aria-hidden": "true" }, label),
    el("span", { class: "nbllm-choice" }, ...buttons));
  return { node, pick };
}
