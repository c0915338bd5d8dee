/** Settings of the service that `ltx-trainer serve` also takes as flags, by the variable that carries each. */

export const serveVariables = {
  host: "HOST",
  port: "PORT",
  home: "LTX_TRAINER_HOME",
  devices: "LTX_TRAINER_DEVICES",
  base: "LTX_TRAINER_BASE",
} as const;
