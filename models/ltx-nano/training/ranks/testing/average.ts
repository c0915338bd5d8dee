/** Program for the test of `ranks.ts`: three steps with a different gradient per rank; rank 0 prints the averages. */
import { scope, tensor } from "@ltx-trainer/torch";
import { Ranks } from "../ranks.ts";

const ranks = Ranks.open(Number(process.argv[2]));
const parameter = tensor([0, 0]).requiresGrad_();
let step = 0;
for (let isLast = false; !isLast; step++) {
  parameter.grad = tensor([10 * step + ranks.rank, ranks.rank]);
  isLast = await ranks.average(new Map([["weight", parameter]]), step, ranks.isFirst && step === 2);
  if (ranks.isFirst) scope(() => process.stdout.write(`${parameter.grad!.toArray()}\n`));
}
if (!ranks.isFirst) ranks.leave();
