// What the playground shows of answers and scores; all of it is text.
import { el, inText, table } from "./dom.js";

const FOR = { light: "0,114,178", dark: "86,180,233" };
const AGAINST = { light: "213,94,0", dark: "230,159,0" };
const KINDS = ["0,114,178", "213,94,0", "0,158,115", "204,121,167", "86,180,233", "230,159,0"];

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const MEASURES = { macro_f1: "macro F1", ece: "calibration error" };
const quiet = (text) => el("p", { class: "nbllm-quiet nbllm-play-wait" }, text);

// The answers of one or two models, beside one another; `tab` is what of them is shown. `untrained` names a task of which
// no run is there.
export function resultSheet(results, tab, dark, busy, untrained) {
  if (!results.length && untrained && !busy) return quiet(`No run was trained for this task yet. Train one: %llm_task ${untrained} --train`);
  if (!results.length) return quiet(busy ? "" : tab === "answer" ? "Choose an example or write a text, then Run." : "Run first: then this shows which tokens moved the answer.");
  return el("div", { class: "nbllm-play-sides" }, ...results.map((result) => {
    const about = [result.name, result.step ? `step ${Number(result.step).toLocaleString("en-US")}` : "", result.seconds ? `${result.seconds.toFixed(2)} s` : ""].filter(Boolean).join(", ");
    const parts = result.fault ? [el("p", { class: "nbllm-notice" }, result.fault)] : tab === "answer" ? answer(result, dark) : influence(result, dark, busy);
    return el("div", { class: "nbllm-play-side", role: "group", "aria-label": `by ${result.name}` }, el("div", { class: "nbllm-play-about nbllm-quiet" }, el("bdi", {}, about)), ...parts);
  }));
}

function answer(result, dark) {
  const parts = [];
  if (result.spans.length) parts.push(spans(result.spans, dark));
  else if (result.tokens.length) {
    const colour = dark ? AGAINST.dark : AGAINST.light;
    parts.push(el("div", { class: "nbllm-play-text", "data-said": result.said }, ...result.tokens.map(([label, share]) =>
      el("bdi", { title: `${label}  ${percent(share)}`, style: `background:rgba(${colour},${(0.5 * (1 - share)).toFixed(3)})` }, inText(label)))));
    parts.push(el("div", { class: "nbllm-play-key nbllm-quiet" }, `The deeper the shade, the less sure the model was${result.sure === null ? "" : `; ${percent(result.sure)} a token on the whole`}. Hover tells each.`));
  } else {
    parts.push(el("div", { class: "nbllm-play-said" }, el("bdi", {}, result.said || "nothing"), result.sure === null ? null : el("span", { class: "nbllm-number" }, percent(result.sure))));
  }
  if (result.bars.length) parts.push(el("div", { class: "nbllm-play-bars", role: "list", "aria-label": "how likely each label is" }, ...result.bars.map(([label, share]) =>
    el("div", { class: "nbllm-play-bar", role: "listitem" }, el("bdi", { title: label }, label), el("div", { class: "nbllm-play-track", "aria-hidden": "true" }, el("div", { class: "nbllm-play-fill", style: `width:${(100 * share).toFixed(2)}%` })), el("span", { class: "nbllm-number" }, percent(share))))));
  for (const [name, value] of result.more) parts.push(el("div", {}, el("span", { class: "nbllm-quiet" }, `${name}: `), el("bdi", {}, value)));
  return parts;
}

function spans(pieces) {
  const kinds = [...new Set(pieces.map(([, kind]) => kind.split("#")[0]).filter(Boolean))];
  return el("div", { class: "nbllm-play-text" }, ...pieces.map(([text, kind]) => {
    if (!kind) return text;
    const [name, part] = kind.split("#");
    return el("mark", { style: `background:rgba(${KINDS[kinds.indexOf(name) % KINDS.length]},.28)` }, el("bdi", {}, text), el("small", {}, part ? `${name} · ${part}` : name));
  }));
}

function influence(result, dark, busy) {
  const found = result.influence;
  if (!found) return [quiet(busy ? "Looking for what moved the answer …" : "Run again to see what moved the answer.")];
  if (found.none) return [quiet(found.none)];
  const most = Math.max(1e-9, ...found.tokens.map(([, share]) => Math.abs(share)));
  const tokens = found.tokens.flatMap(([label, share], i) => {
    const colour = (share > 0 ? FOR : AGAINST)[dark ? "dark" : "light"];
    const node = el("bdi", { title: `${label}  ${share > 0 ? "+" : ""}${percent(share)}`, style: `background:rgba(${colour},${((0.55 * Math.abs(share)) / most).toFixed(3)})` }, inText(label));
    return i && found.spaced && !found.tokens.some(([each]) => each.includes("␣")) ? [" ", node] : [node];
  });
  return [
    el("div", { class: "nbllm-play-text" }, ...tokens),
    el("div", { class: "nbllm-play-key nbllm-quiet" }, `Blue speaks for `, el("bdi", {}, result.said || "the answer"), ", orange against it. Hover tells each token's share."),
    el("details", {}, el("summary", {}, "As a table"), el("div", { class: "nbllm-sheet", tabindex: "0", role: "region", "aria-label": "what moved each answer" }, table("What moved each answer most, in bits", found.heads, found.rows))),
  ];
}

// The scores of one or two models, below one another.
export function evaluationSheet(evaluation) {
  return el("div", {}, ...evaluation.map((found) => el("div", { class: "nbllm-play-scores" },
    table(found.caption, found.heads, found.rows.map(([name, ...rest]) => [MEASURES[name] ?? name.replaceAll("_", " "), ...rest])),
    ...found.lines.map((line) => el("p", { class: "nbllm-play-advice" }, line)),
    found.labels.length ? el("details", {}, el("summary", {}, "Confusion matrix"), table("Rows: the true label; columns: what was said", ["true \\ said", ...found.labels], found.labels.map((label, i) => [label, ...found.confusion[i].map((n) => n.toLocaleString("en-US"))]))) : null)));
}
