/** The commands of `ltx-trainer`, their help, and what their ends mean for the exit status. */
import { readFileSync } from "node:fs";
import {
  AppError,
  exitCodes,
  generateFields,
  InspectJob,
  localFields,
  TrainJob,
  toAppError,
} from "@ltx-trainer/contract";
import { Command, CommanderError } from "commander";
import { backup, restore } from "./commands/backup.ts";
import { generate, inspect, listModels, train } from "./commands/commands.ts";
import { doctor } from "./commands/doctor.ts";
import { type CreateOptions, createKey, listKeys, revokeKey } from "./commands/keys.ts";
import { type ServeOptions, serve } from "./commands/serve.ts";
import { type Console, makeConsole } from "./display/console.ts";
import { readConfig } from "./options/config-file.ts";
import { addFlags, typedFields } from "./options/flags.ts";
import * as help from "./options/help.ts";

const jsonFlag = ["--json", "Progress to stderr; the last line of stdout is one JSON object."] as const;
const homeFlag = [
  "--home <folder>",
  "Data folder (default: LTX_TRAINER_HOME, else ~/.ltx-trainer).",
] as const;

const configFlag = [
  "--config <file>",
  "Read options from a JSON file, or from the config.json of a finished training; flags override it.",
] as const;

/** Fields that `inspect` has no use for. */
const trainingOnly = ["out", "resume"];

/**
 * Runs a command line.
 *
 * @param args without the program's own name
 * @returns the exit status: 0 done, 1 a failure of ours or the world's, 2 wrong usage or input, 130 interrupted
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const console = makeConsole(args.includes("--json"));
  let status: number = exitCodes.done;
  const program = makeProgram(console, (code) => {
    status = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
    const failure = error instanceof CommanderError ? wrongUsage(error) : toAppError(error);
    report(failure, console, args.includes("--json"));
    return failure.exitCode;
  }
}

/** The program with its commands; what they do begins when it parses. */
export function makeProgram(console: Console, setStatus: (code: number) => void): Command {
  const program = new Command("ltx-trainer")
    .description(help.overview)
    .version(version(), "-V, --version")
    .configureHelp({ helpWidth: helpWidth(), showGlobalOptions: false })
    // What went wrong is told once, by us.
    .configureOutput({ outputError: () => {} })
    .exitOverride()
    .addHelpText("after", help.overviewExamples);
  addTrain(program, console);
  addInspect(program, console);
  addGenerate(program, console);
  addModels(program, console);
  addServe(program, setStatus);
  addKeys(program, console);
  addBackup(program, console);
  program
    .command("doctor")
    .summary(help.doctorSummary)
    .description(help.doctor)
    .option(...homeFlag)
    .option(...jsonFlag)
    .action(async (options: { home?: string }) => setStatus(await doctor(options.home, console)));
  return program;
}

function addTrain(program: Command, console: Console): void {
  const command = program
    .command("train")
    .summary(help.trainSummary)
    .description(help.train)
    .argument("[data]", help.dataArgument);
  addFlags(command, localFields, ["training_data_url"]);
  command
    .option(...configFlag)
    .option(...jsonFlag)
    .addHelpText("after", help.trainExamples)
    .action(async (data: string | undefined) =>
      train(dataOptions(command, data, TrainJob, console), console),
    );
}

function addInspect(program: Command, console: Console): void {
  const command = program
    .command("inspect")
    .summary(help.inspectSummary)
    .description(help.inspect)
    .argument("[data]", help.dataArgument);
  addFlags(command, localFields, ["training_data_url", ...trainingOnly]);
  command
    .option(...configFlag)
    .option(...jsonFlag)
    .addHelpText("after", help.inspectExamples)
    .action(async (data: string | undefined) =>
      inspect(dataOptions(command, data, InspectJob, console), console),
    );
}

function addGenerate(program: Command, console: Console): void {
  const command = program.command("generate").summary(help.generateSummary).description(help.generate);
  addFlags(command, generateFields);
  command
    .option(...jsonFlag)
    .addHelpText("after", help.generateExamples)
    .action(async () => generate(typedFields(command, generateFields), console));
}

