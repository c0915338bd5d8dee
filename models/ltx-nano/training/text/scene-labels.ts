/**
 * Labels of every token of a clip: ground truth from the drawing, which the auxiliary head predicts.
 *
 * Idea: a diffusion transformer first has to learn to recognise what it sees, and the velocity loss alone teaches that
 * slowly. In pre-training an auxiliary head predicts these labels from the middle of the transformer. It is not exported.
 * Source of the idea: Yu et al., "Representation Alignment for Generation" (REPA), arXiv:2410.06940, which aligns with
 * a vision model's features; drawn scenes need no such model.
 *
 * Shapes: B batch, T tokens (frame by frame, row by row), `labelSize` numbers per token, most of them in [-1, 1].
 */
import type { LatentGrid } from "@ltx-trainer/ltx";
import { type Tensor, tensor } from "@ltx-trainer/torch";
import { objectColours, type Rgb } from "../clips/colours.ts";
import { backgroundAt, placement } from "../clips/draw.ts";
import type { ClipFormat, Scene, SceneObject } from "../clips/scene.ts";
import { shapeNames, shapes, symmetries } from "../clips/shapes.ts";

/** Place relative to the object, distance to its edge, visibility, radius, turn, velocity, colours, shape. */
export const labelSize = 2 + 2 + 1 + 1 + 2 + 2 + 3 + 3 + shapeNames.length;

/** Farther than so many radii all places are alike. */
const reach = 3;
const largestRadius = 24;
const velocityScale = 4;
/** The shape hardly shows in the velocity, so it would be learnt last: here it counts most. */
const shapeWeight = 3;

/** `[B, T, labelSize]` for scenes of one format. */
export function labelTokens(scenes: readonly Scene[], format: ClipFormat, grid: LatentGrid): Tensor {
  const labels = new Float32Array(scenes.length * grid.tokens * labelSize);
  for (const [index, scene] of scenes.entries()) {
    labelScene(scene, format, grid, labels.subarray(index * grid.tokens * labelSize));
  }
  return tensor(labels).reshape([scenes.length, grid.tokens, labelSize]);
}

function labelScene(scene: Scene, format: ClipFormat, { F, H, W }: LatentGrid, into: Float32Array): void {
  const cell = format.height / H;
  for (let frame = 0; frame < F; frame++) {
    const middle = middleFrame(frame);
    const placed = scene.objects.map((object) => ({
      object,
      now: placement(object, format, middle),
      next: placement(object, format, Math.min(format.frames - 1, middle + 1)),
    }));
    for (let row = 0; row < H; row++) {
      for (let column = 0; column < W; column++) {
        const [x, y] = [(column + 0.5) * cell, (row + 0.5) * cell];
        const away = ({ now }: (typeof placed)[number]): number =>
          Math.hypot(now.x - x, now.y - y) / now.radius;
        const nearest = placed.reduce((best, each) => (away(each) < away(best) ? each : best));
        const behind = backgroundAt(scene.background, x / format.width, y / format.height);
        into.set(describe(nearest, { x, y, cell }, behind), ((frame * H + row) * W + column) * labelSize);
      }
    }
  }
}

/** About how much of each token's cell lies inside an object, from 0 to 1: `[B, T, 1]` of `[B, T, labelSize]`. */
export function objectShares(labels: Tensor): Tensor {
  return labels.narrow(2, 2, 1).add(1).clamp(0, 1);
}

/** The pixel frame in the middle of a latent frame; the first one is a latent frame of its own. */
function middleFrame(latentFrame: number): number {
  return latentFrame === 0 ? 0 : 8 * latentFrame - 3.5;
}

type Placed = {
  readonly object: SceneObject;
  readonly now: ReturnType<typeof placement>;
  readonly next: ReturnType<typeof placement>;
};

function describe(
  { object, now, next }: Placed,
  { x, y, cell }: { x: number; y: number; cell: number },
  behind: Rgb,
): number[] {
  const [dx, dy] = [(x - now.x) / now.radius, (y - now.y) / now.radius];
  const [cos, sin] = [Math.cos(now.angle), Math.sin(now.angle)];
  const distance = (shapes[object.shape](dx * cos + dy * sin, dy * cos - dx * sin) * now.radius) / cell;
  const symmetry = symmetries[object.shape];
  const turn = Number.isFinite(symmetry) ? now.angle * symmetry : 0;
  return [
    clamp(dx / reach),
    clamp(dy / reach),
    clamp(-distance),
    clamp(-distance / 3),
    now.opacity * 2 - 1,
    now.radius / largestRadius,
    Math.cos(turn),
    Math.sin(turn),
    clamp((next.x - now.x) / velocityScale),
    clamp((next.y - now.y) / velocityScale),
    ...objectColours[object.colour].map((value) => value * 2 - 1),
    ...behind.map((value) => value * 2 - 1),
    ...shapeNames.map((name) => (name === object.shape ? shapeWeight : 0)),
  ];
}

function clamp(value: number): number {
  return Math.min(1, Math.max(-1, value));
}
