// The tabs that need no chart: samples, network, data, log. All of it is text and is set as text.
import { el, table } from "./dom.js";

export function samplesTab(model) {
  const render = () => {
    const samples = model.get("samples");
    if (!samples.length) return el("p", { class: "nbllm-quiet" }, "No sample yet: the model writes one every so many steps.");
    return el("ol", { class: "nbllm-samples" }, ...samples.map((sample) => el("li", {},
      el("span", { class: "nbllm-number nbllm-quiet" }, `step ${Number(sample.step).toLocaleString("en-US")}`),
      el("div", { class: "nbllm-text" }, el("span", { class: "nbllm-quiet" }, sample.prompt), sample.text))));
  };
  return { render, traits: ["samples"] };
}

export function networkTab(model) {
  const render = () => {
    const { chain, parameters, rows } = model.get("network");
    if (!rows?.length) return el("p", { class: "nbllm-quiet" }, "The configuration has not been written yet.");
    const sheet = table("Every setting of the run; those in bold differ from the default", ["setting", "value"], rows.map(([key, value]) => [key, value]));
    sheet.querySelectorAll("tbody tr").forEach((row, i) => row.classList.toggle("nbllm-changed", !!rows[i][2]));
    return el("div", {},
      el("div", { class: "nbllm-chain", role: "img", "aria-label": `The network: ${chain.join(", then ")}` },
        ...chain.flatMap((part, i) => [i ? el("span", { class: "nbllm-quiet", "aria-hidden": "true" }, "→") : null, el("span", { class: "nbllm-part" }, part)].filter(Boolean))),
      parameters ? el("p", { class: "nbllm-quiet" }, `${parameters} parameters`) : null, sheet);
  };
  return { render, traits: ["network"] };
}

export function dataTab(model) {
  const render = () => {
    const rows = model.get("data");
    return rows.length ? table("The data, and the machine it is trained on", ["fact", "value"], rows) : el("p", { class: "nbllm-quiet" }, "Nothing is known of the data yet.");
  };
  return { render, traits: ["data"] };
}

export function logTab(model) {
  const render = () => {
    const lines = model.get("log");
    return el("pre", { class: "nbllm-log", tabindex: "0", role: "log", "aria-label": "log of the worker" }, lines.length ? lines.join("\n") : "The log is empty.");
  };
  return { render, traits: ["log"], end: true };
}
