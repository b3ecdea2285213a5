// Called with KaTeX's path; reads [[tex, displayed], ...] and writes [[html, error], ...].
const katex = require(process.argv[2]);
// The tree is no documented interface, and saves a page about 15 % of its elements. Without it, or if it has
// changed so that nothing can be made lighter, the documented call sets the formulas as well; a test of
// tests/test_site.py then fails, and says that this file can become that one call.
const set = ([tex, displayMode]) => {
  const options = { displayMode, strict: 'error', throwOnError: true };
  try {
    const whole = katex.renderToString(tex, options);
    try {
      const tree = katex.__renderToDomTree(tex, options);
      lighten(tree);
      return [tree.toMarkup(), null];
    } catch {
      return [whole, null];
    }
  } catch (error) {
    return [null, error.message];
  }
};

// A page is mostly formulas, so two of KaTeX's habits are undone; the letters stay where they are:
// a group around one thing, and the table of ten elements around an index or exponent that has no other beside it.
const alone = (node) => {
  const group = node.children?.length === 1 && /^mord( mtight)?$/.test(node.classes?.join(' ')) && !Object.keys(node.style).length;
  return group ? node.children[0] : node;
};
const inTable = ({ classes, children }) => classes?.includes('vlist-t') || children?.some(inTable);
function lighten(node) {
  node.children?.forEach(lighten);
  if (node.children) node.children = node.children.map(alone);
  if (!node.classes?.includes('msupsub')) return;
  const [table] = node.children;
  const items = table.children[0].children[0].children;   // of the cell in the first row
  const [strut, ...content] = items[0].children;
  if (items.length > 1 || content.some(inTable)) return;
  const { top, ...margins } = items[0].style;
  const lowered = parseFloat(top) + parseFloat(strut.style.height);
  Object.assign(node.style, margins, { verticalAlign: `${+(-lowered).toFixed(4)}em`, lineHeight: '0' });
  node.children = content;
}

const formulas = JSON.parse(require('fs').readFileSync(0, 'utf-8'));
process.stdout.write(JSON.stringify(formulas.map(set)));
