/** Running one of the server's programs that answer with one JSON object on their last line of stdout. */
import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { AppError, type ErrorBody, exitCodes, interrupted } from "@ltx-trainer/contract";
import { homeFolder } from "@ltx-trainer/host";

type Question = { readonly action: string; readonly options: object; readonly home: string | undefined };

/**
 * The program's answer. What it writes to stderr is shown.
 *
 * @throws AppError what the program reported, `interrupted` after Ctrl-C, or `tool_failed`
 */
export async function askServerTool(program: string, { action, options, home }: Question): Promise<unknown> {
  const child = spawn(process.execPath, [program, action, JSON.stringify(options)], {
    env: { ...process.env, LTX_TRAINER_HOME: homeFolder(home) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  // Ctrl-C reaches the child too. It tidies up, and we say how it ended.
  const wait = () => {};
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, wait);
  const [said, code] = await Promise.all([text(child.stdout), ended(child)]);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, wait);
  const answer = parsed(said.trimEnd().split("\n").at(-1) ?? "");
  if (answer === undefined) throw withoutAnswer(action, code);
  if (answer.error !== undefined) throw new AppError(answer.error);
  return answer;
}

function withoutAnswer(action: string, code: number | null): AppError {
  return code === exitCodes.interrupted
    ? interrupted({ message: `${action}: interrupted` })
    : new AppError({ code: "tool_failed", message: `${action}: the program ended without an answer` });
}

function parsed(line: string): { readonly error?: ErrorBody } | undefined {
  try {
    return JSON.parse(line) as { readonly error?: ErrorBody };
  } catch {
    return undefined;
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
}
