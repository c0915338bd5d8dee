/**
 * `ltx-trainer doctor`: looks at everything a training needs, and says how to fix what is missing.
 *
 * libtorch is only loaded in the trainer, so what needs it loaded is asked there; all else is looked at here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  AppError,
  type DoctorCheck,
  DoctorOutputs,
  exitCodes,
  ModelsOutputs,
  toAppError,
} from "@ltx-trainer/contract";
import { homeFolder, repositoryFolder } from "@ltx-trainer/host";
import type { Console } from "../display/console.ts";
import { formatBytes } from "../display/progress.ts";
import { findLibtorchScript, torchAddon, torchBuildInfo, trainerFolder } from "../options/places.ts";
import { runTrainer } from "../trainer-process.ts";

const setupHint = `Run \`npm run setup\` in ${repositoryFolder}.`;

/** Looks at everything, prints a line for each, and returns the exit status: 1 when something is broken. */
export async function doctor(home: string | undefined, console: Console): Promise<number> {
  const folder = homeFolder(home);
  const checks: DoctorCheck[] = [nodeVersion(), ...packages(), ...libtorch()];
  checks.push(...(await insideTrainer(folder)), ...graphicsCard(), ...ffmpeg(), ...dataFolder(folder));
  checks.push(await baseModels(folder));
  const broken = checks.filter(({ status }) => status === "fail").length;
  const worse = checks.filter(({ status }) => status === "warn").length;
  const verdict =
    broken > 0
      ? `${broken} of ${checks.length} checks failed.`
      : worse > 0
        ? `Works; ${worse === 1 ? "one thing" : `${worse} things`} could be better.`
        : "Everything works.";
  console.result([...checks.flatMap(checkLines), verdict].join("\n"), { ok: broken === 0, checks });
  return broken === 0 ? exitCodes.done : exitCodes.failure;
}

function checkLines({ name, status, detail, fix }: DoctorCheck): string[] {
  const [first = "", ...more] = detail.split("\n");
  return [
    `${status.padEnd(5)} ${name.padEnd(15)} ${first}`,
    ...more.map((line) => `${" ".repeat(22)}${line}`),
    ...(fix === undefined ? [] : [`${" ".repeat(22)}fix: ${fix}`]),
  ];
}

function nodeVersion(): DoctorCheck {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isEnough = major > 20 || (major === 20 && minor >= 19);
  return {
    name: "Node",
    status: isEnough ? "ok" : "fail",
    detail: `${process.version} on ${process.platform} ${process.arch}`,
    ...(isEnough ? {} : { fix: "Install Node 20.19 or newer." }),
  };
}

/** Whether what npm installed can be loaded; sharp brings a compiled library. */
function packages(): DoctorCheck[] {
  const name = "npm packages";
  const require = createRequire(join(trainerFolder, "package.json"));
  const wanted = ["sharp", "undici", "@zip.js/zip.js", "heic-decode"];
  const missing = wanted.filter((item) => !resolves(require, item));
  if (missing.length > 0) {
    return [{ name, status: "fail", detail: `not installed: ${missing.join(", ")}`, fix: setupHint }];
  }
  const loaded = spawnSync(process.execPath, ["-e", "require('sharp')"], {
    cwd: trainerFolder,
    encoding: "utf8",
  });
  if (loaded.status === 0) return [{ name, status: "ok", detail: "installed" }];
  const reason = /Error: (.*)/.exec(loaded.stderr)?.[1] ?? "sharp cannot be loaded";
  return [
    { name, status: "fail", detail: reason, fix: "Remove node_modules and run `npm ci` on this machine." },
  ];
}

