// Name, state, progress and the buttons. A click is answered here at once; what the worker then does comes by `status`.
import { brief, clock, count, el, figures, isOff, off, say } from "./dom.js";
import { download } from "./download.js";

const ENDED = ["stopped", "finished", "failed", "lost"];
const ASKED = {
  pause: "asked to pause", resume: "asked to resume", stop: "asked to stop", checkpoint: "asked for a checkpoint",
};
const PATIENCE = 20000; // ms after which a wish that the kernel heard and the worker did not answer is no longer shown
const LONG = 600000; // ms after which one is given up that the kernel has not heard
const SOON = 1500; // ms in which a free kernel hears

export function header(model) {
  let asked = null; // what was asked for, and what was so when it was
  const name = el("strong", { class: "nbllm-name" });
  const summary = el("span", { class: "nbllm-quiet" });
  const dot = el("span", { class: "nbllm-dot", "aria-hidden": "true" });
  const state = el("span", { role: "status", "aria-live": "polite", class: "nbllm-state" });
  const bar = el("div", { class: "nbllm-bar-fill" });
  const progress = el("div", { class: "nbllm-bar", role: "progressbar", "aria-label": "training progress", "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
  const numbers = ["steps", "left", "rate", "memory"].map((part) => el("span", { class: `nbllm-number nbllm-${part}` }));
  const notice = el("div", { class: "nbllm-notice", role: "status", "aria-live": "polite" });

  const ask = (command, extra = {}) => {
    const s = model.get("status");
    asked = { command, text: extra.text ?? ASKED[command], state: s.state, checkpoint: s.checkpoint, commands: s.commands,
      heard: model.get("heard"), at: Date.now() };
    delete extra.text;
    model.send({ kind: "command", command, ...extra });
    show();
    for (const wait of [SOON, PATIENCE, LONG]) setTimeout(show, wait + 100);
  };
  const button = (label, onclick) => el("button", { type: "button", class: "nbllm-button", onclick: ({ currentTarget }) => { if (!isOff(currentTarget)) onclick(); } }, label);
  const pause = button("Pause", () => ask(resumes() ? "resume" : "pause"));
  const stop = button("Stop", () => ask("stop"));
  const checkpoint = button("Checkpoint", () => ask("checkpoint"));
  const keep = download(model);
  const rate = el("input", { type: "text", inputmode: "decimal", size: "8", spellcheck: "false", "aria-label": "peak learning rate", title: "peak learning rate; Enter applies", class: "nbllm-lr" });
  let typing = false;
  rate.addEventListener("input", () => { typing = true; rate.removeAttribute("aria-invalid"); });
  rate.addEventListener("blur", () => { typing = false; rate.removeAttribute("aria-invalid"); show(); });
  rate.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook has keys of its own
    if (event.key === "Escape") (pause.disabled ? stop : pause).focus();
    if (event.key !== "Enter") return;
    const value = Number(rate.value);
    if (!(value > 0 && value <= 10)) return rate.setAttribute("aria-invalid", "true");
    typing = false;
    ask("set", { lr: value, text: `asked for learning rate ${value}` });
  });

  const resumes = () => ["paused", "stopped", "failed", "lost"].includes(model.get("status").state);
  const heard = () => model.get("heard") !== asked.heard;
  const answered = (s) => s.state !== asked.state || Date.now() - asked.at > (heard() ? PATIENCE : LONG) ||
    (asked.command === "checkpoint" && s.checkpoint !== asked.checkpoint) ||
    (asked.command === "set" && s.commands !== asked.commands);

  // The state, with what was asked for, or with what the worker says; not both where the one says the other.
  const standing = (s, ended) => {
    const waits = asked && !heard() && Date.now() - asked.at > SOON ? ", waits for the running cell" : "";
    const more = asked ? asked.text + waits : ended ? "" : s.message;
    if (!more) return s.state ?? "";
    return more.startsWith(s.state) ? more : `${s.state} · ${more}`;
  };

  function show() {
    const s = model.get("status");
    if (asked && answered(s)) asked = null;
    const ended = ENDED.includes(s.state);
    say(name, model.get("name"));
    say(summary, model.get("summary"));
    dot.dataset.state = s.state ?? "";
    say(state, standing(s, ended));
    const share = s.state === "finished" ? 1 : s.state === "preparing" ? s.progress : s.steps ? s.step / s.steps : s.progress;
    bar.style.width = `${100 * Math.min(1, Math.max(0, share ?? 0))}%`;
    progress.setAttribute("aria-valuenow", String(Math.round(100 * (share ?? 0))));
    progress.setAttribute("aria-valuetext", s.steps ? `step ${count(s.step)} of ${count(s.steps)}` : `${Math.round(100 * (share ?? 0))} percent`);
    progress.dataset.state = s.state ?? "";
    say(numbers[0], s.steps ? `${count(s.step)} of ${count(s.steps)} steps` : s.step ? `${count(s.step)} steps` : "");
    say(numbers[1], s.left !== null && s.left !== undefined ? `${clock(s.left)} left` : s.seconds ? `${clock(s.seconds)} trained` : "");
    say(numbers[2], s.rate && !ended ? `${brief(s.rate)} tokens/s` : "");
    say(numbers[3], s.memory && !ended ? `${(s.memory / 1024).toFixed(1)} GB of memory` : "");
    say(pause, resumes() ? "Resume" : "Pause");
    off(pause, !!asked || !(resumes() || ["training", "preparing", "starting", "queued"].includes(s.state)));
    off(stop, ended || asked?.command === "stop" || s.state === "stopping");
    off(checkpoint, !!asked || !["training", "paused"].includes(s.state));
    rate.disabled = ended;
    keep.button.hidden = !ended;
    if (!typing) rate.value = figures(s.lr, 3);
    const said = model.get("notice");
    const lines = [
      said.message ? `${said.message} ${said.advice ?? ""}` : "",
      s.error?.message ? `${s.error.message} ${s.error.advice ?? ""}` : "",
      s.state === "lost" ? `The worker died. Resume goes on from the last checkpoint. ${s.message ?? ""}` : "",
      s.advice ?? "",
    ].filter(Boolean);
    say(notice, lines[0] ?? "");
    notice.hidden = !lines.length;
  }
  model.on("change:notice", () => { if (model.get("notice").message) keep.reset(); });
  for (const part of ["name", "summary", "status", "notice", "heard"]) model.on(`change:${part}`, show);
  show();
  return el("div", { class: "nbllm-header" },
    el("div", { class: "nbllm-title" }, name, summary, el("span", { class: "nbllm-where" }, dot, state)),
    el("div", { class: "nbllm-progress" }, progress, ...numbers),
    el("div", { class: "nbllm-actions" }, pause, stop, checkpoint, keep.button, el("label", { class: "nbllm-control" }, el("span", {}, "learning rate"), rate), notice));
}
