// The button that keeps a run past the end of a Binder: the kernel packs it, the page asks for piece after piece.
import { el, isOff, off, say } from "./dom.js";

// Returns the button and `reset`, for when the kernel has said that it cannot be done.
export function download(model) {
  let pieces = null; // what has come; null while nothing was asked for here
  const button = el("button", { type: "button", class: "nbllm-button", title: "the whole run as one file; %llm_runs --unpack FILE brings it back", onclick: () => {
    if (isOff(button)) return;
    pieces = [];
    say(button, "Packing …");
    off(button, true);
    model.send({ kind: "download", part: 0 });
  } }, "Download");
  const reset = () => {
    pieces = null;
    off(button, false);
    say(button, "Download");
  };
  model.on("msg:custom", (content, buffers) => {
    if (content.kind !== "piece" || !pieces || content.part !== pieces.length) return;
    pieces.push(buffers[0]);
    if (pieces.length < content.parts) {
      say(button, `${Math.round((100 * pieces.length) / content.parts)} %`);
      return model.send({ kind: "download", part: pieces.length });
    }
    const address = URL.createObjectURL(new Blob(pieces, { type: "application/zip" }));
    el("a", { href: address, download: content.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    reset();
  });
  return { button, reset };
}
