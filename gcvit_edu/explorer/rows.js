// ------------------------------------------------------------ reading the data: blocks, tokens, rows, and words
// A share is a byte divided by the sum of its row's bytes: so stored, every row sums to one.

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.01 ? 2 : 1)}\u00a0%`;
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const by = (lengths) => lengths.join("\u00a0×\u00a0");
const place = (row, column) => `row ${row + 1}, column ${column + 1}`;

/** A block as it was packed, with its bytes decoded when they are first asked for. */
function readBlock(packed) {
  let rows = null;
  const tokens = packed.window ** 2, heads = packed.everyHead ? packed.heads : 1;
  const block = {
    ...packed,
    kind: packed.global ? "global" : "local",
    name: `${packed.stage + 1}.${packed.block + 1} · ${packed.global ? "global" : "local"}`,
    choices: packed.everyHead && packed.heads > 1 ? packed.heads : 0,
    seen: bytesOf(packed.seen),
    stride: 4 << packed.stage, // pixels of the network's picture on a token's side
    windows: packed.grid[0] * packed.grid[1],
    tokens,
  };

  /** The shares that query i of a window gives to its keys; head -1 is the mean of all heads. */
  block.row = (window, head, i) => {
    rows ??= bytesOf(packed.rows);
    const shares = new Float64Array(tokens);
    const chosen = head < 0 ? [...Array(heads).keys()] : [head];
    for (const one of chosen) {
      const start = ((window * heads + one) * tokens + i) * tokens;
      let sum = 0;
      for (let key = 0; key < tokens; key++) sum += rows[start + key];
      for (let key = 0; key < tokens; key++) shares[key] += rows[start + key] / sum / chosen.length;
    }
    return shares;
  };

  /** The token that a point of the picture lies in, [row, column]; the point is in pixels, [y, x]. */
  block.tokenAt = (point) =>
    point.map((at, axis) => Math.max(0, Math.min(packed.map[axis] - 1, Math.floor(at / block.stride))));

  /** A token's window, its place in there, and the place as one number. */
  block.within = ([row, column]) => {
    const side = packed.window, at = [row % side, column % side];
    const window = [Math.floor(row / side), Math.floor(column / side)];
    return { window, index: window[0] * packed.grid[1] + window[1], at, query: at[0] * side + at[1] };
  };

  /** The token that stands at place key of a window, or null where there is only padding. */
  block.tokenOf = (window, key) => {
    const row = Math.floor(window / packed.grid[1]) * packed.window + Math.floor(key / packed.window);
    const column = (window % packed.grid[1]) * packed.window + (key % packed.window);
    return row < packed.map[0] && column < packed.map[1] ? [row, column] : null;
  };

  /** The shares to paint for a selected token, [{window, shares}]: its own window's, or those of every window that
      has a token at this place. Elsewhere there is only padding, which asks nothing. */
  block.asked = (token, head) => {
    const { index, query } = block.within(token);
    const windows = packed.global ? [...Array(block.windows).keys()].filter((w) => block.tokenOf(w, query)) : [index];
    return windows.map((window) => ({ window, shares: block.row(window, head, query) }));
  };
  return block;
}

/** The keys of one row, the largest share first; how many of them have half of it; how many are real tokens. */
function summary(block, window, shares) {
  const real = [...shares.keys()].filter((key) => block.tokenOf(window, key));
  const order = real.sort((one, other) => shares[other] - shares[one] || one - other);
  let half = 0, sum = 0;
  while (sum < 0.5 && half < order.length) sum += shares[order[half++]];
  return { top: order[0], half, real: order.length };
}

/** What is selected, as a sentence: [its emphasised start, the rest]. */
function describe(block, token, head) {
  const { window, index, at, query } = block.within(token);
  const shares = block.row(index, head, query);
  const { top, half, real } = summary(block, index, shares);
  const goal = block.tokenOf(index, top);
  const itself = goal.every((at, axis) => at === token[axis]);
  const many = block.windows > 1, whole = "the whole map, which is one window";
  const most = `The largest share${block.global && many ? " in the selected token's window" : ""}`;
  const even = `equal shares would be ${percent(1 / real)} each`;
  const goes = (self) => `${most}, ${percent(shares[top])}, goes to ${itself ? self : place(...goal)}. ` +
    `At least half of the attention goes to ${half} of ${plural(real, "token")}; ${even}.`;
  if (!block.global) {
    const where = many ? `its own window (${place(...window)} of ${by(block.grid)})` : whole;
    return [`The token in ${place(...token)}`, ` of ${by(block.map)} asks ${where}. ${goes("itself")}`];
  }
  const asked = block.asked(token, head).length, every = asked === block.windows ? "all " : "";
  const where = many ? `${every}${plural(asked, "window")}, in each as the query of the token at this place` : whole;
  const size = window.map((which, axis) => Math.min(block.window, block.map[axis] - which * block.window));
  const pooled = size.some((side) => side < block.window) ? ", pooled to the part of its window on the map," : "";
  const cell = `The cell in ${place(...at)} of the ${by(size)} global query`;
  return [cell + pooled, `${many ? " (dashed)" : ""} asks ${where}. ${goes("the selected token")}`];
}
