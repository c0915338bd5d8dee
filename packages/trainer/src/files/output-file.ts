/**
 * Looks at an output file's path before the work begins: hours later is too late to say that it cannot be written.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { AppError } from "@ltx-trainer/contract";

/**
 * @param options.extension the one that fits the format, with its dot
 * @throws AppError `invalid_options` when nothing can be written there; `output_exists` when something would be lost
 */
export function requireWritable(
  path: string,
  options: { readonly extension: string; readonly overwrite: boolean },
): void {
  const { extension, overwrite } = options;
  const folder = dirname(path);
  const isFolder = isFolderAt(path);
  if (isFolder) {
    const example = join(path, `video${extension}`);
    throw refused(
      `got ${path}, which is a folder; expected the name of a file`,
      `Add a name: ${example}`,
      path,
    );
  }
  if (extname(path).toLowerCase() !== extension)
    throw refused(
      `got ${path}, expected a name that ends in ${extension}`,
      `The video is written as ${extension.slice(1)}; convert it with ffmpeg if you need another format.`,
      path,
    );
  if (!isFolderAt(folder))
    throw refused(
      `got ${path}, but there is no folder ${folder}`,
      "Create the folder, or choose another.",
      path,
    );
  if (!isWritable(folder))
    throw refused(`got ${path}, but ${folder} cannot be written to`, "Choose another --out.", path);
  if (existsSync(path) && !overwrite)
    throw new AppError({
      code: "output_exists",
      message: `out: got ${path}, which exists already; expected a new file`,
      remedy: "Add --overwrite to replace it, or choose another --out.",
      facts: { out: path },
    });
}

function isFolderAt(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(message: string, remedy: string, out: string): AppError {
  return new AppError({ code: "invalid_options", message: `out: ${message}`, remedy, facts: { out } });
}
