/**
 * How much a training learned: its prediction error at start and end, compared at equal noise.
 *
 * The loss of a step depends far more on its noise level than on training progress. So losses are compared per noise
 * level, and each level has the same weight.
 */

/** @typedef {{ step: number, loss: number, sigma: number }} Metric */

const levels = 5;

/**
 * @param {string} text of `metrics.jsonl`
 * @returns {Metric[]}
 */
export function readMetrics(text) {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/**
 * Mean loss over the noise levels that both parts have seen.
 *
 * @param {readonly Metric[]} metrics in the order of the steps
 * @returns {{ first: number, last: number, steps: number } | undefined} of the first and the last third of the
 *   steps; undefined when they share no noise level
 */
export function compareThirds(metrics) {
  const steps = Math.floor(metrics.length / 3);
  const first = meanByLevel(metrics.slice(0, steps));
  const last = meanByLevel(metrics.slice(metrics.length - steps));
  const shared = [...first.keys()].filter((level) => last.has(level));
  if (shared.length === 0) return undefined;
  const mean = (/** @type {Map<number, number>} */ means) =>
    shared.reduce((sum, level) => sum + (means.get(level) ?? 0), 0) / shared.length;
  return { first: mean(first), last: mean(last), steps };
}

/** @param {readonly Metric[]} metrics */
export function describeLearning(metrics) {
  const compared = compareThirds(metrics);
  if (!compared) return `Learnt: too few steps (${metrics.length}) to tell.`;
  const { first, last, steps } = compared;
  const percent = Math.round((1 - last / first) * 100);
  const change = percent >= 0 ? `${percent} % less` : `${-percent} % more`;
  return (
    `Learnt: prediction error on the example's clips ${first.toFixed(3)} -> ${last.toFixed(3)}, ${change} ` +
    `(first ${steps} steps against the last ${steps}, at equal noise).`
  );
}

/**
 * @param {readonly Metric[]} metrics
 * @returns {Map<number, number>} level to mean loss
 */
function meanByLevel(metrics) {
  /** @type {Map<number, number[]>} */
  const losses = new Map();
  for (const { sigma, loss } of metrics) {
    const level = Math.min(levels - 1, Math.floor(sigma * levels));
    losses.set(level, [...(losses.get(level) ?? []), loss]);
  }
  return new Map(
    [...losses].map(([level, all]) => [level, all.reduce((sum, loss) => sum + loss, 0) / all.length]),
  );
}
