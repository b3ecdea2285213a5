// Judge pages with Lighthouse, mobile: node lighthouse.mjs SITE RUNS [PAGE ...]. Fails if a median misses its goal.
import lighthouse from 'lighthouse';
import { open } from './site.mjs';

const GOALS = { performance: 95, accessibility: 100, 'best-practices': 100, seo: 100 };
const MOST = { shift: 0.01, kB: 200 };

const [site, runs, ...named] = process.argv.slice(2);
const { browser, address, pages, close } = await open(site, named);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
let failed = false;
console.log(['page', ...Object.keys(GOALS), 'range', 'FCP ms', 'LCP ms', 'TBT ms', 'shift', 'kB'].join('\t'));
for (const page of pages) {
  const results = [];
  for (let run = 0; run < Number(runs); run++) {
    const { lhr } = await lighthouse(address + page, { port: new URL(browser.wsEndpoint()).port, logLevel: 'error' });
    results.push(lhr);
  }
  const of = (value) => median(results.map(value));
  const score = (name) => of(({ categories }) => Math.round(100 * categories[name].score));
  const number = (id) => of(({ audits }) => audits[id].numericValue);
  const all = results.map(({ categories }) => Math.round(100 * categories.performance.score));
  const scores = Object.keys(GOALS).map(score);
  const [shift, kB] = [number('cumulative-layout-shift'), number('total-byte-weight') / 1000];
  console.log([
    page, ...scores, `${Math.min(...all)}-${Math.max(...all)}`,
    ...['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time'].map((id) => Math.round(number(id))),
    shift.toFixed(4), kB.toFixed(0),
  ].join('\t'));
  const missed = Object.entries(GOALS).filter(([name, goal], i) => scores[i] < goal).map(([name]) => name);
  if (shift >= MOST.shift) missed.push('shift');
  if (kB >= MOST.kB) missed.push('kB');
  failed ||= missed.length > 0;
  if (missed.length) {
    console.log(`  misses its goal in: ${missed.join(', ')}`);
    for (const name of missed.filter((name) => GOALS[name] === 100)) {
      for (const { id } of results[0].categories[name].auditRefs) {
        const { score, title, details } = results[0].audits[id];
        if (score !== null && score < 1) console.log(`    ${title}: ${details?.items?.map((item) => item.node?.snippet ?? item.description ?? '').join('\n      ') ?? ''}`);
      }
    }
  }
}
await close();
process.exitCode = failed ? 1 : 0;
