/** Program of the service. The log goes to stdout, messages for people to stderr. */
import { exitCodes, toAppError } from "@ltx-trainer/contract";
import { onStopSignals } from "@ltx-trainer/host";
import { readConfig, settings } from "./config/config.ts";
import { describeSettings } from "./config/setting.ts";
import { makeLogger } from "./log.ts";
import { startService } from "./service.ts";

async function main(): Promise<void> {
  if (process.argv.includes("--settings")) {
    console.log(describeSettings(settings));
    process.exit(exitCodes.done);
  }
  const config = readConfig(process.env);
  const log = makeLogger(config.logLevel);
  const service = await startService(config, log);
  console.error(`LTX Video Trainer listens on ${service.url}`);
  if (service.firstKey !== undefined) {
    console.error(`Your API key, shown only once:\n\n  export FAL_KEY="${service.firstKey}"\n`);
    console.error(
      "It cannot administer the service. To create one that can: ltx-trainer keys create --scope admin",
    );
    console.error(`How to connect, with the key filled in: ${service.url}/#key=${service.firstKey}`);
  }
  onStopSignals((times) => {
    if (times > 1) process.exit(exitCodes.interrupted);
    console.error(
      "Stopping: trainings write their checkpoint and go back to the queue. Press Ctrl-C again after a few seconds to stop at once.",
    );
    service.stop().then(
      () => process.exit(exitCodes.done),
      (error: unknown) => {
        log.fatal({ err: error }, "service: stop failed");
        process.exit(exitCodes.failure);
      },
    );
  });
}

try {
  await main();
} catch (error) {
  const failure = toAppError(error);
  console.error(`error: ${failure.message}`);
  if (failure.remedy !== undefined) console.error(failure.remedy);
  if (failure.kind === "internal") console.error(failure.cause);
  process.exit(failure.exitCode);
}
