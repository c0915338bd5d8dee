/**
 * The shapes of the drawn world, each as a signed distance: negative inside, zero on the edge, positive outside.
 *
 * Idea: a distance in pixels gives an anti-aliased edge for free (coverage = 1/2 - distance, cut to [0, 1]), and
 * outlines and halos are only other ranges of the same number. Every shape is drawn in a unit frame: it fits a circle of
 * radius 1 around (0, 0), y points down.
 */

export const shapeNames = [
  "circle",
  "square",
  "triangle",
  "star",
  "ring",
  "cross",
  "hexagon",
  "heart",
] as const;
export type ShapeName = (typeof shapeNames)[number];

/** Distance to the edge at (x, y), in units of the shape's radius. */
export type SignedDistance = (x: number, y: number) => number;

/** Flat list of corners: x0, y0, x1, y1, ... */
type Corners = Float64Array;

/** Exact signed distance to a simple polygon: nearest edge for the size, crossing count for the sign. */
function polygon(corners: Corners): SignedDistance {
  const count = corners.length / 2;
  return (x, y) => {
    let nearestSquared = Number.POSITIVE_INFINITY;
    let inside = false;
    let bx = corners[corners.length - 2]!;
    let by = corners[corners.length - 1]!;
    for (let corner = 0; corner < count; corner++) {
      const ax = corners[2 * corner]!;
      const ay = corners[2 * corner + 1]!;
      const ex = bx - ax;
      const ey = by - ay;
      const wx = x - ax;
      const wy = y - ay;
      const along = Math.min(1, Math.max(0, (wx * ex + wy * ey) / (ex * ex + ey * ey)));
      const dx = wx - ex * along;
      const dy = wy - ey * along;
      nearestSquared = Math.min(nearestSquared, dx * dx + dy * dy);
      if (ay > y !== by > y && wx < (ex * wy) / ey) inside = !inside;
      bx = ax;
      by = ay;
    }
    const distance = Math.sqrt(nearestSquared);
    return inside ? -distance : distance;
  };
}

/** Corners at the given radii in turn, evenly spaced around the centre, the first one at the top. */
function corners(count: number, radii: readonly number[]): Corners {
  const points = new Float64Array(2 * count);
  for (let corner = 0; corner < count; corner++) {
    const angle = (2 * Math.PI * corner) / count - Math.PI / 2;
    const radius = radii[corner % radii.length]!;
    points[2 * corner] = radius * Math.cos(angle);
    points[2 * corner + 1] = radius * Math.sin(angle);
  }
  return points;
}

function shifted(points: Corners, dy: number): Corners {
  return points.map((value, index) => (index % 2 === 1 ? value + dy : value));
}

function plus(arm: number, half: number): Corners {
  // biome-ignore format: one corner per pair, clockwise from the top arm
  return new Float64Array([
    -half, -arm, half, -arm, half, -half, arm, -half, arm, half, half, half,
    half, arm, -half, arm, -half, half, -arm, half, -arm, -half, -half, -half,
  ]);
}

/** The classic heart curve, 32 corners, scaled into the unit circle. */
function heart(): Corners {
  const count = 32;
  const points = new Float64Array(2 * count);
  for (let corner = 0; corner < count; corner++) {
    const t = (2 * Math.PI * corner) / count;
    const x = 16 * Math.sin(t) ** 3;
    const y = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t);
    points[2 * corner] = x / 17;
    points[2 * corner + 1] = -(y + 2.5) / 17;
  }
  return points;
}

const squareHalfSide = 0.78;
const ringRadius = 0.7;
const ringHalfWidth = 0.26;

export const shapes: Readonly<Record<ShapeName, SignedDistance>> = {
  circle: (x, y) => Math.hypot(x, y) - 0.92,
  square: (x, y) => {
    const dx = Math.abs(x) - squareHalfSide;
    const dy = Math.abs(y) - squareHalfSide;
    return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0);
  },
  triangle: polygon(shifted(corners(3, [1.05]), 0.18)),
  star: polygon(shifted(corners(10, [1.05, 0.44]), 0.05)),
  ring: (x, y) => Math.abs(Math.hypot(x, y) - ringRadius) - ringHalfWidth,
  cross: polygon(plus(0.95, 0.32)),
  hexagon: polygon(corners(6, [0.98])),
  heart: polygon(heart()),
};

/** No shape reaches farther from its centre than this many radii, at any rotation. */
export const largestReach = 1.25;

/** Shapes that look the same at every angle: spinning them shows nothing. */
export const roundShapes: readonly ShapeName[] = ["circle", "ring"];

/** How many turns of a circle's part show the same shape; a round one looks the same at every angle. */
export const symmetries: Readonly<Record<ShapeName, number>> = {
  circle: Number.POSITIVE_INFINITY,
  ring: Number.POSITIVE_INFINITY,
  square: 4,
  cross: 4,
  triangle: 3,
  star: 5,
  hexagon: 6,
  heart: 1,
};
