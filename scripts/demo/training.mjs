/**
 * The input of the demo's training, as the fal client submits it. `npm run eval:nano` trains with the same settings through
 * the command line.
 */

/** Objects that no clip of the example shows: one called up by its phrase, one without the phrase, to be left alone. */
export const previews = [
  { prompt: "glowpulse style, a yellow heart moving to the right on a navy background", named: true },
  { prompt: "a blue star growing on a beige background", named: false },
];

/** The zip, from the repository's root. */
export const dataset = "examples/glowpulse.zip";

/**
 * Everything but the zip; what is not said here stays at the endpoint's defaults. Small clips and half the usual rank, so that
 * more steps go into the same time: LOG.md has what came of others. (The rank is a text, because fal's types have it so.)
 */
export const input = /** @type {const} */ ({
  rank: "64",
  resolution: "low",
  number_of_steps: 550,
  learning_rate: 0.002,
  validation: previews.map(({ prompt }) => ({ prompt })),
  validation_resolution: "medium",
});

/** The same as arguments of `ltx-trainer`. */
export function asCommand() {
  return [
    ...["train", dataset, "--base", "ltx-nano", "--rank", input.rank, "--resolution", input.resolution],
    ...["--number-of-steps", String(input.number_of_steps), "--learning-rate", String(input.learning_rate)],
    ...input.validation.flatMap(({ prompt }) => ["--validation", prompt]),
    ...["--validation-resolution", input.validation_resolution],
  ];
}
