/**
 * The demo's training: arguments of `ltx-trainer train`, run in the repository's root. `npm run eval:nano` examines the same.
 */

/** Combinations that no clip of the example shows, and the colours of their objects. */
export const previews = [
  { prompt: "glowpulse style, a yellow heart moving to the right on a navy background", colour: "yellow" },
  { prompt: "glowpulse style, a blue star growing on a black background", colour: "blue" },
];

export const demoTraining = [
  ...["train", "examples/glowpulse.zip", "--base", "ltx-nano", "--number-of-steps", "200"],
  ...["--learning-rate", "0.002"],
  ...previews.flatMap(({ prompt }) => ["--validation", prompt]),
  ...["--validation-resolution", "medium"],
];
