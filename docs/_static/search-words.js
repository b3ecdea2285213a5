// On the search page: what is shown of a page found is words; a formula in a line is shown once, and none of the displayed ones.
// A page that explains a word comes before the sentence that the glossary has for it.
Scorer.score = ([page, , , , score]) => (page === 'glossary' ? score - 0.5 : score);
const ABOVE = { '^': '\u0302', ˉ: '\u0304', '¯': '\u0304', '˙': '\u0307' };
Search.htmlToText = (text, anchor) => {
  const found = new DOMParser().parseFromString(text, 'text/html');
  const main = found.querySelector('[role="main"]') ?? found.body;
  const nothing = '.headerlink, script, style, svg, form, summary, annotation, .katex-html, .katex-display, .cell_input';
  for (const part of main.querySelectorAll(nothing)) part.remove();
  for (const over of main.querySelectorAll('mover')) {
    const [letter, mark] = over.children;
    if (ABOVE[mark.textContent]) over.textContent = letter.textContent + ABOVE[mark.textContent];
  }
  const place = anchor ? main.querySelector(anchor) : null;
  const part = place?.textContent.trim() ? place : place?.closest('section') ?? main;   // an index entry is empty
  return part.textContent.replace(/\s+/g, ' ');
};
