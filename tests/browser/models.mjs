// Opens the page over models, scrolls it, and says what a reader would see.
//
// node models.mjs MODULES CHROMIUM SHOTS PAGE   (one JSON line per colour scheme)
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, executablePath, shots, path] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "here.js")));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const seen = () => {
  const rows = [...document.querySelectorAll("#cells tbody tr:not([aria-hidden])")];
  const box = document.getElementById("matrix").getBoundingClientRect();
  const inView = rows.filter((r) => {
    const b = r.getBoundingClientRect();
    return b.top < box.bottom && b.bottom > box.top;
  });
  return { drawn: rows.length, last: inView.at(-1)?.cells[0].textContent ?? "",
    marks: document.querySelectorAll("#cells a").length, points: document.querySelectorAll("#chart a").length };
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme });
    const page = await context.newPage();
    const errors = [], requests = [], address = pathToFileURL(path).href;
    page.on("console", (said) => { if (said.type() === "error") errors.push(said.text()); });
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (r) => { if (r.url() !== address && !r.url().startsWith("data:")) requests.push(r.url()); });
    const began = performance.now();
    await page.goto(address, { waitUntil: "load" });
    await page.waitForSelector("#cells tbody a");
    const opened = Math.round(performance.now() - began);
    const top = await page.evaluate(seen);
    const href = await page.getAttribute("#cells tbody a", "href");
    await page.screenshot({ path: join(shots, `models-${colorScheme}.png`), fullPage: true });
    const scrolling = performance.now();
    await page.evaluate(() => { document.getElementById("matrix").scrollTop = 1e9; });
    await page.waitForFunction(() => Number(document.querySelector("#cells tbody tr:nth-child(2)").ariaRowIndex) > 100
      || document.querySelectorAll("#cells tbody tr[aria-hidden]").length === 0);
    const scrolled = Math.round(performance.now() - scrolling);
    const bottom = await page.evaluate(seen);
    await page.fill("#filter", "model-007");
    const filtered = await page.evaluate(seen);
    await page.evaluate(axe.source);
    const found = await page.evaluate(() => window.axe.run(document, {
      runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] },
    }));
    const violations = found.violations.map((v) => ({ id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")}: ${n.failureSummary}`) }));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    console.log(JSON.stringify({ scheme: colorScheme, opened, scrolled, errors, requests, overflow, href, top, bottom, filtered, violations }));
    await context.close();
  }
} finally {
  await browser.close();
}
