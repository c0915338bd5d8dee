/**
 * The named colours of drawn scenes, and which object and background colours may be combined.
 *
 * Objects and backgrounds have separate lists, so that "navy" is always a background and "blue" always an object;
 * only black and white are both. Values are sRGB in [0, 1].
 */

export type Rgb = readonly [red: number, green: number, blue: number];

export const objectColours = {
  red: [0.9, 0.14, 0.16],
  orange: [0.97, 0.55, 0.08],
  yellow: [0.98, 0.87, 0.16],
  green: [0.16, 0.68, 0.27],
  cyan: [0.16, 0.79, 0.87],
  blue: [0.16, 0.32, 0.91],
  purple: [0.55, 0.2, 0.79],
  pink: [0.97, 0.48, 0.71],
  white: [0.96, 0.96, 0.96],
  black: [0.05, 0.05, 0.06],
} as const satisfies Record<string, Rgb>;
export type ObjectColour = keyof typeof objectColours;
export const objectColourNames = Object.keys(objectColours) as readonly ObjectColour[];

export const backgroundColours = {
  black: [0.05, 0.05, 0.06],
  white: [0.96, 0.96, 0.96],
  grey: [0.5, 0.5, 0.52],
  navy: [0.08, 0.11, 0.32],
  teal: [0.08, 0.36, 0.38],
  maroon: [0.36, 0.08, 0.14],
  brown: [0.38, 0.24, 0.13],
  beige: [0.89, 0.81, 0.67],
  lavender: [0.79, 0.75, 0.93],
  mint: [0.71, 0.9, 0.8],
} as const satisfies Record<string, Rgb>;
export type BackgroundColour = keyof typeof backgroundColours;
export const backgroundColourNames = Object.keys(backgroundColours) as readonly BackgroundColour[];

/** Euclidean distance in sRGB: 0 for equal colours, 1.73 from black to white. */
export function colourDistance(a: Rgb, b: Rgb): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** Below this distance an object is hard to see on a background. Chosen by eye on drawn clips. */
const minimumContrast = 0.42;

/** Whether an object of one colour stands out from a background of the other. */
export function contrasts(object: ObjectColour, background: BackgroundColour): boolean {
  return colourDistance(objectColours[object], backgroundColours[background]) >= minimumContrast;
}

/** Full saturation and brightness at a hue; `turns` counts whole circles, so 0 and 1 are both red. */
export function hue(turns: number): Rgb {
  const channel = (shift: number): number => {
    const distance = Math.abs(((((turns + shift) % 1) + 1) % 1) * 6 - 3);
    return Math.min(1, Math.max(0, distance - 1));
  };
  return [channel(0), channel(2 / 3), channel(1 / 3)];
}
