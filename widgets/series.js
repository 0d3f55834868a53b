// The curves as the kernel packs them: rows of float64, unpacked into columns.

const COLUMNS = ["step", "tokens", "seconds", "loss", "mean", "lr", "grad_norm", "memory"];
const HELD = ["step", "tokens", "seconds", "loss"];

function unpack(views, names) {
  const arrays = views.filter((view) => view && view.byteLength).map((view) =>
    new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)));
  const rows = arrays.reduce((sum, a) => sum + a.length, 0) / names.length;
  const columns = Object.fromEntries(names.map((name) => [name, new Float64Array(rows)]));
  let row = 0;
  for (const array of arrays) {
    for (let at = 0; at < array.length; at += names.length, row += 1) {
      names.forEach((name, i) => { columns[name][row] = array[at + i]; });
    }
  }
  return columns;
}

export function train(model) {
  const columns = unpack([model.get("base"), model.get("tail")], COLUMNS);
  const rate = new Float64Array(columns.step.length).fill(NaN);
  // Tokens a second between rows at least half a second apart: closer, the clock's grain is all one would see.
  for (let row = 1, from = 0; row < rate.length; row += 1) {
    const passed = columns.seconds[row] - columns.seconds[from];
    if (passed >= 0.5) {
      rate[row] = (columns.tokens[row] - columns.tokens[from]) / passed;
      from = row;
    }
  }
  columns.rate = rate;
  return columns;
}

export const heldOut = (model) => unpack([model.get("held")], HELD);

// Exponential mean with a time constant of smoothing² / 5 of the run's steps, free of bias at its start; see curves.py.
export function smooth(steps, values, smoothing) {
  const constant = Math.max((smoothing ** 2 * Math.max(steps[steps.length - 1] - steps[0], 1)) / 5, 1e-9);
  let total = 0, weight = 0;
  return values.map((value, row) => {
    const fade = Math.exp(-(row ? steps[row] - steps[row - 1] : 1) / constant);
    if (Number.isFinite(value)) {
      total = total * fade + (1 - fade) * value;
      weight = weight * fade + (1 - fade);
    }
    return weight ? total / weight : NaN;
  });
}
