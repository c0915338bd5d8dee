/**
 * Starts and stops the demo's service: like `npm start`, but on a free port and with a separate data folder.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

/**
 * @typedef {{ url: string, key: string, stop: () => Promise<void> }} Service
 */

/**
 * @param {string} root of the repository
 * @param {string} home data folder
 * @param {NodeJS.WritableStream} log where the service's own log goes
 * @returns {Promise<Service>} when it listens
 * @throws {Error} with what it said, when it ended instead
 */
export async function startService(root, home, log) {
  const command = [join(root, "packages/cli/bin/ltx-trainer.js"), "serve", "--port", "0", "--home", home];
  const child = spawn(process.execPath, [...command, "--base", "ltx-nano"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.stdout.pipe(log, { end: false });
  const { url, key } = await new Promise((resolve, reject) => {
    let said = "";
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`the service exited with ${code}:\n${said}`)));
    child.stderr.setEncoding("utf8").on("data", (/** @type {string} */ piece) => {
      said += piece;
      const listens = /listens on (\S+)/.exec(said);
      const shown = /FAL_KEY="(.+)"/.exec(said);
      if (listens && shown) resolve({ url: listens[1], key: shown[1] });
    });
  });
  return {
    url,
    key,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
