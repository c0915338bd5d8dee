/** Running the trainer for the command line: Ctrl-C asks it to stop in good order, twice ends it at once. */
import { onStopSignals, startTrainer, type TrainerProcess, type TrainerRun } from "@ltx-trainer/host";

export type InterruptibleRun = TrainerRun & {
  /** Called when the user asks to stop; `times` counts from 1. */
  readonly onInterrupt?: (times: number) => void;
};

/**
 * Runs one job to its end.
 *
 * @returns the outputs of the `finished` event
 * @throws AppError what the trainer reported, or `trainer_died`, or `interrupted`
 */
export async function runTrainer(run: InterruptibleRun): Promise<Readonly<Record<string, unknown>>> {
  const trainer = startTrainer(run);
  const stopPassing = passInterrupts(trainer, run);
  try {
    return await trainer.outputs;
  } finally {
    stopPassing();
  }
}

/** Ctrl-C and polite kills go to the trainer, which ends by itself; asked twice, it is ended. */
function passInterrupts(trainer: TrainerProcess, run: InterruptibleRun): () => void {
  return onStopSignals((times) => {
    run.onInterrupt?.(times);
    if (times === 1) trainer.stop();
    else trainer.kill();
  });
}
