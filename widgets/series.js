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

// What an evaluation measured beside the loss: a column a name, a value a held-out row.
export function measures(model) {
  const names = model.get("measured") ?? [], view = model.get("measures");
  if (!names.length || !view?.byteLength) return {};
  const all = new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const rows = all.length / names.length;
  return Object.fromEntries(names.map((name, i) => [name, all.slice(i * rows, (i + 1) * rows)]));
}

// Mean over a window that fades to both sides, so that the smooth curve does not lag behind the other: running_mean of
// nbllm/plots/curves.py, the same here.
export function smooth(steps, values, smoothing) {
  const rows = values.length;
  const constant = Math.max((smoothing ** 2 * Math.max(steps[rows - 1] - steps[0], 1)) / 10, 1e-9);
  const total = new Float64Array(rows), weight = new Float64Array(rows);
  for (const way of [1, -1]) {
    let sum = 0, mass = 0;
    for (let i = 0, row = way > 0 ? 0 : rows - 1; i < rows; i += 1, row += way) {
      const fade = i ? Math.exp(-Math.abs(steps[row] - steps[row - way]) / constant) : 0;
      sum *= fade;
      mass *= fade;
      total[row] += sum;
      weight[row] += mass;
      if (Number.isFinite(values[row])) {
        sum += values[row];
        mass += 1;
        if (way > 0) { total[row] += values[row]; weight[row] += 1; }
      }
    }
  }
  return total.map((sum, row) => (weight[row] ? sum / weight[row] : NaN));
}
