// Judge pages with Lighthouse, mobile: node run.mjs SITE RUNS [PAGE ...]; medians, all pages unless named.
// The site is served gzipped over HTTP/1.1, as a plain static host does. Fails below the goals.
import { createReadStream, existsSync, globSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { createGzip } from 'node:zlib';
import { launch } from 'chrome-launcher';
import lighthouse from 'lighthouse';

const GOALS = { performance: 95, accessibility: 100, 'best-practices': 100, seo: 100 };
const MOST = { shift: 0.01, kB: 200 };
const TYPES = {
  '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.mjs': 'text/javascript',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2', '.txt': 'text/plain', '.xml': 'text/xml',
};

const [site, runs, ...named] = process.argv.slice(2);
const pages = named.length ? named : globSync('*.html', { cwd: site }).sort();
const server = createServer((request, response) => {
  const file = join(site, decodeURI(new URL(request.url, 'http://x').pathname));
  if (!existsSync(file) || !extname(file)) return response.writeHead(404).end();
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  const zip = /text|svg/.test(type);
  response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, ...(zip && { 'Content-Encoding': 'gzip' }) });
  zip ? createReadStream(file).pipe(createGzip()).pipe(response) : createReadStream(file).pipe(response);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const flags = '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const chrome = await launch({ chromeFlags: flags.split(' '), chromePath: process.env.CHROME_PATH ?? '/usr/bin/chromium' });

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
let failed = false;
console.log(['page', ...Object.keys(GOALS), 'range', 'FCP ms', 'LCP ms', 'TBT ms', 'shift', 'kB'].join('\t'));
for (const page of pages) {
  const results = [];
  for (let run = 0; run < Number(runs); run++) {
    const { lhr } = await lighthouse(`http://127.0.0.1:${server.address().port}/${page}`, { port: chrome.port, logLevel: 'error' });
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
chrome.kill();
server.close();
process.exitCode = failed ? 1 : 0;
