/**
 * sharp without the decoders that nobody needs: pictures are hostile until decoded, and libvips decides by content which
 * decoder gets them. An SVG called .png would be drawn, with the files beside it that it names.
 *
 * Import sharp from here alone: what is blocked is blocked for the process.
 */
import sharp from "sharp";

const needed = ["Jpeg", "Png", "Webp", "Tiff", "Nsgif", "Heif"];

sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: [
    ...needed.flatMap((name) => [`VipsForeignLoad${name}File`, `VipsForeignLoad${name}Buffer`]),
    // Labels of the contact sheet. Pictures of users are opened as files, or as what a decoder made of them.
    "VipsForeignLoadSvgBuffer",
  ],
});

export type { OverlayOptions, Sharp } from "sharp";
export { sharp };
