// Judge pages with axe, light and dark, wide and narrow: node axe.mjs SITE [PAGE ...]. Fails on any violation.
import { createRequire } from 'node:module';
import { open } from './site.mjs';

const [site, ...named] = process.argv.slice(2);
const { browser, address, pages, close } = await open(site, named);
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
let violations = 0;
for (const name of pages) {
  for (const [scheme, width] of [['light', 1280], ['light', 390], ['dark', 1280], ['dark', 390]]) {
    const page = await browser.newPage();
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.goto(address + name);
    await page.addStyleTag({ content: '* { content-visibility: visible !important }' }); // all of the page
    await page.addScriptTag({ path: axe });
    await page.evaluate(() => new Promise((done) => { setTimeout(done, 300); })); // until the scripts have marked what scrolls
    const found = await page.evaluate(async () => {
      const { violations, passes } = await axe.run();
      for (const rule of violations) {   // axe does not read MathML, screen readers do
        if (rule.id === 'empty-table-header') rule.nodes = rule.nodes.filter(({ target }) => !document.querySelector(target[0]).querySelector('math'));
      }
      return { passes, violations: violations.filter(({ nodes }) => nodes.length) };
    });
    violations += found.violations.length;
    console.log(`${name}, ${scheme}, ${width} px: ${found.violations.length} violations, ${found.passes.length} rules passed`);
    for (const { id, impact, help, nodes } of found.violations) {
      console.log(`  ${id} (${impact}): ${help}`);
      for (const { html } of nodes.slice(0, 3)) console.log(`    ${html.slice(0, 160)}`);
    }
    await page.close();
  }
}
await close();
process.exitCode = violations ? 1 : 0;
