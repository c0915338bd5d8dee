/**
 * `npm run eval:nano`: evaluates the bundled base model, and a LoRA trained on the bundled example, from their pixels.
 *
 * Everything is seeded, and no judge is learned. Results, mistakes and pictures are written to `out/nano/evaluation/`; parts
 * that are not selected keep their earlier results. `--publish` also copies numbers and pictures beside the model, for its README.
 *
 *   npm run eval:nano -- --only vae,base,lora  --questions 100  --lora-questions 50  --lora FILE --effect NAME  --threads 2  --publish
 *   --guidance 9 --sampler-steps 24   for the base alone
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { numThreads, setNumThreads, torchVersion } from "@ltx-trainer/torch";
import { asCommand } from "../../../scripts/demo/training.mjs";
import { type Clip, drawClip } from "./clips/draw.ts";
import { sampleOrnament } from "./clips/ornaments.ts";
import { contactSheet, writePng } from "./example/contact-sheet.ts";
import { exampleNamed } from "./example/example-effects.ts";
import { trainedCombinations } from "./example/example-scenes.ts";
import { examineLora, type LoraScore } from "./example/lora-exam.ts";
import { type Answer, describeMistakes, makeQuestions, type Score, scoreOf } from "./judge/exam.ts";
import { judge } from "./judge/judge.ts";
import { formatsOf } from "./judge/sizes.ts";
import { reconstructUnseen } from "./judge/vae-quality.ts";
import { nanoFolder, Studio } from "./studio.ts";

const root = join(import.meta.dirname, "../../..");
const out = join(root, "out/nano/evaluation");
const frames = 81;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "vae,base,lora" },
    questions: { type: "string", default: "100" },
    "lora-questions": { type: "string", default: "50" },
    lora: { type: "string" },
    effect: { type: "string", default: "glowpulse" },
    guidance: { type: "string" },
    "sampler-steps": { type: "string" },
    threads: { type: "string" },
    publish: { type: "boolean", default: false },
  },
});
const parts = options.only.split(",");

type Results = {
  conditions: { libtorch: string; threads: number; frames: number };
  vae?: { plain: number; least: number; ornamented: number; clips: number };
  /** By sampler: "guidance 5, 20 steps". */
  base?: Record<string, Score & { truth: Score }>;
  /** By effect. */
  loras?: Record<string, LoraScore>;
};

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const scoreLine = ({ colour, shape, motion, all }: Score): string =>
  `colour ${percent(colour)}, shape ${percent(shape)}, motion ${percent(motion)}, all three ${percent(all)}`;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A line that replaces itself on a terminal. */
function progress(what: string): (done: number, total: number) => void {
  const since = Date.now();
  return (done, total) => {
    const left =
      done === 0 ? "" : `, ${Math.ceil(((Date.now() - since) / done) * (total - done) * 1e-3)} s left`;
    if (process.stderr.isTTY) process.stderr.write(`\r${what} ${done}/${total}${left}   `);
    else if (done % 10 === 0) process.stderr.write(`${what} ${done}/${total}${left}\n`);
  };
}

async function writePicture(name: string, clips: readonly Clip[]): Promise<void> {
  await writePng(join(out, name), contactSheet(clips, 9));
  if (options.publish) copyFileSync(join(out, name), join(nanoFolder, name));
}

async function examineVae(studio: Studio): Promise<NonNullable<Results["vae"]>> {
  const formats = formatsOf(studio.profile, ["low", "medium", "high"], frames);
  const plain = reconstructUnseen(studio.vae, formats, 3);
  const ornamented = reconstructUnseen(studio.vae, formats, 1, sampleOrnament);
  const mean = (values: readonly { psnr: number }[]): number =>
    values.reduce((sum, value) => sum + value.psnr, 0) / values.length;
  const shown = [...plain.slice(0, 6), ...ornamented.slice(0, 3)];
  await writePicture(
    "reconstructions.png",
    shown.flatMap(({ clip, decoded }) => [clip, decoded]),
  );
  const least = Math.min(...plain.map((value) => value.psnr));
  const result = { plain: mean(plain), least, ornamented: mean(ornamented), clips: plain.length };
  say(
    `VAE: PSNR ${result.plain.toFixed(1)} dB on ${plain.length} unseen clips (least ${least.toFixed(1)}), ` +
      `${result.ornamented.toFixed(1)} dB on ${ornamented.length} with ornaments`,
  );
  return result;
}

