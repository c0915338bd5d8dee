/** Which files are training media, captions, or the leftovers of an operating system. Decided by name; contents are checked later. */

import { imageExtensions, mediaExtensions as readExtensions, videoExtensions } from "@ltx-trainer/contract";

/**
 * Media that are tried but not promised: most of them are dropped, with a reason, and so they count. Contents win over
 * names, so that an AVI called .divx is read.
 */
const otherVideos = [
  ...[".rm", ".rmvb", ".swf", ".braw", ".r3d", ".ogm", ".divx", ".insv", ".m2v", ".mpe", ".mjpeg"],
];
const rawPhotos = [".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"];
const otherImages = [...[".svg", ".jxl", ".jp2", ".psd", ".tga", ".exr", ".heics", ".xcf"], ...rawPhotos];
const videos: ReadonlySet<string> = new Set([...videoExtensions, ...otherVideos]);
const images: ReadonlySet<string> = new Set([...imageExtensions, ...otherImages]);

/** `.caption` is what kohya's scripts write. */
const captionExtensions = new Set([".txt", ".caption"]);

export type FileKind = "video" | "image" | "caption" | "other";

/** `.mp4` of `a/Clip.MP4`; "" without one. A name that only starts with a dot has none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot).toLowerCase();
}

/** `a/Clip` of `a/Clip.MP4`. */
export function withoutExtension(path: string): string {
  return path.slice(0, path.length - extensionOf(path).length);
}

/** Whether it is called as a camera's raw photo. */
export function isCameraRaw(path: string): boolean {
  return rawPhotos.includes(extensionOf(path));
}

export function fileKind(path: string): FileKind {
  const extension = extensionOf(path);
  if (videos.has(extension)) return "video";
  if (images.has(extension)) return "image";
  return captionExtensions.has(extension) ? "caption" : "other";
}

/** Extensions for error messages: `.avi .m4v ...`. */
export const mediaExtensions = readExtensions.toSorted().join(" ");

/** Whether a path is what operating systems leave behind: resource forks, dot files, thumbnails. */
export function isJunk(path: string): boolean {
  const parts = path.split("/");
  const name = parts.at(-1)?.toLowerCase() ?? "";
  if (name === "thumbs.db" || name === "desktop.ini") return true;
  return parts.some((part) => part === "__MACOSX" || (part.startsWith(".") && part !== "." && part !== ".."));
}
