// Opens pages in a headless browser and says what a reader would stumble over.
//
// node check.mjs MODULES CHROMIUM SHOTS PAGE...   (one JSON line per page, width and colour scheme)
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, executablePath, shots, ...pages] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "here.js")));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

// In the page: what is wider than the screen, and which figures cannot be seen whole.
function looked() {
  const page = document.documentElement;
  const visible = (svg) => {
    const box = svg.getBoundingClientRect();
    const inside = [...svg.querySelectorAll("text")].every((text) => {
      const t = text.getBoundingClientRect();
      const slack = 0.02 * box.width;
      return t.left >= box.left - slack && t.right <= box.right + slack
        && t.top >= box.top - slack && t.bottom <= box.bottom + slack;
    });
    const drawn = svg.querySelectorAll("path, use").length > 3;
    return box.width > 200 && box.height > 40 && drawn && inside && box.right <= page.clientWidth + 1;
  };
  const charts = [...document.querySelectorAll("svg.chart")];
  const name = (svg) => svg.closest("figure")?.id ?? "?";
  return {
    overflow: Math.max(0, page.scrollWidth - page.clientWidth),
    figures: charts.length,
    unseen: charts.filter((svg) => !visible(svg)).map(name),
    empty: [...document.querySelectorAll("figure")].filter((f) => !f.querySelector("svg, img")).length,
  };
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const path of pages) {
    for (const width of [1280, 390]) {
      for (const colorScheme of ["light", "dark"]) {
        const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
        const page = await context.newPage();
        const address = pathToFileURL(path).href;
        const errors = [];
        const requests = [];
        page.on("console", (said) => { if (said.type() === "error") errors.push(said.text()); });
        page.on("pageerror", (error) => errors.push(String(error)));
        page.on("dialog", (dialog) => { errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
        page.on("request", (request) => {
          if (request.url() !== address && !request.url().startsWith("data:")) requests.push(request.url());
        });
        const began = performance.now();
        await page.goto(address, { waitUntil: "load" });
        const opened = Math.round(performance.now() - began);
        const closed = await page.evaluate(looked);
        await page.screenshot({ path: join(shots, `${basename(path, ".html")}-${width}-${colorScheme}.png`), fullPage: true });
        await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
        const unfolded = await page.evaluate(looked);
        await page.evaluate(axe.source);
        const found = await page.evaluate(() => window.axe.run(document, {
          runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] },
        }));
        const violations = found.violations.map((v) => ({
          id: v.id, impact: v.impact, help: v.help, count: v.nodes.length,
          nodes: v.nodes.slice(0, 5).map((n) => `${n.target.join(" ")}: ${n.failureSummary}`),
        }));
        console.log(JSON.stringify({
          page: basename(path), width, scheme: colorScheme, opened, errors, requests,
          overflow: Math.max(closed.overflow, unfolded.overflow), figures: closed.figures,
          unseen: closed.unseen, empty: closed.empty, violations,
        }));
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
