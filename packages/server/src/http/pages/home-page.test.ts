/** The page at /, in a real browser. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestService } from "../../testing/service.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const program = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));
let service: TestService;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "" });
});
afterAll(() => service.end());

test("names what it was reached as, whatever that is, as text", async () => {
  const { headers } = await fetch(`${service.url}/`);
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  const { port } = new URL(service.url);
  const html = await (await import("undici")).request(`http://127.0.0.1:${port}/`, {
    headers: { host: 'a"><script>b' },
  });
  expect(await html.body.text()).not.toContain("<script>b");
});

describe.skipIf(program === undefined)(
  program === undefined ? "in a browser (none found: install chromium or set CHROMIUM)" : "in a browser",
  () => {
    let browser: Browser;
    let page: Page;
    const faults: string[] = [];
    const requested: string[] = [];

    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: program as string, args: ["--no-sandbox"] });
      page = await browser.newPage({ viewport: { width: 1000, height: 1200 } });
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
      page.on("request", (request) => requested.push(request.url()));
    });
    afterAll(() => browser.close());

    test("it fills in the key of the link, shows dots, and sends the key to nobody", async () => {
      await page.goto(`${service.url}/#key=${service.authorization.slice(4)}`);
      const secret = service.authorization.split(":")[1] ?? "";
      expect(page.url()).toBe(`${service.url}/`);
      expect(await page.inputValue("#key")).toBe(service.authorization.slice(4));
      const sample = page.locator("#javascript pre").first();
      expect(await sample.textContent()).toContain("••••");
      await page.check("#shown");
      expect(await sample.textContent()).toContain(`FAL_KEY="${service.authorization.slice(4)}"`);
      await expect.poll(() => page.textContent("#state")).toBe("ready");
      expect(requested.join()).not.toContain(secret);
    });

    test("it shows the queue, and one client at a time, by mouse and by arrow key", async () => {
      await service.call("POST", "/queue/fal-ai/ltx-video-trainer", {
        body: { training_data_url: "https://example.com/a.zip" },
      });
      await expect.poll(() => page.textContent("#waiting"), { timeout: 120_000 }).toBe("1");
      expect(await page.textContent("#devices")).toBe("none");
      await page.click("#tab-curl");
      expect(await page.isVisible("#curl")).toBe(true);
      expect(await page.isVisible("#javascript")).toBe(false);
      await page.keyboard.press("ArrowLeft");
      expect(await page.isVisible("#python")).toBe(true);
      expect(await page.textContent("#python")).toContain(`${service.url}/queue/fal-ai/ltx-video-trainer`);
    });

    test("nothing on it is refused by its own policy, and nothing is wider than a telephone", async () => {
      await page.setViewportSize({ width: 360, height: 800 });
      const width = await page.evaluate("document.documentElement.scrollWidth");
      expect(width).toBeLessThanOrEqual(360);
      expect(faults).toEqual([]);
      expect(requested.filter((url) => !url.startsWith(service.url) && !url.startsWith("data:"))).toEqual([]);
    });
  },
);
