/**
 * Tensor files that this program wrote itself, read with suspicion: a disk or a kill may have damaged them.
 */
import { AppError } from "@ltx-trainer/contract";
import { SafetensorsError, SafetensorsFile, type TensorInfo } from "@ltx-trainer/torch";

/** A file that is missing, cut short, not safetensors, or holds other tensors than expected. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
  /** What is wrong, without the path. */
  readonly reason: string;

  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`${path}: ${reason}`, options);
    this.reason = reason;
  }
}

export type ExpectedTensors = ReadonlyMap<string, TensorInfo>;

/**
 * Opens a file that holds at least the expected tensors, with these types and shapes.
 *
 * @throws DamagedFileError when it does not; making the file anew helps
 * @throws AppError `file_unreadable` when the system refuses to read it; making it anew does not help
 */
export function openIntact(path: string, expected: ExpectedTensors): SafetensorsFile {
  const file = openFile(path);
  try {
    for (const [name, wanted] of expected) {
      const found = file.has(name) ? textOf(file.info(name)) : "nothing";
      if (found === textOf(wanted)) continue;
      throw new DamagedFileError(path, `${name}: got ${found}, expected ${textOf(wanted)}`);
    }
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function openFile(path: string): SafetensorsFile {
  try {
    return SafetensorsFile.open(path);
  } catch (error) {
    throw toFileFault(path, error);
  }
}

/** What went wrong with reading a file of ours: the file itself, or the system around it. */
export function toFileFault(path: string, cause: unknown): DamagedFileError | AppError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOENT") return new DamagedFileError(path, "the file is missing", { cause });
  if (code === "EISDIR") return new DamagedFileError(path, "got a folder, expected a file", { cause });
  if (cause instanceof SafetensorsError)
    return new DamagedFileError(path, message.replace(`${path}: `, ""), { cause });
  return new AppError({
    code: "file_unreadable",
    message: `${path}: cannot be read: ${message}`,
    remedy: "Check the permissions of the file and the disk it is on.",
    facts: { path },
    cause,
  });
}

const textOf = ({ dtype, shape }: TensorInfo) => `${dtype} [${shape.join(",")}]`;
