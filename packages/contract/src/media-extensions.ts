/** The media files a dataset may hold, by extension: one list for the trainer, its messages and the API's answers. */

/** Read where the installed ffmpeg can decode what is inside. */
export const videoExtensions = [
  ...[".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"],
  // Camcorders, broadcast, discs, phones and older computers.
  ...[".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".vob", ".mxf", ".dv"],
  ...[".3gp", ".3g2", ".flv", ".f4v", ".wmv", ".asf", ".ogv"],
] as const;

export const imageExtensions = [
  ...[".png", ".apng", ".jpg", ".jpeg", ".webp", ".heic", ".heif", ".avif", ".bmp", ".tif", ".tiff", ".gif"],
  // Other names of JPEG: browsers save pictures as .jfif.
  ...[".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"],
] as const;

export const mediaExtensions: readonly string[] = [...videoExtensions, ...imageExtensions];
