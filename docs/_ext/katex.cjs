// Called with KaTeX's path; reads [[tex, displayed], ...] and writes [[html, error], ...].
const katex = require(process.argv[2]);
const set = ([tex, displayMode]) => {
  try {
    return [katex.renderToString(tex, { displayMode, strict: 'error', throwOnError: true }), null];
  } catch (error) {
    return [null, error.message];
  }
};
const formulas = JSON.parse(require('fs').readFileSync(0, 'utf-8'));
process.stdout.write(JSON.stringify(formulas.map(set)));
