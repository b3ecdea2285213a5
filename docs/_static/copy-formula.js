// Two small buttons at each displayed formula copy it: as LaTeX, and as SymPy's code where SymPy made it.
{
  for (const formula of document.querySelectorAll('div.math')) {
    const forms = { LaTeX: formula.querySelector('annotation')?.textContent.trim(), SymPy: formula.dataset.sympy };
    const bar = document.createElement('div');
    bar.className = 'copy-formula';
    for (const [form, text] of Object.entries(forms)) {
      if (!text) continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = form;
      button.setAttribute('aria-label', `Copy as ${form}`);
      button.addEventListener('click', async () => {
        await navigator.clipboard.writeText(text);
        button.textContent = 'Copied';
        setTimeout(() => { button.textContent = form; }, 1500);
      });
      bar.append(button);
    }
    formula.closest('.math-wrapper')?.prepend(bar);
  }
}
