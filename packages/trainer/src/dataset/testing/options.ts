/** Dataset options for tests: the defaults of the command line at a tiny size. */
import type { DatasetOptions } from "../types.ts";

export function datasetOptions(changes: Partial<DatasetOptions> = {}): DatasetOptions {
  return {
    frames: 9,
    width: 32,
    height: 32,
    frameRate: 25,
    autoScale: false,
    triggerPhrase: "",
    temporalCompression: 8,
    referenceVideos: false,
    resampleFrameRate: true,
    useAllFootage: true,
    mixedShapes: true,
    ...changes,
  };
}
