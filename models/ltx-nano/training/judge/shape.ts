/**
 * Decides which of the eight shapes a mask shows, by fitting each of them to it.
 *
 * Shapes: a mask is h w, one share in [0, 1] per pixel.
 */
import { type ShapeName, shapeNames, shapes, symmetries } from "../clips/shapes.ts";

export type Mask = { readonly width: number; readonly height: number; readonly shares: Float32Array };

/** Centre and radius in pixels, angle in radians. */
export type Fit = {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly angle: number;
  /** Summed squared difference over the mask's mass: 0 for a perfect drawing, about 1 for a wrong place. */
  readonly error: number;
};

type Unit = { readonly area: number; readonly x: number; readonly y: number };

/** Area and centroid of the shape of radius 1. */
function unitOf(shape: ShapeName): Unit {
  const cells = 200;
  const reach = 1.3;
  let [area, x, y] = [0, 0, 0];
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const px = ((column + 0.5) / cells) * 2 * reach - reach;
      const py = ((row + 0.5) / cells) * 2 * reach - reach;
      if (shapes[shape](px, py) > 0) continue;
      area++;
      x += px;
      y += py;
    }
  }
  return { area: area * ((2 * reach) / cells) ** 2, x: x / area, y: y / area };
}

const units = Object.fromEntries(shapeNames.map((name) => [name, unitOf(name)])) as Record<ShapeName, Unit>;

export type Moments = { readonly mass: number; readonly x: number; readonly y: number };

/** Mass and centroid in pixels; shares below a quarter are noise. */
export function momentsOf({ width, shares }: Mask): Moments {
  let [mass, x, y] = [0, 0, 0];
  for (const [at, share] of shares.entries()) {
    if (share < 0.25) continue;
    mass += share;
    x += share * ((at % width) + 0.5);
    y += share * (Math.floor(at / width) + 0.5);
  }
  return mass === 0 ? { mass: 0, x: 0, y: 0 } : { mass, x: x / mass, y: y / mass };
}

/** The best placement of one shape over a mask. `angles` are tried first; then everything is refined. */
export function fitShape(mask: Mask, shape: ShapeName, angles = startAngles(shape)): Fit {
  const moments = momentsOf(mask);
  const { area, x, y } = units[shape];
  const radius = Math.sqrt(moments.mass / area);
  const starts = angles.map((angle) => {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const centre = {
      x: moments.x - radius * (x * cos - y * sin),
      y: moments.y - radius * (x * sin + y * cos),
    };
    return measured(mask, shape, { ...centre, radius, angle }, moments.mass);
  });
  const best = starts.reduce((least, fit) => (fit.error < least.error ? fit : least));
  return refine(mask, shape, best, moments.mass);
}

function startAngles(shape: ShapeName): number[] {
  const symmetry = symmetries[shape];
  if (!Number.isFinite(symmetry)) return [0];
  const count = symmetry === 1 ? 12 : 6;
  return Array.from({ length: count }, (_, index) => (index * 2 * Math.PI) / symmetry / count);
}

/** Coordinate search with steps that halve. */
function refine(mask: Mask, shape: ShapeName, start: Fit, mass: number): Fit {
  let best = start;
  const turns = Number.isFinite(symmetries[shape]);
  for (let step = 0.12; step > 0.02; step /= 2) {
    for (let round = 0; round < 2; round++) {
      const shift = step * start.radius;
      const moves = [
        { x: shift },
        { x: -shift },
        { y: shift },
        { y: -shift },
        { radius: shift },
        { radius: -shift },
        ...(turns ? [{ angle: step }, { angle: -step }] : []),
      ];
      for (const move of moves) {
        const { x = 0, y = 0, radius = 0, angle = 0 } = move as Partial<Fit>;
        const place = {
          x: best.x + x,
          y: best.y + y,
          radius: best.radius + radius,
          angle: best.angle + angle,
        };
        const tried = measured(mask, shape, place, mass);
        if (tried.error < best.error) best = tried;
      }
    }
  }
  return best;
}

function measured(mask: Mask, shape: ShapeName, place: Omit<Fit, "error">, mass: number): Fit {
  const { width, height, shares } = mask;
  const { x, y, radius } = place;
  if (radius < 1 || mass === 0) return { ...place, error: Number.POSITIVE_INFINITY };
  const cos = Math.cos(place.angle) / radius;
  const sin = Math.sin(place.angle) / radius;
  const distance = shapes[shape];
  // What lies farther away than this is the same for all shapes: nothing is drawn there.
  const extent = 1.7 * radius + 1;
  let sum = 0;
  for (let row = Math.max(0, Math.floor(y - extent)); row < Math.min(height, y + extent); row++) {
    for (let column = Math.max(0, Math.floor(x - extent)); column < Math.min(width, x + extent); column++) {
      const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
      const drawn = Math.min(
        1,
        Math.max(0, 0.5 - distance(dx * cos + dy * sin, dy * cos - dx * sin) * radius),
      );
      sum += (drawn - shares[row * width + column]!) ** 2;
    }
  }
  return { ...place, error: sum / mass };
}

/** Mean error of every shape over some masks of one object, best first. */
export function rankShapes(masks: readonly Mask[]): { readonly shape: ShapeName; readonly error: number }[] {
  return shapeNames
    .map((shape) => {
      const errors = masks.map((mask) => fitShape(mask, shape).error);
      return { shape, error: errors.reduce((sum, error) => sum + error, 0) / errors.length };
    })
    .sort((a, b) => a.error - b.error);
}

/** By how much a placed shape turned between two fits, the short way, in radians. */
export function turned(shape: ShapeName, from: number, to: number): number {
  const period = (2 * Math.PI) / symmetries[shape];
  if (period === 0) return 0;
  const difference = (to - from) % period;
  if (difference > period / 2) return difference - period;
  return difference < -period / 2 ? difference + period : difference;
}
