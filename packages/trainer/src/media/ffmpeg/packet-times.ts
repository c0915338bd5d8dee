/** How long a video plays by the times of its packets, for files that last longer than they claim. */
import { inputArguments, runTool } from "./ffmpeg.ts";
import type { VideoInfo } from "./probe.ts";

export type PacketTimes = {
  /** Sum of the steps between packets, without jumps. */
  readonly seconds: number;
  /** Whether times go back on the way: recordings joined by appending their bytes. */
  readonly goBack: boolean;
};

/** A longer step is a jump of the clock. Source: ffmpeg's default of -dts_delta_threshold. */
const longestStepSeconds = 10;
const timeoutMs = 20 * 60_000;

/** Reads the times of all packets, without decoding one. */
export async function readPacketTimes(
  { path, name, info }: { readonly path: string; readonly name: string; readonly info: VideoInfo },
  signal?: AbortSignal,
): Promise<PacketTimes> {
  let [seconds, goBack, before, rest] = [0, false, Number.NaN, ""];
  const take = (line: string) => {
    const time = Number.parseFloat(line);
    if (Number.isNaN(time)) return;
    const step = time - before;
    if (step > 0 && step <= longestStepSeconds) seconds += step;
    if (step < 0) goBack = true;
    before = time;
  };
  const wanted = ["-select_streams", String(info.stream), "-show_entries", "packet=dts_time"];
  await runTool("ffprobe", ["-of", "csv=p=0", ...wanted, ...inputArguments(path)], {
    what: name,
    timeoutMs,
    signal,
    onOutput: (piece) => {
      const lines = (rest + Buffer.from(piece).toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) take(line);
    },
  });
  take(rest);
  return { seconds, goBack };
}
