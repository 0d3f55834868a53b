// The lens: a text that a model wrote, what else it might have written at each place, what the settings of sampling
// leave of that, and branches that part with another token. The numbers lie in the page; the kernel writes branches.
import { begin, button, faultLine, nextFrame, onTheme, statusLine } from "./begin.js";
import { palette } from "./chart.js";
import { choice, count, el, freshId, inText, say, slider, table } from "./dom.js";
import { entropy, own, shares, TOP_KS } from "./lens-sampling.js";

const SHOWN = 12; // alternatives with a bar
const PAUSE = 110; // ms that the mouse rests on a token before it is shown: on its way it crosses others
const WARM = { light: "213,94,0", dark: "230,159,0" };
const COOL = { light: "0,114,178", dark: "86,180,233" };

const percent = (share) => (share >= 0.9995 ? "100%" : share >= 0.0995 ? `${(100 * share).toFixed(1)}%` : share >= 0.00095 ? `${(100 * share).toFixed(2)}%` : share > 0 ? "<0.1%" : "–");

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-lens");

  let settings = { ...model.get("settings") }, view = { ...model.get("view") };
  let pinned = false, hover = null, dark = false, logits = new Float32Array(0), nodes = [];
  const blind = () => Math.log2(Math.max(2, model.get("vocabulary")));
  const branches = () => model.get("branches");
  const branchOf = (n) => branches().find((each) => each.n === n);
  // All tokens of a branch, those that it shares with its parent before its own.
  const tokensOf = (branch) => (!branch ? [] : branch.from === null ? branch.tokens : [...tokensOf(branchOf(branch.from)).slice(0, branch.at), ...branch.tokens]);
  const numbersOf = (token) => logits.subarray(token.first, token.first + token.count);
  const left = (token, asked) => shares(numbersOf(token), token.size, token.rest, model.get("temperatures"), asked);
  const chosen = () => { const tokens = tokensOf(branchOf(view.branch)); return { tokens, place: view.place, token: view.place === null ? null : tokens[view.place] }; };

  const look = (news) => {
    view = { ...view, ...news };
    model.set("view", view);
    model.save_changes();
    mark();
    panel();
  };
  const ask = (message) => { say(status, "asked the kernel …"); model.send({ ...message, settings }); };
  let later = null;
  const change = (news) => {
    settings = { ...settings, ...news };
    panel();
    clearTimeout(later);
    later = setTimeout(() => { model.set("settings", settings); model.save_changes(); }, 250);
  };

  // Controls.
  const title = el("div", { class: "nbllm-title" });
  const prompt = el("input", { type: "text", "aria-label": "prompt", class: "nbllm-lens-prompt", spellcheck: "false" });
  prompt.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) ask({ kind: "prompt", prompt: prompt.value }); });
  const write = button("Write", "write from this prompt; all branches go", () => ask({ kind: "prompt", prompt: prompt.value }), "nbllm-small");
  const again = button("Another", "write another branch from the prompt's end, drawn anew", () => ask({ kind: "again" }), "nbllm-small");
  const stop = button("Stop", "stop writing", () => model.send({ kind: "stop" }), "nbllm-small");
  const status = statusLine();
  const temperature = slider("temperature", 0, 2, 0.1, settings.temperature ?? 0.8, (value) => change({ temperature: value }), (value) => (value ? value.toFixed(1) : "0: the likeliest"));
  const nearestK = (k) => (k === null || k === undefined ? TOP_KS.length - 1 : TOP_KS.reduce((best, each, i) => (each !== null && Math.abs(each - k) < Math.abs((TOP_KS[best] ?? 1e9) - k) ? i : best), 0));
  const topK = slider("top k", 0, TOP_KS.length - 1, 1, nearestK(settings.top_k), (value) => change({ top_k: TOP_KS[value] }), (value) => String(TOP_KS[value] ?? "off"));
  const topP = slider("top p", 0.05, 1, 0.01, settings.top_p ?? 1, (value) => change({ top_p: value < 1 ? value : null }), (value) => (value < 1 ? value.toFixed(2) : "off"));
  const minP = slider("min p", 0, 0.5, 0.01, settings.min_p ?? 0, (value) => change({ min_p: value || null }), (value) => (value ? value.toFixed(2) : "off"));
  const length = slider("tokens", 1, 200, 1, settings.max_tokens ?? 40, (value) => change({ max_tokens: value }));
  const colour = choice("colour", "what colours the tokens", { surprise: "surprise", probability: "probability" }, view.colour, (key) => { look({ colour: key }); strips(); });
  const top = el("div", { class: "nbllm-controls" }, prompt, write, again, stop, length.node, status);
  const fault = faultLine();
  const sliders = el("div", { class: "nbllm-controls", role: "group", "aria-label": "how the next token is drawn" }, temperature.node, topK.node, topP.node, minP.node, colour.node);

  // What is seen.
  const list = el("div", { class: "nbllm-lens-list" });
  const heading = el("div", { class: "nbllm-lens-heading" });
  const bars = el("div", { class: "nbllm-lens-bars" });
  const summary = el("div", { class: "nbllm-quiet nbllm-lens-summary" });
  const sideId = freshId("side");
  const side = el("div", { class: "nbllm-lens-side", role: "group", "aria-label": "what might stand here", id: sideId }, heading, bars, summary);
  const sheet = el("div");
  const behind = el("details", {}, el("summary", {}, "Branches and tokens as tables"), sheet);
  behind.addEventListener("toggle", () => { if (behind.open) tables(); });
  const help = el("div", { class: "nbllm-quiet nbllm-lens-help" }, "Point at a token, or move with the arrow keys. Click or Enter holds it; click or Enter on an alternative writes a branch from there; Escape lets go.");
  root.replaceChildren(title, top, fault.node, sliders, el("div", { class: "nbllm-lens-body" }, el("div", { class: "nbllm-lens-left" }, list, help), side), behind);

  function shade(token) {
    if (token.bits === null || token.bits === undefined) return "";
    if (view.colour === "probability") return `rgba(${dark ? COOL.dark : COOL.light},${(0.5 * 2 ** -token.bits).toFixed(3)})`;
    return `rgba(${dark ? WARM.dark : WARM.light},${(0.55 * Math.min(1, token.bits / blind())).toFixed(3)})`;
  }

  // A branch as a row of tokens: one of them can be reached by the Tab key, the arrows go on from there.
  function strips() {
    const focused = root.contains(document.activeElement) && document.activeElement.dataset?.place !== undefined;
    const prompted = model.get("given");
    nodes = [];
    list.replaceChildren(...branches().map((branch) => {
      const tokens = tokensOf(branch);
      const row = tokens.map((token, place) => {
        const shared = branch.from !== null && place < branch.at;
        const has = token.count !== undefined;
        const node = el("bdi", {
          class: "nbllm-lens-token", "data-branch": branch.n, "data-place": place, tabindex: "-1", role: has ? "button" : "note",
          "aria-label": `${place}: ${token.label}${token.bits === null ? ", read" : `, ${percent(2 ** -token.bits)}`}`,
          style: `background:${shade(token)}`,
        }, inText(token.label));
        if (shared) node.classList.add("nbllm-shared");
        else if (branch.from !== null && place === branch.at) node.classList.add("nbllm-parting");
        if (place < prompted) node.classList.add("nbllm-given");
        nodes.push(node);
        return node;
      });
      if (model.get("joint")) row.splice(prompted, 0, el("span", { class: "nbllm-quiet" }, model.get("joint")));
      const written = tokens.slice(branch.from === null ? prompted : branch.at).filter((token) => token.count !== undefined);
      const bits = written.reduce((sum, token) => sum + (token.bits ?? 0), 0);
      const about = [`branch ${branch.n}`];
      const own_ = branch.tokens[0];
      if (branch.from !== null) about.push(` from ${branch.from} at place ${branch.at}`);
      const parted = branch.from !== null && own_ && tokensOf(branchOf(branch.from))[branch.at];
      const head = el("div", { class: "nbllm-lens-about nbllm-quiet" }, el("b", {}, about[0]), about[1] ?? "",
        ...(parted ? [": ", el("bdi", { class: "nbllm-lens-code" }, own_.label), " for ", el("bdi", { class: "nbllm-lens-code" }, parted.label)] : []),
        el("span", { class: "nbllm-number" }, `  ${count(written.length)} tokens, ${written.length ? (bits / written.length).toFixed(2) : "–"} bits a token${branch.ended ? ", ended" : ""}`),
        el("span", {}, `  ${branch.said}`),
        branch.n ? el("button", { type: "button", class: "nbllm-link", "aria-label": `remove branch ${branch.n}`, onclick: () => ask({ kind: "remove", branch: branch.n }) }, "remove") : "");
      return el("div", { class: "nbllm-lens-branch", role: "group", "aria-label": `branch ${branch.n}` }, head, el("div", { class: "nbllm-lens-strip", dir: "ltr" }, ...row));
    }));
    mark();
    if (focused) nodeOf(view.branch, view.place)?.focus({ preventScroll: true });
    panel();
    if (behind.open) tables();
  }
  const nodeOf = (branch, place) => nodes.find((node) => Number(node.dataset.branch) === branch && Number(node.dataset.place) === place);
  function mark() {
    if (!branchOf(view.branch)) view.branch = 0;
    const now = nodeOf(view.branch, view.place) ?? nodes[0];
    for (const node of nodes) {
      node.tabIndex = node === now ? 0 : -1;
      node.classList.toggle("nbllm-here", node === now && view.place !== null);
      node.classList.toggle("nbllm-pinned", node === now && pinned);
      if (node.getAttribute("role") === "button") node.setAttribute("aria-pressed", String(node === now && pinned));
    }
  }

  const spot = (node) => ({ branch: Number(node.dataset.branch), place: Number(node.dataset.place) });
  list.addEventListener("pointerover", (event) => {
    const node = event.target.closest?.("[data-place]");
    clearTimeout(hover);
    if (node && !pinned) hover = setTimeout(() => look(spot(node)), PAUSE);
  });
  list.addEventListener("pointerout", () => clearTimeout(hover));
  list.addEventListener("click", (event) => {
    const node = event.target.closest?.("[data-place]");
    if (!node) return;
    const at = spot(node);
    pinned = !(pinned && at.branch === view.branch && at.place === view.place);
    look(at);
    node.focus({ preventScroll: true });
  });
  list.addEventListener("keydown", (event) => {
    const node = event.target.closest?.("[data-place]");
    if (!node) return;
    const { branch, place } = spot(node);
    const all = branches().map((each) => each.n), at = all.indexOf(branch);
    const moves = { ArrowLeft: [branch, place - 1], ArrowRight: [branch, place + 1], ArrowUp: [all[at - 1], place], ArrowDown: [all[at + 1], place], Home: [branch, 0], End: [branch, tokensOf(branchOf(branch)).length - 1] };
    if (event.key in moves) {
      const [to, next] = moves[event.key];
      const last = to === undefined ? -1 : tokensOf(branchOf(to)).length - 1;
      const target = to === undefined ? null : nodeOf(to, Math.max(0, Math.min(last, next)));
      if (target) { pinned = false; look(spot(target)); target.focus(); }
    } else if (event.key === "Enter" || event.key === " ") {
      pinned = true;
      look({ branch, place });
      bars.querySelector("button")?.focus();
    } else if (event.key === "Escape") {
      pinned = false;
      mark();
    } else return;
    event.preventDefault();
  });
  bars.addEventListener("keydown", (event) => {
    const rows = [...bars.querySelectorAll("button")], here = rows.indexOf(event.target);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) rows[Math.max(0, Math.min(rows.length - 1, to))]?.focus();
    else if (event.key === "Escape") { pinned = false; mark(); nodeOf(view.branch, view.place)?.focus(); } else return;
    event.preventDefault();
  });

  // The likeliest tokens at the place: the bar is what the settings leave, its outline what the model itself holds.
  function panel() {
    const { token, place } = chosen();
    const focused = bars.contains(document.activeElement) ? [...bars.children].indexOf(document.activeElement) : -1;
    if (!token) {
      heading.replaceChildren("No token is chosen.");
      bars.replaceChildren();
      say(summary, "");
      return;
    }
    const code = (label) => el("bdi", { class: "nbllm-lens-code" }, label);
    if (token.count === undefined) {
      heading.replaceChildren(`place ${place}: `, code(token.label), " is only read: nothing stands before it, or the model answers it.");
      bars.replaceChildren();
      say(summary, "");
      return;
    }
    heading.replaceChildren(`place ${place}: `, code(token.label), token.bits === null ? "" : ` ${percent(2 ** -token.bits)}, rank ${count(token.rank)}, ${token.bits.toFixed(1)} bits`);
    const numbers = numbersOf(token);
    const model_ = own(numbers, token.size, token.rest, model.get("temperatures"));
    const now = left(token, settings);
    const most = Math.max(now.q[0], model_.q[0], 1e-9);
    const row = ([id, label], i) => {
      const here = id === token.id;
      return el("button", {
        type: "button", class: `nbllm-lens-row${now.q[i] > 0 ? "" : " nbllm-cut"}${here ? " nbllm-written" : ""}`, "data-token": id, "data-share": now.q[i], "data-own": model_.q[i],
        title: `write a branch with this token; the model itself: ${percent(model_.q[i])}`,
        "aria-label": `${label}: ${percent(now.q[i])} of what is drawn from, ${percent(model_.q[i])} of the model itself${here ? ", the one that stands here" : ""}`,
        onclick: () => ask({ kind: "branch", branch: view.branch, place: view.place, token: id }),
      }, el("bdi", { class: "nbllm-lens-code" }, label), el("span", { class: "nbllm-lens-track", "aria-hidden": "true" },
        el("span", { class: "nbllm-lens-own", style: `width:${(100 * model_.q[i] / most).toFixed(2)}%` }), el("span", { class: "nbllm-lens-bar", style: `width:${(100 * now.q[i] / most).toFixed(2)}%` })),
      el("span", { class: "nbllm-number" }, percent(now.q[i])));
    };
    const shown = token.best.slice(0, SHOWN);
    const at = token.best.findIndex(([id]) => id === token.id);
    if (at >= SHOWN) shown.push(token.best[at]);
    bars.replaceChildren(...shown.map((each, i) => row(each, i < SHOWN ? i : at)));
    if (focused >= 0) bars.children[Math.min(focused, bars.children.length - 1)]?.focus();
    const others = 1 - shown.reduce((sum, _, i) => sum + now.q[i < SHOWN ? i : at], 0);
    say(summary, `${now.exact ? "" : "about "}${count(now.kept)} of ${count(token.size)} tokens can be drawn; the others here hold ${others < 1e-9 ? "nothing" : percent(others)}. ${entropy(now).toFixed(2)} bits of choice, ${entropy(model_).toFixed(2)} of the model itself. Outline: the model; bar: what is drawn from.`);
    side.dataset.kept = now.kept;
    side.dataset.exact = now.exact;
  }

  function tables() {
    const { tokens } = chosen();
    const rows = branches().map((branch) => {
      const written = tokensOf(branch).slice(branch.from === null ? model.get("given") : branch.at).filter((token) => token.count !== undefined);
      const bits = written.reduce((sum, token) => sum + (token.bits ?? 0), 0);
      return [String(branch.n), branch.from === null ? "" : `${branch.from} at ${branch.at}`, count(written.length), bits.toFixed(1), written.length ? (bits / written.length).toFixed(2) : "–", branch.text];
    });
    const places = tokens.map((token, place) => {
      const q = token.count === undefined ? null : own(numbersOf(token), token.size, token.rest, model.get("temperatures")).q;
      return [String(place), token.label, token.bits === null ? "" : percent(2 ** -token.bits), token.rank === null ? "" : count(token.rank), token.bits === null ? "" : token.bits.toFixed(2), q ? token.best.slice(0, 3).map(([, label], i) => `${label} ${percent(q[i])}`).join(", ") : ""];
    });
    sheet.replaceChildren(el("div", { class: "nbllm-sheet", tabindex: "0", role: "region", "aria-label": "tables of branches and tokens" }, table("Branches", ["branch", "parts from", "tokens", "bits", "bits a token", "text"], rows),
      table(`Tokens of branch ${view.branch}`, ["place", "token", "probability", "rank", "bits", "expected"], places)));
  }

  // From the kernel.
  const numbers = () => {
    const bytes = model.get("logits");
    const copy = bytes instanceof DataView ? bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) : new ArrayBuffer(0);
    logits = new Float32Array(copy);
  };
  const draw = nextFrame(signal, () => { numbers(); strips(); });
  const told = () => {
    const busy = model.get("busy");
    say(status, busy ? `${busy} …` : "");
    stop.disabled = !busy;
    fault.tell(model.get("fault"));
  };
  const themed = () => { dark = palette(root).dark; strips(); };
  listen(["branches", "logits"], draw);
  listen(["busy", "fault"], told);
  listen("prompt", () => { if (document.activeElement !== prompt) prompt.value = model.get("prompt"); });
  listen("view", () => { const news = model.get("view"); if (JSON.stringify(news) !== JSON.stringify(view)) { view = { ...news }; pinned = false; strips(); } });
  onTheme(signal, themed);
  say(title, "");
  title.append(el("span", { class: "nbllm-name" }, model.get("title")));
  prompt.value = model.get("prompt");
  numbers();
  told();
  requestAnimationFrame(themed);
  strips();
  return () => { end(); clearTimeout(later); clearTimeout(hover); };
}

export default { render };
