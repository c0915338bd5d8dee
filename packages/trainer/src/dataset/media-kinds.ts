/** Which files are training media, captions, or the leftovers of an operating system. Decided by name; contents are checked later. */

const videoExtensions = new Set([".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"]);
const imageExtensions = new Set([
  ".png",
  ".jpg",
  ".jpeg",
  ".webp",
  ".heic",
  ".heif",
  ".avif",
  ".bmp",
  ".tif",
  ".tiff",
  ".gif",
]);

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

export function fileKind(path: string): FileKind {
  const extension = extensionOf(path);
  if (videoExtensions.has(extension)) return "video";
  if (imageExtensions.has(extension)) return "image";
  return captionExtensions.has(extension) ? "caption" : "other";
}

/** Extensions for error messages: `.avi .m4v ...`. */
export const mediaExtensions = [...videoExtensions, ...imageExtensions].sort().join(" ");

/** Whether a path is what operating systems leave behind: resource forks, dot files, thumbnails. */
export function isJunk(path: string): boolean {
  const parts = path.split("/");
  const name = parts.at(-1)?.toLowerCase() ?? "";
  if (name === "thumbs.db" || name === "desktop.ini") return true;
  return parts.some((part) => part === "__MACOSX" || (part.startsWith(".") && part !== "." && part !== ".."));
}
