/** The id of a data folder. Servers that share a database use it to tell which machine holds which files. */
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Reads the id. The first call for a folder makes it. */
export function readHomeId(home: string): string {
  const path = join(home, "home.id");
  try {
    writeFileSync(path, randomUUID(), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFileSync(path, "utf8").trim();
}
