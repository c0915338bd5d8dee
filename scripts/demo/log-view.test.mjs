import { expect, test } from "vitest";
import { LogView, stepBar } from "./log-view.mjs";

const lines = ["Training", "Step 1/200, loss 0.5", "Step 100/200, loss 0.4", "Saved"].map((message) => ({
  message,
}));

/** @param {boolean} isTTY */
function shown(isTTY) {
  let text = "";
  const view = new LogView({ isTTY, write: (piece) => (text += piece) });
  view.show(lines.slice(0, 2));
  view.show(lines);
  view.end();
  return text;
}

test("on a terminal the steps are one line with a bar, which the next line does not overwrite", () => {
  expect(shown(true)).toBe(
    `Training\n\r\u001b[K${stepBar("Step 1/200, loss 0.5")}\r\u001b[K${stepBar("Step 100/200, loss 0.4")}\nSaved\n`,
  );
  expect(stepBar("Step 100/200, loss 0.4")).toBe(`[${"#".repeat(12)}${"-".repeat(12)}] 100/200  loss 0.4`);
});

test("elsewhere every line is said once, as it is", () => {
  expect(shown(false)).toBe("Training\nStep 1/200, loss 0.5\nStep 100/200, loss 0.4\nSaved\n");
});

test("other lines have no bar", () => expect(stepBar("Encoding captions")).toBeUndefined());
