// Time what a reader waits for who presses Run: node run.mjs SITE RUNS [PAGE ...]. Fails if a median misses its goal.
// Each run has a browser and a profile of its own; after the first cell, every other is run in turn.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from './site.mjs';

const GOALS = { first: 8, next: 1 };   // seconds

const [site, runs, ...named] = process.argv.slice(2);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const press = (number) => new Promise((done) => {
  const cell = [...document.querySelectorAll('div.cell:has(.run-bar)')][number];
  const [button] = cell.querySelectorAll('.run-bar button');
  const start = performance.now();
  new MutationObserver((_, observer) => {
    if (button.textContent !== 'Run') return;   // it says Stop
    observer.disconnect();
    done((performance.now() - start) / 1000);
  }).observe(cell, { childList: true, subtree: true });
  button.click();
});

const { pages, close } = await open(site, named);
await close();
let failed = false;
console.log(['page', 'cells', 'first, s', 'range', 'next, s', 'slowest', 'MB', 'requests'].join('\t'));
for (const name of pages.filter((page) => readFileSync(join(site, page), 'utf-8').includes('run.js'))) {
  const results = [];
  for (let run = 0; run < Number(runs); run++) {
    const { browser, address, traffic, close } = await open(site, named);
    const page = await browser.newPage();
    await page.goto(address + name, { waitUntil: 'networkidle0' });
    const before = { ...traffic };
    const times = [await page.evaluate(press, 0)];
    const [MB, requests] = [(traffic.bytes - before.bytes) / 1e6, traffic.requests - before.requests];
    const cells = await page.$$eval('div.cell:has(.run-bar)', ({ length }) => length);
    while (times.length < cells) times.push(await page.evaluate(press, times.length));
    results.push({ times, MB, requests });
    await close();
  }
  const [first, ...next] = results[0].times.map((_, cell) => median(results.map(({ times }) => times[cell])));
  const all = results.map(({ times }) => times[0]);
  const [{ MB, requests }] = results;
  console.log([
    name, next.length + 1, first.toFixed(2), `${Math.min(...all).toFixed(2)}-${Math.max(...all).toFixed(2)}`,
    next.length ? median(next).toFixed(2) : '', Math.max(0, ...next).toFixed(2), MB.toFixed(1), requests,
  ].join('\t'));
  const missed = first >= GOALS.first || next.some((time) => time >= GOALS.next);
  if (missed) console.log(`  misses its goal: ${GOALS.first} s for the first, ${GOALS.next} s for another`);
  failed ||= missed;
}
process.exitCode = failed ? 1 : 0;
