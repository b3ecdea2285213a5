// The page "Derive yours": the reader's text goes to Python in a worker, and formulas and code come back as text.
(() => {
  const script = document.currentScript, form = document.querySelector('form.derive');
  const program = new URL(script.dataset.program, location.href), total = Number(script.dataset.bytes);
  const [text, examples, result] = [form.querySelector('textarea'), form.querySelector('select'), form.querySelector('.derived')];
  const [button, link] = form.querySelectorAll('button'), status = form.querySelector('[role=status]');
  const layers = JSON.parse(form.dataset.examples), LIMIT = 20_000;   // ms, for one layer
  const make = (tag, properties, parent) => parent.appendChild(Object.assign(document.createElement(tag), properties));
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  const say = (message) => { if (status.textContent !== message) status.textContent = message; };
  const bytes = status.nextElementSibling;

  let working = false, waiting;
  const python = pythonBeside(script, new URL('rmsnorm_math.zip', program), {
    progress(received) {
      bytes.textContent = received < total ? `${megabytes(received)} of ${megabytes(total)} MB` : '';
      if (received >= total) say('Starting Python…');
    },
  });

  const copied = (button, value) => async () => {
    const before = button.textContent;
    await navigator.clipboard.writeText(value);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = before; }, 1500);
  };
  const act = (label, parent, action) => { const made = make('button', { type: 'button', textContent: label }, parent); made.onclick = action(made); };

  async function showFormula(what, tex) {
    const box = make('section', {}, result);
    const head = make('div', { className: 'derive-head' }, box);
    make('h3', { textContent: what[0].toUpperCase() + what.slice(1) }, head);
    act('Copy LaTeX', head, (button) => copied(button, tex));
    const set = make('div', { className: 'derive-formula' }, box);
    set.innerHTML = await setFormula(script, tex, true);   // KaTeX writes it, and escapes what it is given
    if (set.scrollWidth > set.clientWidth) Object.assign(set, { tabIndex: 0, role: 'group', ariaLabel: 'Formula' });
  }

  function showCode(texts) {
    const box = make('section', {}, result), head = make('div', { className: 'derive-head' }, box);
    make('h3', { textContent: 'Code' }, head);
    const tabs = make('div', { role: 'tablist', ariaLabel: 'Framework' }, head);
    const panel = make('div', { id: 'derive-code', role: 'tabpanel', tabIndex: 0 }, box);
    const pre = make('pre', {}, panel), bar = make('div', { className: 'derive-head' }, box);
    const names = Object.keys(texts);
    let shown;
    const all = names.map((name) => {
      const tab = make('button', { type: 'button', role: 'tab', textContent: form.dataset[name] ?? name, id: `derive-${name}` }, tabs);
      tab.setAttribute('aria-controls', panel.id);
      tab.onclick = () => choose(name);
      return tab;
    });
    function choose(name) {
      shown = name;
      all.forEach((tab, i) => { tab.ariaSelected = String(names[i] === name); tab.tabIndex = names[i] === name ? 0 : -1; });
      panel.setAttribute('aria-labelledby', `derive-${name}`);
      pre.textContent = texts[name].trim();
    }
    tabs.onkeydown = ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = (names.indexOf(shown) + step + names.length) % names.length;
      choose(names[next]);
      all[next].focus();
    };
    act('Copy code', bar, (button) => () => copied(button, texts[shown])());
    act('Download', bar, () => () => {
      const file = make('a', { href: URL.createObjectURL(new Blob([texts[shown]])), download: `layer_${shown}.${shown === 'c' ? 'c' : 'py'}`, hidden: true }, document.body);
      file.click();
      URL.revokeObjectURL(file.href);
      file.remove();
    });
    choose(names[0]);
  }

  async function show({ formulas, code, error, line }) {
    result.replaceChildren();
    form.classList.add('live');
    text.removeAttribute('aria-invalid');
    if (error) {
      text.setAttribute('aria-invalid', 'true');
      make('p', { className: 'derive-error', textContent: line ? `Line ${line}: ${error}` : error }, result);
      return say('Nothing is derived yet: see the message.');
    }
    for (const [what, tex] of formulas) await showFormula(what, tex);
    showCode(code);
    say('Done.');
  }

  async function derive() {
    clearTimeout(waiting);
    if (working) return python.stop('Stopped.');
    if (!location.protocol.startsWith('http')) return say('To derive here, serve the site: python -m http.server -d docs/_build/html');
    working = true;
    button.textContent = 'Stop';
    history.replaceState(null, '', `#layer=${encodeURIComponent(text.value)}`);
    say(python.started() ? 'Deriving…' : `Fetching Python, ${megabytes(total)} MB, once…`);
    const asked = text.value;
    const answer = python.ask({ layer: asked });
    const long = setTimeout(() => { if (python.ready()) python.stop(`This took more than ${LIMIT / 1000} seconds, and was stopped: the package itself has no such limit.`); }, LIMIT);
    try {
      const { found, broken } = await answer;
      await show(broken ? { error: broken } : JSON.parse(found));
    } catch ({ message }) {
      await show({ error: message });
    }
    clearTimeout(long);
    working = false;
    bytes.textContent = '';
    button.textContent = 'Derive';
    if (text.value !== asked) again();
  }
  function again() {   // once Python is here, what is typed is derived when the typing stops
    clearTimeout(waiting);
    if (python.started() && !working) waiting = setTimeout(derive, 500);
  }

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1)).get('layer');
    if (given === null || given === text.value) return;
    text.value = given.slice(0, 2000);
    examples.value = '';
    say(`This layer came with the address. Press Derive${python.started() ? '' : `: ${megabytes(total)} MB of Python are fetched, once`}.`);
  }
  form.hidden = false;
  form.onsubmit = (event) => { event.preventDefault(); derive(); };
  text.oninput = () => { examples.value = ''; again(); };
  text.onkeydown = (event) => {
    if (event.key === 'Enter' && (event.shiftKey || event.ctrlKey || event.metaKey)) { event.preventDefault(); derive(); }
  };
  examples.onchange = () => { if (examples.value) { text.value = layers[examples.value]; derive(); } };
  link.onclick = () => {
    history.replaceState(null, '', `#layer=${encodeURIComponent(text.value)}`);
    copied(link, location.href)();
  };
  addEventListener('hashchange', fromAddress);
  say(`Derive fetches Python, ${megabytes(total)} MB, once. It runs in this page; nothing is sent anywhere.`);
  fromAddress();
})();