function addModels(program: Command, console: Console): void {
  const models = program.command("models").description(help.models);
  models
    .command("list")
    .description(help.modelsList)
    .option(...homeFlag)
    .option(...jsonFlag)
    .action(async (options: { home?: string }) => listModels(options, console));
}

function addServe(program: Command, setStatus: (code: number) => void): void {
  program
    .command("serve")
    .summary(help.serveSummary)
    .description(help.serve)
    .option("--host <address>", "Address to listen on (default: 127.0.0.1).")
    .option("--port <number>", "Port to listen on (default: 8000).")
    .option("--devices <list>", "Devices, one training at a time on each: cuda:0,cuda:1 (default: auto).")
    .option("--base <name>", "Base model; see `ltx-trainer models list`.")
    .option(...homeFlag)
    .option("--settings", "Show every setting there is, and end.")
    .addHelpText("after", help.serveExamples)
    .action(async (options: ServeOptions) => setStatus(await serve(options)));
}

function addKeys(program: Command, console: Console): void {
  const keys = program.command("keys").description(help.keys).addHelpText("after", help.keysExamples);
  keys
    .command("create")
    .description(help.keysCreate)
    .option("--name <name>", "For you, to tell keys apart (default: key).")
    .option(
      "--scope <scope>",
      "api, or admin to see and cancel everybody's requests, delete payloads, empty the queue and read /metrics, too (default: api).",
    )
    .option("--user <user>", "Whose it is: a user sees only their own requests and files (default: local).")
    .option(...homeFlag)
    .option(...jsonFlag)
    .action(async ({ json: _json, ...options }: CreateOptions & { json?: boolean }) =>
      createKey(options, console),
    );
  keys
    .command("list")
    .description(help.keysList)
    .option(...homeFlag)
    .option(...jsonFlag)
    .action(async (options: { home?: string }) => listKeys(options, console));
  keys
    .command("revoke")
    .description(help.keysRevoke)
    .argument("<id>", "the key's id, as `keys list` shows it")
    .option(...homeFlag)
    .option(...jsonFlag)
    .action(async (id: string, options: { home?: string }) => revokeKey(id, options, console));
}

function addBackup(program: Command, console: Console): void {
  for (const [name, run] of Object.entries({ backup, restore })) {
    const words = help.backups[name as keyof typeof help.backups];
    program
      .command(name)
      .summary(words.summary)
      .description(words.description)
      .argument("<folder>", words.folder)
      .option(...homeFlag)
      .option(...jsonFlag)
      .addHelpText("after", words.examples)
      .action(async (folder: string, options: { home?: string }) => run(folder, options, console));
  }
}

/** The config file, then the flags, then the argument. */
function dataOptions(
  command: Command,
  data: string | undefined,
  schema: typeof TrainJob | typeof InspectJob,
  console: Console,
): Record<string, unknown> {
  const path = command.getOptionValue("config") as string | undefined;
  const config = path === undefined ? { options: {}, ignored: [] } : readConfig(path, schema);
  for (const key of config.ignored)
    console.say(`warning: --config: ignored, not an option of this version: ${key}`);
  return {
    ...config.options,
    ...typedFields(command, localFields),
    ...(data === undefined ? {} : { training_data_url: data }),
  };
}

/** Wide enough for the flags' own column beside a readable one. */
function helpWidth(): number {
  return Math.min(140, Math.max(110, process.stdout.columns ?? 110));
}

function wrongUsage(error: CommanderError): AppError {
  const isHelp = error.code === "commander.help";
  return new AppError({
    code: "invalid_options",
    message: isHelp ? "a command is missing" : error.message.replace(/^error: (.* is invalid\. )?/, ""),
    remedy: "`ltx-trainer --help` and `ltx-trainer <command> --help` show what there is.",
  });
}

function report(error: AppError, console: Console, json: boolean): void {
  console.say(`error: ${error.message}`);
  if (error.remedy !== undefined) console.say(error.remedy);
  if (error.kind === "internal" && error.cause instanceof Error) console.say(error.cause.stack ?? "");
  if (json) console.result("", { error: error.toJSON() });
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