/** How the base is sampled: as its folder says, unless told otherwise. */
function samplerOf(studio: Studio): { guidance: number; steps: number } {
  const { guidance, steps } = studio.profile.sampler;
  return {
    guidance: Number(options.guidance ?? guidance),
    steps: Number(options["sampler-steps"] ?? steps),
  };
}

async function examineBase(studio: Studio): Promise<NonNullable<Results["base"]>> {
  const formats = formatsOf(studio.profile, ["low", "medium", "high"], frames);
  const questions = makeQuestions(Number(options.questions), 7, formats);
  const report = progress("base");
  const sampler = samplerOf(studio);
  const answers: Answer[] = questions.map((question, done) => {
    report(done, questions.length);
    const seed = 1000 + question.index;
    const clip = studio.sample(question.prompt, { format: question.format, seed, ...sampler });
    return { question, clip, verdict: judge(clip) };
  });
  await writePicture(
    "samples.png",
    answers.slice(0, 18).map(({ clip }) => clip),
  );
  const mistakes = describeMistakes(answers);
  writeFileSync(join(out, "mistakes.txt"), `${mistakes.join("\n")}\n`);
  const score = scoreOf(answers);
  const name = `guidance ${sampler.guidance}, ${sampler.steps} steps`;
  say(`base: ${score.count} prompts, ${name}: ${scoreLine(score)}`);
  return { [name]: { ...score, truth: scoreOfTruth(questions) } };
}

/** What the judge makes of the scenes themselves, drawn: as much as any model could get. */
function scoreOfTruth(questions: ReturnType<typeof makeQuestions>): Score {
  const score = scoreOf(
    questions.map((question) => {
      const clip = drawClip(question.scene, question.format);
      return { question, clip, verdict: judge(clip) };
    }),
  );
  say(`      the same scenes, drawn: ${scoreLine(score)}`);
  return score;
}

/** The LoRA of the demo, unless another is named. */
function trainedLora(): string {
  if (options.lora) return options.lora;
  const folder = join(out, "lora");
  const file = join(folder, "lora.safetensors");
  if (existsSync(file)) return file;
  const cli = join(root, "packages/cli/bin/ltx-trainer.js");
  const run = spawnSync(process.execPath, [cli, ...asCommand(), "--out", folder], {
    cwd: root,
    stdio: "inherit",
  });
  if (run.status !== 0) throw new Error("eval-nano: the LoRA training failed; see its output above");
  return file;
}

async function examineTheLora(): Promise<LoraScore> {
  const file = trainedLora();
  const studio = new Studio(file);
  const { score, clips } = examineLora(studio, {
    formats: formatsOf(studio.profile, ["medium"], frames).filter(({ width, height }) => width === height),
    count: Number(options["lora-questions"]),
    effect: exampleNamed(options.effect),
    trained: trainedCombinations,
    onProgress: progress("LoRA"),
  });
  await writePicture(`${options.effect}.png`, clips.slice(0, 12));
  say(
    `LoRA: effect in ${percent(score.withLora)} of ${score.count} prompts, ${percent(score.withoutLora)} with the LoRA off`,
  );
  say(`      without the phrase, LoRA on:  ${scoreLine(score.keptOn)}`);
  say(`      without the phrase, LoRA off: ${scoreLine(score.keptOff)}`);
  return score;
}

/** Results of the parts that are not selected: an evaluation may be made in several runs. */
function earlierResults(): Partial<Results> {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, "utf8")) as Results) : {};
}

mkdirSync(out, { recursive: true });
if (options.threads) setNumThreads(Number(options.threads));
const resultsFile = join(out, "results.json");
const results: Results = {
  ...earlierResults(),
  conditions: { libtorch: torchVersion(), threads: numThreads(), frames },
};
const studio = new Studio();
if (parts.includes("vae")) results.vae = await examineVae(studio);
if (parts.includes("base")) results.base = { ...results.base, ...(await examineBase(studio)) };
if (parts.includes("lora")) results.loras = { ...results.loras, [options.effect]: await examineTheLora() };
writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
if (options.publish) copyFileSync(resultsFile, join(nanoFolder, "evaluation.json"));
say(`results, mistakes and pictures: ${out}`);
