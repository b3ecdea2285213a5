// A Run button on every code cell. Python is fetched when one is first pressed, from this site alone.
// What runs is the page's notebook: its hidden cells, too, and the cells as the reader has edited them.
(() => {
  const script = document.currentScript;
  const program = new URL(script.dataset.program, location.href);
  const total = Number(script.dataset.bytes);
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  const lacking = new Set(JSON.parse(script.dataset.needs));   // cells that need what a browser has not
  const make = (tag, properties, parent) => parent.appendChild(Object.assign(document.createElement(tag), properties));

  let running;   // the cell, if one runs
  const ran = [];   // the sources that have run, in order
  const python = pythonBeside(script, new URL('rmsnorm_math.zip', program), {
    progress: (received) => running?.progress(received),
    ended: () => { running = null; ran.length = 0; },
  });

  const boxes = [...document.querySelectorAll('div.cell')];

  // The page's cells: those of the notebook, each with what it has on the page
  let loaded;
  const load = () => loaded ??= (async () => {
    const response = await fetch(program);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const left = [...boxes];
    const cells = (await response.json()).cells
      .filter((cell) => cell.cell_type === 'code')
      .map(({ source, metadata }) => ({ source: [source].flat().join(''), tags: metadata.tags ?? [] }))
      .filter(({ tags }) => !tags.includes('unpack'));
    for (const cell of cells) if (!cell.tags.includes('remove-cell')) cell.box = left.shift();
    for (const cell of cells) cell.shown = shown.find(({ box }) => box === cell.box);
    return cells;
  })().catch(({ message }) => {
    loaded = null;
    throw new Error(`The page's notebook could not be fetched (${message}). Press the button to try again.`);
  });

  const tex = (text, displayMode) => setFormula(script, text, displayMode);

  async function show(box, outputs) {
    clear(box);
    const live = make('div', { className: 'run-output' }, box);
    for (const [kind, text] of outputs) {
      const part = make('div', { className: `run-${kind}` }, live);
      if (kind === 'latex') part.innerHTML = await tex(text.replace(/^\$+(\\displaystyle)?|\$+$/g, ''), true);
      else if (kind === 'html') {
        part.innerHTML = text;
        for (const math of part.querySelectorAll('.math')) math.innerHTML = await tex(math.textContent, math.matches('div'));
        for (const table of part.querySelectorAll('table')) {   // as those that the page was built with
          table.className = 'docutils align-default';
          table.replaceWith(Object.assign(document.createElement('div'), { className: 'table-wrapper docutils container' }));
          part.querySelector('.table-wrapper:empty').append(table);
        }
      } else make('pre', { textContent: text.trimEnd() }, part);
      const tall = kind !== 'latex' && part.scrollHeight > part.clientHeight + 1;
      if (part.scrollWidth > part.clientWidth || tall) Object.assign(part, { tabIndex: 0, role: 'group', ariaLabel: 'Result' });
    }
    box.classList.add('run-live');
    box.querySelector('.run-reset')?.removeAttribute('hidden');
  }
  // Edits are kept for as long as the tab is open
  const place = `edits of ${location.pathname}`;
  const kept = JSON.parse(sessionStorage.getItem(place) ?? '{}');
  function keep(first, text) {
    if (text === undefined) delete kept[first];
    else kept[first] = text;
    sessionStorage.setItem(place, JSON.stringify(kept));
  }
  function clear(box) {
    box.querySelector('.run-output')?.remove();
    box.classList.remove('run-live');
  }

  // Run what has not run yet, up to the cell, and the hidden cells that show its result
  async function run(shownCell) {
    const cells = await load();
    const index = cells.findIndex(({ shown }) => shown === shownCell);
    const edited = shown.some((cell) => cell.edited() !== undefined);
    const missing = [];
    for (let i = 0; i <= index || (i < cells.length && !cells[i].shown); i++) {
      const { source, tags, box, shown } = cells[i];
      const text = shown?.edited() ?? source;
      if (i < ran.length && i !== index && ran[i] === text) continue;
      ran.length = i;
      if (running !== shownCell) return show(shownCell.box, [['error', 'Stopped.']]);
      if (python.ready() && i <= index) shownCell.say(i < index ? `Running cell ${i + 1} of ${index + 1}…` : 'Running…');
      const { outputs, failed } = await python.ask({ source: text, checked: !box });
      if (running !== shownCell) return show(shownCell.box, outputs);
      ran[i] = text;
      const wrong = failed && !tags.includes('raises-exception');
      const absent = wrong && /^ModuleNotFoundError/.test(outputs.at(-1)[1]);
      if (wrong && i < index && (absent || !shown)) missing.push(outputs.at(-1));
      const here = i === index || shown?.edited() !== undefined;
      if (box && wrong && (shown ? absent && !here : !edited)) clear(box);   // what the page shows is right
      else if (box) {
        const note = i === index && wrong && !absent && missing.length ? [['text', 'Above it, this could not run:'], ...missing] : [];
        await show(box, [...outputs, ...note]);
      }
      if (wrong && shown && !absent && i < index) {
        ran.length = i;
        return show(shownCell.box, [['error', 'A cell above fails; mend or reset it first.']]);
      }
    }
  }

  const shown = boxes.filter((box) => box.querySelector('.cell_input pre')).map((box) => {
    const pre = box.querySelector('.cell_input pre');
    const original = pre.innerHTML;
    const first = pre.textContent.trimEnd();
    const bar = make('div', { className: 'run-bar' }, box.querySelector('.cell_input'));
    const button = make('button', { type: 'button', textContent: 'Run' }, bar);
    const reset = make('button', { type: 'button', className: 'run-reset', textContent: 'Reset', hidden: true }, bar);
    const restart = make('button', { type: 'button', className: 'run-restart', textContent: 'Restart', hidden: true }, bar);
    const status = make('span', { role: 'status' }, bar);
    const bytes = make('span', { textContent: `fetches Python, ${megabytes(total)} MB, once` }, bar);
    const text = () => (pre.querySelector('br') ? pre.innerText : pre.textContent).trimEnd();
    const cell = {
      box,
      edited: () => text() === first ? undefined : text(),
      begin() { cell.say(''); bytes.hidden ||= !lacks; restart.hidden = false; },
      say: (message) => { if (status.textContent !== message) status.textContent = message; },
      progress(received) {
        bytes.hidden = received >= total;
        bytes.textContent = `${megabytes(received)} of ${megabytes(total)} MB`;
        if (received >= total) cell.say('Starting Python…');
      },
    };

    pre.setAttribute('contenteditable', 'plaintext-only');
    if (pre.contentEditable !== 'plaintext-only') pre.contentEditable = 'true';
    Object.assign(pre, { spellcheck: false, tabIndex: 0, role: 'textbox', ariaMultiLine: 'true', ariaLabel: 'Code, editable', autocapitalize: 'off' });
    pre.setAttribute('autocorrect', 'off');
    const lacks = lacking.has(boxes.indexOf(box));
    const mark = () => {
      button.disabled = lacks && cell.edited() === undefined;
      if (lacks) bytes.textContent = 'needs NumPy: see the notebook below';
    };
    if (kept[first] !== undefined) { pre.textContent = kept[first]; reset.hidden = false; }
    mark();
    pre.oninput = () => { reset.hidden = false; cell.say(''); keep(first, cell.edited()); mark(); };
    pre.onblur = () => { for (const line of pre.querySelectorAll('br')) line.replaceWith('\n'); };   // what is copied is text
    pre.onkeydown = (event) => {
      if (event.key === 'Enter' && (event.shiftKey || event.ctrlKey || event.metaKey)) { event.preventDefault(); button.click(); }
    };
    reset.onclick = () => {
      pre.innerHTML = original;
      keep(first);
      mark();
      clear(box);
      for (let i = boxes.indexOf(box) + 1; boxes[i] && !boxes[i].querySelector('.run-bar'); i++) clear(boxes[i]);
      cell.say('');
      reset.hidden = true;
      button.focus();
    };
    restart.onclick = () => {
      python.stop('Stopped.');
      for (const each of boxes) clear(each);
      for (const each of document.querySelectorAll('.run-restart')) each.hidden = true;
      for (const other of shown) other.say('');
      cell.say('Starts anew at the next Run.');
      button.focus();
    };
    button.onclick = async () => {
      if (running === cell) return python.stop('Stopped.');
      if (button.textContent !== 'Run') return;   // it is stopping
      if (running) return cell.say('Another cell is running.');
      if (!location.protocol.startsWith('http')) return cell.say('To run it, serve the site: python -m http.server -d docs/_build/html');
      running = cell;
      button.textContent = 'Stop';
      for (const other of shown) other.begin();
      cell.say(python.started() ? 'Running…' : 'Fetching Python, once…');
      await run(cell).catch(({ message }) => show(box, [['error', message]]));
      if (running === cell) running = null;
      bytes.hidden = true;
      button.textContent = 'Run';
      cell.say(box.querySelector('.run-error') ? 'Error.' : 'Done.');
    };
    return cell;
  });
})();
