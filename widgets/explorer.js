// The attention explorer: all heads as pictures, one of them as a heatmap, as lines or as its strongest pairs, what was
// measured of every head, steps of a training and two of them side by side. The weights lie in the page: all of it works
// while the kernel is busy or gone.
import { begin, tabList } from "./begin.js";
import { palette } from "./chart.js";
import { choice, count, el, freshId, say, slider } from "./dom.js";
import { headTable, pictures, widthOf } from "./explorer-heads.js";
import { heat, holding, wholeOf, zoomed } from "./explorer-heat.js";
import { lines } from "./explorer-lines.js";
import { legendBar, pairTable } from "./explorer-pairs.js";
import { difference, largest, mapsOf, SCALES, shading } from "./explorer-store.js";
import { alike, sentence, told } from "./explorer-words.js";

const VIEWS = { heatmap: "Heatmap", lines: "Lines", pairs: "Strongest pairs", heads: "Heads" };
const HOW = { off: "one", side: "side by side", difference: "difference" };
const BEAT = 350; // ms a step when played

function render(context) {
  const { model, el: root } = context;
  const { signal, listen, end } = begin(context, "nbllm-explorer");

  const store = mapsOf(model, () => later());
  let chosen = { ...model.get("view") };
  let cursor = null, focus = null, window_ = null; // the cell, the token of the lines, and what of the map is seen
  let colours = null, playing = null, lastMap = "heatmap"; // which view of a map was seen last
  const changed = (news) => {
    chosen = { ...chosen, ...news };
    model.set("view", chosen);
    model.save_changes();
    show();
  };

  // Sources, steps and maps that are chosen, kept to what there is.
  const sources = () => model.get("sources");
  const kept = (value, most) => Math.max(0, Math.min(value ?? 0, most));
  const pick = ([s, t]) => { const at = kept(s, sources().length - 1); return [at, kept(t ?? 1e9, sources()[at].steps.length - 1)]; };
  const number = (source, m) => (m < source.layers * source.heads ? [Math.floor(m / source.heads), m % source.heads] : null);
  const name = (source, m) => { const at = number(source, m); return at ? `layer ${source.blocks[at[0]]}, head ${at[1]}` : source.extras[m - source.layers * source.heads]; };
  const total = (source) => source.layers * source.heads + source.extras.length;
  const stepName = (source, t) => (source.steps[t] === null ? "" : `step ${count(source.steps[t])}`);
  const label = ([s, t]) => [sources().length > 1 ? sources()[s].name : "", stepName(sources()[s], t)].filter(Boolean).join(", ");
  // What stands beside it: another source at its latest step, or the first step of the same.
  const other = () => chosen.b ?? (sources().length > 1 ? [(pick(chosen.a)[0] + 1) % sources().length, null] : [0, 0]);

  // Controls.
  const options = (select, names) => {
    const now = JSON.stringify(names);
    if (select.dataset.names === now) return;
    select.dataset.names = now;
    select.replaceChildren(...names.map((text, i) => el("option", { value: i }, text)));
  };
  const labelled = (text, ...inputs) => el("label", { class: "nbllm-control" }, el("span", {}, text), ...inputs);
  const sourceA = el("select", { "aria-label": "map", onchange: () => changed({ a: [Number(sourceA.value), null] }) });
  const sourceB = el("select", { "aria-label": "beside it", onchange: () => changed({ b: [Number(sourceB.value), chosen.b?.[1] ?? null] }) });
  const stepA = slider("step", 0, 0, 1, 0, (t) => changed({ a: [pick(chosen.a)[0], t] }), (t) => stepName(sources()[pick(chosen.a)[0]], t).slice(5));
  const stepB = slider("its step", 0, 0, 1, 0, (t) => changed({ b: [pick(other())[0], t] }), (t) => stepName(sources()[pick(other())[0]], t).slice(5));
  const play = el("button", { type: "button", class: "nbllm-button nbllm-play", onclick: () => toggle() }, "▶ play");
  const how = choice("compare", "compare", HOW, "off", (key) => changed({ how: key }));
  const layer = el("select", { "aria-label": "layer", onchange: () => { const source = sources()[pick(chosen.a)[0]]; const l = Number(layer.value); changed({ map: l < source.layers ? l * source.heads + kept(number(source, chosen.map)?.[1], source.heads - 1) : source.layers * source.heads + l - source.layers }); } });
  const head = el("select", { "aria-label": "head", onchange: () => { const source = sources()[pick(chosen.a)[0]]; changed({ map: number(source, chosen.map)[0] * source.heads + Number(head.value) }); } });
  const scale = el("select", { "aria-label": "colours", onchange: () => changed({ scale: Object.keys(SCALES)[Number(scale.value)] }) });
  options(scale, Object.values(SCALES).map((each) => each.name));
  const zoomButton = (text, spoken, act) => el("button", { type: "button", class: "nbllm-button nbllm-small", "aria-label": spoken, title: spoken, onclick: act }, text);
  const zoomBy = (factor) => { const map = current?.map; if (!map) return; const w = seen(map); look(zoomed(w, factor, map, cursor?.[0] ?? (w.r0 + w.r1) >> 1, cursor?.[1] ?? (w.c0 + w.c1) >> 1)); };
  const where = el("span", { class: "nbllm-quiet nbllm-number" });
  const zoom = el("span", { class: "nbllm-control", role: "group", "aria-label": "zoom" },
    zoomButton("+", "closer (key +)", () => zoomBy(0.5)), zoomButton("−", "farther (key −)", () => zoomBy(2)), zoomButton("whole", "the whole map (key 0)", () => look(null)), where);
  const labelA = labelled("map", sourceA), labelB = labelled("beside", sourceB);
  const controlsTop = el("div", { class: "nbllm-controls" }, el("span", { class: "nbllm-together" }, labelA, stepA.node, play), el("span", { class: "nbllm-together" }, how.node, labelB, stepB.node));
  const controlsHead = el("div", { class: "nbllm-controls" }, labelled("layer", layer), labelled("head", head), labelled("colours", scale), zoom);

  // Tabs.
  const readId = freshId("read"), bodyId = freshId("view");
  const tabs = tabList("ways to see the attention", VIEWS, (key) => changed({ show: key }));

  // What is seen.
  const title = el("div", { class: "nbllm-title" });
  const heading = el("div", { class: "nbllm-explorer-heading" });
  const read = el("div", { class: "nbllm-read", id: readId, role: "status", "aria-live": "polite" });
  const tip = el("div", { class: "nbllm-tip", "aria-hidden": "true", hidden: true });
  const heats = [0, 1].map((i) => heat({ oncursor: (cell, pointed) => move(cell, pointed, i), onwindow: look, describedby: readId }));
  const links = [0, 1].map(() => lines({ onfocus: (found) => { focus = found; drawMap(); tell(); }, onscroll: (top) => links.forEach((each) => each.scroll(top)), describedby: readId }));
  const pairs = pairTable((r, c) => open(r, c));
  const heads = headTable({ choose: (m) => { changed({ map: m, show: lastMap }); tabs.of(lastMap).focus({ preventScroll: true }); }, sort: (i) => changed({ sort: chosen.sort[0] === i ? [i, !chosen.sort[1]] : [i, i > 1] }) });
  const legend = legendBar();
  const stage = el("div", { class: "nbllm-stage" });
  const body = el("div", { role: "tabpanel", id: bodyId }, heading, stage, legend.node, read);
  const grid = pictures((m) => changed({ map: m }));
  const foot = el("div", { class: "nbllm-quiet nbllm-explorer-foot" });
  const left = el("div", { class: "nbllm-explorer-left" }, grid.node);
  const right = el("div", { class: "nbllm-explorer-right" }, el("div", { class: "nbllm-row" }, tabs.node), controlsHead, body);
  const main = el("div", { class: "nbllm-explorer-body" }, left, right);
  root.replaceChildren(title, controlsTop, main, foot, tip);

  let current = null; // what stands on the stage: {map, beside, source, ...}
  const seen = (map) => { const w = window_ ?? wholeOf(map); return w.r1 <= map.rows && w.c1 <= map.columns ? w : wholeOf(map); };
  function look(window) {
    window_ = window && current?.map && (window.r1 - window.r0 < current.map.rows || window.c1 - window.c0 < current.map.columns) ? window : null;
    drawMap();
  }
  function move(cell, pointed, place) {
    cursor = cell;
    if (current?.map) { const w = seen(current.map); const held = holding(w, ...cell); if (held.r0 !== w.r0 || held.c0 !== w.c0) window_ = held; }
    drawMap();
    tell();
    point(place, pointed);
  }

  // Read out by a screen reader.
  function tell() {
    read.replaceChildren(...(current?.map ? told(current, chosen.show, cursor, focus) : []));
  }
  // The tip beside the cell under the mouse.
  function point(place, pointed) {
    const spot = cursor && heats[place].point(...cursor);
    const away = !spot || chosen.show !== "heatmap" || !pointed;
    tip.hidden = away;
    if (away) return;
    tip.replaceChildren(...sentence(current, ...cursor));
    const box = heats[place].canvas.getBoundingClientRect(), home = root.getBoundingClientRect();
    const x = box.left - home.left + spot.x;
    tip.style.left = `${Math.max(0, x > home.width - 260 ? x - tip.offsetWidth - 18 : x + 18)}px`;
    tip.style.top = `${box.top - home.top + spot.y + 16}px`;
  }
  for (const each of heats) {
    each.canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    each.canvas.addEventListener("blur", () => { tip.hidden = true; });
  }

  function compute() {
    const [s, t] = pick(chosen.a), source = sources()[s], m = kept(chosen.map, total(source) - 1);
    const nearestOf = ([s_, t_]) => { const at = store.nearest(s_, t_); return at < 0 ? t_ : at; };
    let first = store.map(s, t, m), shownT = t;
    if (!first) { shownT = nearestOf([s, t]); first = shownT === t ? null : store.map(s, shownT, m); }
    const comparing = chosen.how !== "off";
    const [bs, bt] = pick(other()), sourceB_ = sources()[bs], mb = kept(chosen.map, total(sourceB_) - 1);
    const second = comparing ? store.map(bs, bt, mb) : null;
    const fits = first && second && alike(first, second);
    const signed = comparing && chosen.how === "difference" && fits && !first.packed === !second.packed;
    current = {
      m, source, s, t, shownT, sourceB: sourceB_, mb, first, second, at: [bs, bt], comparing,
      map: signed ? difference(second, first) : first, beside: comparing && !signed ? second : null,
      tokens: { queries: source.tokens, keys: source.keys }, tokensB: { queries: sourceB_.tokens, keys: sourceB_.keys },
      unfit: comparing && chosen.how === "difference" && first && second && !signed,
    };
    if (current.map) current.most = current.beside && alike(current.map, current.beside) ? Math.max(largest(current.map), largest(current.beside)) || 1 : largest(current.map) || 1;
  }

  function drawMap() {
    if (!current || !colours) return;
    const started = performance.now();
    const { map, beside, source, tokens, tokensB } = current;
    const wide = stage.clientWidth || right.clientWidth;
    const show_ = chosen.show;
    const two = !!beside && (show_ === "heatmap" || show_ === "lines");
    const width = two ? Math.floor((wide - 18) / 2) : wide;
    const pair = show_ === "lines" ? links : heats;
    if (show_ === "heatmap" || show_ === "lines") {
      const nodes = map ? (two ? [pair[0].node, pair[1].node] : [pair[0].node]) : [el("p", { class: "nbllm-quiet" }, "This map is on its way from the kernel …")];
      if (!map || stage.children.length !== nodes.length || nodes.some((node, i) => stage.children[i] !== node)) stage.replaceChildren(...nodes);
      if (map) {
        [[map, tokens, current.source, [current.s, current.shownT], current.m], [beside, tokensB, current.sourceB, current.at, current.mb]].slice(0, two ? 2 : 1).forEach(([each, own, from, at, m], i) => {
          const part = pair[i];
          const caption = two ? label(at) : map.signed ? `${label([current.s, current.shownT])} less ${label(current.at)}` : "";
          say(part.caption, caption);
          part.caption.hidden = !caption;
          const what = `${map.signed ? `Difference of ${caption}, ` : ""}${name(from, m)}${two ? `, ${caption}` : ""}`;
          part.canvas.setAttribute("aria-label", show_ === "heatmap" ? `Heatmap of ${what}: ${each.rows} tokens that look, ${each.columns} looked at. Arrow keys move, + and − zoom, 0 shows the whole, Enter goes to the strongest of the row.`
            : `Lines of ${what}. Up and down go from token to token, left and right change the side.`);
          if (show_ === "lines") part.set({ map: each, queries: own.queries, keys: own.keys, colours, width, most: current.most, focus: focus && focus[1] < (focus[0] ? each.columns : each.rows) ? focus : null, signed: each.signed });
          else part.set({ map: each, queries: own.queries, keys: own.keys, window: alike(map, each) ? seen(map) : wholeOf(each), cursor: cursor && cursor[0] < each.rows && cursor[1] < each.columns ? cursor : null, shade: shadeOf(each), colours, width });
        });
      }
    }
    legend.node.hidden = !map || show_ !== "heatmap";
    if (!legend.node.hidden) legend.set(shadeOf(map), chosen.scale, map.signed, colours);
    const w = map && seen(map);
    say(where, map && window_ && show_ === "heatmap" ? `queries ${count(w.r0)}–${count(w.r1 - 1)}, keys ${count(w.c0)}–${count(w.c1 - 1)} of ${count(map.columns)}` : "");
    root.dataset.drawn = (performance.now() - started).toFixed(1); // what it took to draw, for those who measure
  }
  let shadeKept = [];
  function shadeOf(map) {
    const key = [chosen.scale, colours.dark, current.most];
    if (!shadeKept.length || shadeKept[0].signed !== !!map.signed || JSON.stringify(shadeKept[1]) !== JSON.stringify(key)) shadeKept = [{ signed: !!map.signed }, key, shading(map, chosen.scale, colours.dark, current.most)];
    return shadeKept[2];
  }
  function drawPictures() {
    const { s, shownT, source, m } = current;
    const shades = new Map();
    const shade = (map) => {
      const most = SCALES[chosen.scale].fixed ? 1 : largest(map) || 1;
      const key = SCALES[chosen.scale].fixed ? "" : String(most);
      if (!shades.has(key)) shades.set(key, shading(map, chosen.scale, colours.dark, most));
      return shades.get(key);
    };
    const kinds = measured(s, shownT);
    grid.set({ source, chosen: m, width: left.clientWidth, small: (at) => store.small(s, shownT, at), shade, look: `${chosen.scale} ${colours.dark}`, title: (at) => [name(source, at), kinds?.[at]?.kind].filter(Boolean).join(", ") });
  }

  // What Python measured of the heads: columns of numbers, and kinds by their numbers.
  function measured(s, t) {
    const measures = model.get("measures");
    const found = measures.rows?.[`${s}:${t}`];
    if (!found) return null;
    const source = sources()[s];
    return found.map(([kind, rank, ...values], m) => ({ m, rank, name: name(source, m), brief: `${source.blocks[number(source, m)[0]]} / ${number(source, m)[1]}`, kind: measures.kinds[kind] ?? "", values: values.map((v) => v ?? NaN) }));
  }

  function open(r, c) {
    cursor = [r, c];
    focus = [0, r];
    if (current.map.rows > 64) window_ = zoomed(wholeOf(current.map), 48 / current.map.rows, current.map, r, c);
    changed({ show: "heatmap" });
    heats[0].canvas.focus({ preventScroll: true });
  }

  function drawHeading() {
    const { source, m, s, shownT, t } = current;
    const kind = measured(s, shownT)?.[m]?.kind;
    const late = shownT !== t ? `step ${count(source.steps[t])} is being computed: the nearest is shown` : current.comparing && !current.second ? "the other is on its way" : current.unfit ? "their texts have other lengths: no difference can be taken" : "";
    heading.replaceChildren(el("b", {}, name(source, m)), ...(kind ? [el("span", { class: "nbllm-kind" }, kind)] : []),
      ...(label([s, shownT]) && !current.comparing ? [el("span", { class: "nbllm-quiet" }, label([s, shownT]))] : []), ...(chosen.show === "heatmap" && !late ? [el("span", { class: "nbllm-quiet" }, "each row: what a token looks at")] : []), ...(late ? [el("span", { class: "nbllm-late" }, late)] : []));
  }

  function show() {
    if (signal.aborted || !sources().length || !root.isConnected || !root.clientWidth) return; // unseen: drawn when it is seen
    colours = coloursOf(root);
    compute();
    if (chosen.show === "heatmap" || chosen.show === "lines") lastMap = chosen.show;
    const { source, m, s, t, at } = current;
    const all = sources();
    say(title, "");
    title.replaceChildren(el("span", { class: "nbllm-name" }, model.get("title")), el("span", { class: "nbllm-quiet" },
      `${source.rows === source.columns ? `${count(source.rows)} tokens` : `${count(source.rows)} by ${count(source.columns)} tokens`} · ${source.layers} ${source.layers === 1 ? "layer" : "layers"} × ${source.heads} ${source.heads === 1 ? "head" : "heads"}`));
    const names = all.map((each) => each.name);
    options(sourceA, names);
    options(sourceB, names);
    sourceA.value = s;
    sourceB.value = at[0];
    labelA.hidden = all.length < 2;
    stepA.set(source.steps.length - 1, t);
    play.hidden = source.steps.length < 2;
    const possible = all.length > 1 || source.steps.length > 1;
    how.node.hidden = !possible;
    how.pick(chosen.how);
    labelB.hidden = !current.comparing || all.length < 2;
    stepB.set(all[at[0]].steps.length - 1, at[1]);
    if (!current.comparing) stepB.node.hidden = true;
    controlsTop.hidden = !possible;
    options(layer, [...source.blocks.map(String), ...source.extras]);
    options(head, Array.from({ length: source.heads }, (_, h) => String(h)));
    const place = number(source, m);
    layer.value = place ? place[0] : source.layers + m - source.layers * source.heads;
    head.value = place ? place[1] : 0;
    head.disabled = !place;
    scale.value = Object.keys(SCALES).indexOf(chosen.scale);
    tabs.mark(chosen.show, body);
    scale.parentElement.hidden = chosen.show !== "heatmap" || chosen.how === "difference";
    zoom.hidden = chosen.show !== "heatmap";
    if (root.clientWidth > 700) main.style.gridTemplateColumns = `${widthOf(source, root.clientWidth * (current.beside ? 0.22 : 0.36))}px minmax(0, 1fr)`;
    else main.style.removeProperty("grid-template-columns");
    drawHeading();
    if (chosen.show === "pairs") {
      stage.replaceChildren(pairs.node);
      if (current.map) pairs.set(current, name(source, m));
    }
    if (chosen.show === "heads") {
      const rows = measured(s, current.shownT), step = label([s, current.shownT]);
      const node = rows ? heads.node : el("p", { class: "nbllm-quiet" }, "These heads have not been measured.");
      if (stage.firstChild !== node) stage.replaceChildren(node);
      const columns = model.get("measures").columns;
      if (rows) heads.set({ rows, columns, by: chosen.sort, chosen: m, text: `What was measured of each head${step ? `, ${step}` : ""}` });
    }
    drawMap();
    drawPictures();
    tell();
    tip.hidden = true;
    const news = model.get("progress");
    say(foot, [`${size(store.bytes())} of weights in this page`, news].filter(Boolean).join(" · "));
  }
  let waiting = false;
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; show(); }); } };
  listen(["sources", "frames", "measures", "progress", "title"], later);

  function toggle() {
    if (playing) { clearInterval(playing); playing = null; } else {
      const [s, t] = pick(chosen.a), last = sources()[s].steps.length - 1;
      if (t >= last) changed({ a: [s, 0] });
      playing = setInterval(() => {
        const [s_, t_] = pick(chosen.a);
        if (t_ >= sources()[s_].steps.length - 1) return toggle();
        changed({ a: [s_, t_ + 1] });
      }, BEAT);
    }
    play.textContent = playing ? "❚❚ pause" : "▶ play";
  }

  // Drawn again for another width or another theme.
  let width = 0;
  const sizes = new ResizeObserver(() => { const now = root.clientWidth; if (Math.abs(now - width) > 1) { width = now; later(); } });
  sizes.observe(root);
  const themes = new MutationObserver(() => [60, 700].forEach((wait) => setTimeout(later, wait)));
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-jp-theme-light", "data-vscode-theme-kind", "theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later, { signal });
  later();
  return () => {
    end();
    clearInterval(playing);
    sizes.disconnect();
    themes.disconnect();
  };
}

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function coloursOf(root) {
  const base = palette(root), style = getComputedStyle(root);
  const read = (variable, otherwise) => style.getPropertyValue(variable).trim() || otherwise;
  return { ...base, accent: base.dark ? "#56b4e9" : "#0072b2", warm: base.dark ? "#ffa54a" : "#c44f00", faint: base.line, ground: read("--jp-layout-color0", base.dark ? "#111111" : "#ffffff") };
}

export default { render };
