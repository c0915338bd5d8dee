/** The environment as configuration. */
import { expect, test } from "vitest";
import { readConfig, settings } from "./config.ts";
import { describeSettings, settingsIn } from "./setting.ts";

test("nothing set gives a server for oneself", () => {
  expect(readConfig({ HOME: "/home/u" })).toMatchObject({
    host: "127.0.0.1",
    port: 8000,
    publicUrl: undefined,
    databaseUrl: undefined,
    devices: ["auto"],
    endpoint: "fal-ai/ltx-video-trainer",
  });
});

test("a variable set to nothing is not set, except the devices, where it means none", () => {
  expect(readConfig({ PORT: "", LTX_TRAINER_DEVICES: "" })).toMatchObject({ port: 8000, devices: [] });
  expect(readConfig({ LTX_TRAINER_DEVICES: "none" }).devices).toEqual([]);
});

test("devices are a list", () => {
  expect(readConfig({ LTX_TRAINER_DEVICES: "cuda:0, cuda:1" }).devices).toEqual(["cuda:0", "cuda:1"]);
});

test.each([
  [{ PORT: "http" }, /^PORT: /],
  [{ PORT: "70000" }, /^PORT: got 70000, expected at most 65535/],
  [{ DATABASE_URL: "mysql://a/b" }, /^DATABASE_URL: /],
  [{ LTX_TRAINER_DEVICES: "gpu" }, /^LTX_TRAINER_DEVICES\[0\]: .*auto, cpu, cuda or cuda:N/],
  [{ LTX_TRAINER_ENDPOINT: "trainer" }, /^LTX_TRAINER_ENDPOINT: /],
])("%j is refused by name", (environment, message) => {
  expect(() => readConfig(environment)).toThrow(message);
});

test("every problem is told at once", () => {
  expect(() => readConfig({ PORT: "x", LEASE_SECONDS: "0" })).toThrow(/PORT.*\n.*LEASE_SECONDS/);
});

test("trainers, which open strangers' files, get what they need and no secret", () => {
  const needed = {
    PATH: "/bin",
    LIBTORCH: "/opt/torch",
    OMP_NUM_THREADS: "2",
    CUDA_VISIBLE_DEVICES: "1",
    LC_ALL: "C.UTF-8",
    FFMPEG_PATH: "/opt/ffmpeg",
  };
  const secrets = {
    DATABASE_URL: "postgres://u:p@h/d",
    FAL_KEY: "k",
    PGPASSWORD: "p",
    AWS_SECRET_ACCESS_KEY: "s",
    AWS_CONTAINER_AUTHORIZATION_TOKEN: "t",
    GITHUB_TOKEN: "t",
    NPM_TOKEN: "t",
    HF_TOKEN: "t",
    AZURE_CLIENT_SECRET: "s",
    HTTPS_PROXY: "http://u:p@proxy:1",
    MY_OWN_SECRET: "s",
    NODE_OPTIONS: "--require x",
  };
  expect(readConfig({ ...needed, ...secrets }).trainerEnvironment).toEqual(needed);
});

test("every variable is explained", () => {
  const all = settingsIn(settings);
  for (const { variable, description } of all) expect.soft(description, variable).toMatch(/^[A-Z].+[.]$/);
  expect(new Set(all.map(({ variable }) => variable)).size).toBe(all.length);
  const text = describeSettings(settings);
  for (const line of [
    "PORT (default: 8000)",
    "UPLOAD_HOURS (default: 24)",
    "CORS_ORIGINS (default: *)",
    "TRUST_PROXY (default: false)",
  ]) {
    expect(text).toContain(`${line}\n    `);
  }
});
