// What temperature, top k, top p and min p leave of a distribution, in the order in which generation applies them
// (nbllm/generation/sampling.py).

// Settings that a slider goes through; the last top k, top p and the first min p change nothing.
export const TOP_KS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, null];

// `logits` are the largest, in order, of `size` tokens; `rest` has, for each of `temperatures`, the log of the sum of
// exp((logit - largest) / temperature) over the others (empty where there are none).
// Gives the share of each, that of all others together, how many are kept, and whether that is exact: it is not where a
// cut falls among the others, of which only the sum is known.
export function shares(logits, size, rest, temperatures, { temperature, top_k, top_p, min_p }) {
  const n = logits.length;
  const found = { q: new Float64Array(n), others: 0, kept: 0, exact: true };
  if (!n) return found;
  if (!temperature) {
    found.q[0] = 1;
    found.kept = 1;
    return found;
  }
  const scaled = Float64Array.from(logits, (logit) => (logit - logits[0]) / temperature);
  let beyond = 0;
  if (rest.length) {
    const nearest = temperatures.reduce((best, each, i) => (Math.abs(each - temperature) < Math.abs(temperatures[best] - temperature) ? i : best), 0);
    beyond = Math.exp(rest[nearest]);
    found.exact = Math.abs(temperatures[nearest] - temperature) < 1e-9;
  }
  let kept = n;
  if (top_k !== null && top_k !== undefined && top_k < size) {
    const threshold = scaled[Math.min(top_k, n) - 1];
    kept = scaled.findIndex((each) => each < threshold);
    if (kept < 0) kept = n;
    if (beyond && kept === n) found.exact = false; // ties that may go on among the others
    beyond = 0;
  }
  if (top_p !== null && top_p !== undefined) {
    let total = beyond;
    for (let i = 0; i < kept; i += 1) total += Math.exp(scaled[i]);
    let before = 0, i = 0;
    for (; i < kept && (i === 0 || before / total < top_p); i += 1) before += Math.exp(scaled[i]);
    if (i < kept || before / total >= top_p) beyond = 0;
    else if (beyond && top_p < 1) {
      beyond = top_p * total - before; // about: the last of them is kept whole
      found.exact = false;
    }
    kept = i;
  }
  if (min_p) {
    const threshold = Math.log(min_p);
    let i = 0;
    while (i < kept && scaled[i] >= threshold) i += 1;
    if (i < kept) beyond = 0;
    else if (beyond) found.exact = false;
    kept = i;
  }
  let sum = beyond;
  for (let i = 0; i < kept; i += 1) sum += Math.exp(scaled[i]);
  for (let i = 0; i < kept; i += 1) found.q[i] = Math.exp(scaled[i]) / sum;
  found.others = beyond / sum;
  found.kept = beyond ? size - (n - kept) : kept;
  return found;
}

// The model's own probabilities: all of them, at temperature 1.
export function own(logits, size, rest, temperatures) {
  return shares(logits, size, rest, temperatures, { temperature: 1, top_k: null, top_p: null, min_p: null });
}

// How spread out shares are, in bits; of those that are not known one by one only what they have at least.
export function entropy({ q, others }) {
  let bits = others > 0 ? -others * Math.log2(others) : 0;
  for (const share of q) if (share > 0) bits -= share * Math.log2(share);
  return bits;
}
