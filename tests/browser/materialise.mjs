// Materialises one partition of one asset through Dagster's own pages, as a person does.
//
// node materialise.mjs MODULES CHROMIUM SHOTS ADDRESS ASSET PARTITION   (one JSON line in the end)
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, executablePath, shots, address, asset, partition] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "here.js")));
const { chromium } = require("playwright-core");

const PATIENCE = 300_000; // a run begins by importing torch, which takes its time on a busy machine

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
page.setDefaultTimeout(60_000);
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
const shot = (name) => page.screenshot({ path: join(shots, `dagster-${name}.png`) });
try {
  await page.goto(`${address}/assets/${asset}?view=partitions`);
  await page.getByText(partition, { exact: true }).first().click();
  await page.locator("button", { hasText: "Materialize" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(partition, { exact: true }).first().waitFor();
  await shot("1-asked");
  await dialog.getByRole("button", { name: "Launch 1 run" }).click();
  await dialog.waitFor({ state: "detached" });
  const began = performance.now();
  await page.goto(`${address}/assets/${asset}?view=partitions&partition=${partition}`);
  // Another model's partition may be made meanwhile, so that the page's count tells nothing; what
  // stands beside the partition is brought up to date by a reload.
  const made = () => page.getByText("data_version", { exact: false }).first();
  while (!(await made().waitFor({ timeout: 15_000 }).then(() => true, () => false))) {
    if (performance.now() - began > PATIENCE) throw new Error("not materialised in time");
    await page.reload();
  }
  const seconds = (performance.now() - began) / 1000;
  await shot("2-made");
  await page.goto(`${address}/runs`);
  await page.getByText("Success", { exact: true }).first().waitFor();
  await shot("3-runs");
  console.log(JSON.stringify({ seconds, errors }));
} catch (error) {
  await shot("failed");
  throw error;
} finally {
  await browser.close();
}