function resolves(require: NodeJS.Require, name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

type FoundLibtorch = { version: string; root: string; kind: string; cuda: boolean; blas: string };
type Search = { found: FoundLibtorch | null; tried: { place: string; outcome: string }[] };

/** What is installed, and whether the addon was built against it. */
function libtorch(): DoctorCheck[] {
  const search = searchLibtorch();
  if (search === undefined || search.found === null) {
    const tried = (search?.tried ?? []).map(({ place, outcome }) => `${place}: ${outcome}`);
    const detail = ["none found", ...tried].join("\n");
    return [{ name: "libtorch found", status: "fail", detail, fix: setupHint }];
  }
  const { version, root, kind, cuda, blas } = search.found;
  const isSlow = blas === "reference";
  return [
    {
      name: "libtorch found",
      status: isSlow ? "warn" : "ok",
      detail: `${version} (${kind}) in ${root}, ${cuda ? "with" : "without"} CUDA, matrix products by ${blas}`,
      ...(isSlow
        ? { fix: "Install OpenBLAS: with reference BLAS training is some 20 times slower (`npm run setup`)." }
        : {}),
    },
    addonBuild(version),
  ];
}

function searchLibtorch(): Search | undefined {
  const run = spawnSync(process.execPath, [findLibtorchScript, "--json"], {
    encoding: "utf8",
    timeout: 60_000,
  });
  try {
    return JSON.parse(run.stdout) as Search;
  } catch {
    return undefined;
  }
}

function addonBuild(version: string): DoctorCheck {
  const name = "native addon";
  if (!existsSync(torchAddon)) return { name, status: "fail", detail: "not built", fix: setupHint };
  if (!existsSync(torchBuildInfo)) {
    return { name, status: "warn", detail: "built, but not by the set-up", fix: setupHint };
  }
  const built = JSON.parse(readFileSync(torchBuildInfo, "utf8")) as {
    libtorch?: { version?: string };
  };
  const against = built.libtorch?.version ?? "an unknown libtorch";
  if (against === version) return { name, status: "ok", detail: `built against libtorch ${against}` };
  const detail = `built against libtorch ${against}, but ${version} would be found now`;
  return { name, status: "warn", detail, fix: setupHint };
}

/** What only a process with libtorch in it can tell. */
async function insideTrainer(home: string): Promise<DoctorCheck[]> {
  try {
    return DoctorOutputs.parse(await quietly("doctor", { home })).checks;
  } catch (error) {
    return [failed("trainer", error)];
  }
}

async function baseModels(home: string): Promise<DoctorCheck> {
  const name = "base models";
  try {
    const { models } = ModelsOutputs.parse(await quietly("models", { home, action: "list" }));
    const usable = models.filter((model) => model.problem === undefined).map((model) => model.name);
    if (usable.length > 0) return { name, status: "ok", detail: usable.join(", ") };
    const problems = models.map((model) => `${model.name}: ${model.problem}`);
    return {
      name,
      status: "fail",
      detail: ["none that can be used", ...problems].join("\n"),
      fix: `Put a diffusers folder under ${home}/models, or restore models/ltx-nano of the repository.`,
    };
  } catch (error) {
    return failed(name, error);
  }
}

function quietly(command: "doctor" | "models", job: Readonly<Record<string, unknown>>) {
  return runTrainer({ command, job, onEvent: () => {}, onNoise: () => {} });
}

function failed(name: string, error: unknown): DoctorCheck {
  const { message, remedy } = error instanceof AppError ? error : toAppError(error);
  return { name, status: "fail", detail: message, fix: remedy ?? setupHint };
}

/** A card that libtorch cannot use is worth a word. */
function graphicsCard(): DoctorCheck[] {
  const query = ["--query-gpu=name,memory.total", "--format=csv,noheader"];
  const run = spawnSync("nvidia-smi", query, { encoding: "utf8", timeout: 20_000 });
  if (run.error !== undefined || run.status !== 0) return [];
  const cards = run.stdout.trim().split("\n").join("; ");
  if (searchLibtorch()?.found?.cuda) return [{ name: "graphics card", status: "ok", detail: cards }];
  return [
    {
      name: "graphics card",
      status: "warn",
      detail: `${cards}, but the libtorch that was found has no CUDA`,
      fix: "Install PyTorch with CUDA, or name a CUDA libtorch in LIBTORCH, then `npm run setup`.",
    },
  ];
}

function ffmpeg(): DoctorCheck[] {
  return (["ffmpeg", "ffprobe"] as const).map((tool) => {
    const variable = tool === "ffmpeg" ? "FFMPEG_PATH" : "FFPROBE_PATH";
    const program = process.env[variable] || tool;
    const run = spawnSync(program, ["-version"], { encoding: "utf8", timeout: 20_000 });
    if (run.error !== undefined || run.status !== 0) {
      const fix = `Install ffmpeg (Debian and Ubuntu: \`apt-get install ffmpeg\`), or name it in ${variable}.`;
      return { name: tool, status: "fail", detail: `${program}: not found`, fix };
    }
    const version = /version (\S+)/.exec(run.stdout)?.[1] ?? "of unknown version";
    if (tool === "ffmpeg" && !hasEncoder(program)) {
      const fix = "Install an ffmpeg that was built with x264, or name one in FFMPEG_PATH.";
      return { name: tool, status: "fail", detail: `${version}, without the H.264 encoder libx264`, fix };
    }
    return { name: tool, status: "ok", detail: version };
  });
}

/** Encodes a frame: a list of encoders may name one that does not work. */
function hasEncoder(program: string): boolean {
  const source = ["-f", "lavfi", "-i", "color=size=64x64:rate=25", "-frames:v", "1"];
  const run = spawnSync(program, ["-v", "error", ...source, "-c:v", "libx264", "-f", "null", "-"], {
    timeout: 20_000,
  });
  return run.status === 0;
}

/** Whether it can be written to, and how much room there is. */
function dataFolder(home: string): DoctorCheck[] {
  const existing = nearestExisting(home);
  const writable = canWrite(existing);
  const { bavail, bsize } = statfsSync(existing);
  const free = bavail * bsize;
  const elsewhere = "Name another folder in LTX_TRAINER_HOME.";
  return [
    {
      name: "data folder",
      status: writable ? "ok" : "fail",
      detail: writable ? home : `${home}: cannot be written to`,
      ...(writable ? {} : { fix: elsewhere }),
    },
    {
      name: "disk space",
      status: free > 20e9 ? "ok" : free > 1e9 ? "warn" : "fail",
      detail: `${formatBytes(free)} free in ${existing}`,
      ...(free > 20e9
        ? {}
        : { fix: `Training with the large models wants 50 GB. Free some space. ${elsewhere}` }),
    },
  ];
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

function canWrite(folder: string): boolean {
  const probe = join(folder, `.ltx-trainer-${process.pid}`);
  try {
    mkdirSync(probe);
    writeFileSync(join(probe, "a"), "");
    return true;
  } catch {
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
