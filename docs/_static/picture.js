// The front page's picture, moved by sliders or by dragging x and ȳ. Its numbers come from `picture`,
// a function that SymPy printed from the derivation; its state is kept in the address.
{
  const form = document.querySelector('form.picture'), figure = form.previousElementSibling;
  const COLOURS = { x: '#3b82d6', g: '#d9601a', d: '#2f9e5f', y: '#b05fd0' }, NAMES = { x: 'x', g: 'ȳ', d: 'x̄', y: 'y' };
  const SLIDERS = [...form.querySelectorAll('input')], STATE = '#picture=';
  const W = 499.2, H = 343.2, LEAST = 2.15;   // the plane reaches at least so far up and down
  let unit = H / 2 / LEAST;
  const at = ([u, v]) => [W / 2 + unit * u, H / 2 - unit * v];
  const element = (name, attributes, parent) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return parent.appendChild(made);
  };
  const old = figure.querySelector('svg'), svg = element('svg', {
    role: 'img', 'aria-label': old.getAttribute('aria-label'), viewBox: `0 0 ${W} ${H}`, width: W, height: H,
  }, figure);
  const circle = element('ellipse', { fill: 'none', stroke: '#808080' }, svg);   // where y lies at ε = 0
  const across = element('line', { stroke: COLOURS.d, 'stroke-opacity': 0.5 }, svg);
  const rest = element('line', { stroke: COLOURS.d, 'stroke-width': 2, 'stroke-dasharray': '2 4' }, svg);
  const lost = element('line', { stroke: COLOURS.g, 'stroke-width': 2, 'stroke-dasharray': '6 4' }, svg);
  const weighted = element('circle', { r: 4, fill: COLOURS.g }, svg);   // γȳ, where it is not ȳ
  const arrows = {};
  for (const key of 'xgd') {
    const style = { stroke: COLOURS[key], fill: COLOURS[key] };
    arrows[key] = { line: element('line', { ...style, 'stroke-width': 3 }, svg), head: element('path', { ...style, d: 'M0 0l-13-5v10z' }, svg) };
  }
  const dot = element('circle', { r: 6, fill: COLOURS.y }, svg);
  for (const key of 'xgdy') {
    const text = element('text', { fill: COLOURS[key], 'font-size': 19, 'font-style': 'italic', 'text-anchor': 'middle' }, svg);
    text.textContent = NAMES[key];
    arrows[key] = { ...arrows[key], text };
  }
  for (const key of 'xg') {
    arrows[key].ring = element('circle', { r: 9, fill: COLOURS[key], 'fill-opacity': 0.2, stroke: COLOURS[key], 'stroke-width': 2 }, svg);
    arrows[key].grip = element('circle', { r: 22, fill: 'transparent', class: 'grip' }, svg);
  }
  old.remove();

  const set = (node, attributes) => { for (const key in attributes) node.setAttribute(key, attributes[key]); };
  const segment = (node, [x1, y1], [x2, y2]) => set(node, { x1, y1, x2, y2 });
  const name = (key, place, seen = true) => {   // within the picture
    const [a, b] = at(place), within = (value, size) => Math.max(14, Math.min(size - 14, value));
    set(arrows[key].text, { x: within(a, W), y: within(b, H) + 6, visibility: seen ? 'visible' : 'hidden' });
  };
  const point = (key, [u, v]) => {
    const [a, b] = at([u, v]), length = Math.hypot(u, v), { line, head, ring, grip } = arrows[key];
    const back = Math.min(1, 10 / unit / (length || 1));
    segment(line, at([0, 0]), at([u * (1 - back), v * (1 - back)]));
    set(head, { transform: `translate(${a} ${b}) rotate(${-Math.atan2(v, u) * 180 / Math.PI})`, visibility: length ? 'visible' : 'hidden' });
    for (const node of [ring, grip]) if (node) set(node, { cx: a, cy: b });
  };
  const beside = ([u, v], pixels) => {   // further out
    const length = Math.hypot(u, v), out = pixels / unit / (length || 1);
    return length ? [u * (1 + out), v * (1 + out)] : [15 / unit, 15 / unit];
  };

  function update() {
    const given = Object.fromEntries(SLIDERS.map((slider) => [slider.name, Number(slider.value)]));
    const { x1, x2, g1, g2, w1, w2, eps } = given, numbers = picture(given), { r } = numbers;
    for (const output of form.querySelectorAll('output')) {
      output.value = r ? numbers[output.name].toFixed(3).replace(/^-(0\.0+)$/, '$1') : output.name === 'r' ? '0: no derivative' : '–';
    }
    for (const slider of SLIDERS) slider.nextElementSibling.textContent = slider.value;
    const d = r ? [numbers.dx1, numbers.dx2] : [0, 0], y = r ? [numbers.y1, numbers.y2] : [0, 0];
    const v = [w1 * g1, w2 * g2], left = [r * d[0], r * d[1]];
    const all = [[x1, x2], [g1, g2], d, y, v, left, [Math.SQRT2 * w1, Math.SQRT2 * w2]];
    const far = (axis) => Math.max(...all.map((place) => Math.abs(place[axis])));
    unit = Math.min(H / 2 / LEAST, (W / 2 - 16) / far(0), (H / 2 - 16) / far(1));
    set(circle, { cx: W / 2, cy: H / 2, rx: unit * Math.SQRT2 * Math.abs(w1), ry: unit * Math.SQRT2 * Math.abs(w2) });
    point('x', [x1, x2]);
    point('g', [g1, g2]);
    point('d', d);
    set(dot, { cx: at(y)[0], cy: at(y)[1], visibility: r ? 'visible' : 'hidden' });
    const [a, b] = at(v);
    set(weighted, { cx: a, cy: b, visibility: w1 === 1 && w2 === 1 ? 'hidden' : 'visible' });
    segment(lost, at(v), at(left));
    segment(rest, at([0, 0]), at(left));
    const length = Math.hypot(x1, x2) || 1, long = 2 * W / unit;
    segment(across, at([-long * x2 / length, long * x1 / length]), at([long * x2 / length, -long * x1 / length]));
    name('x', beside([x1, x2], 24));
    name('g', beside([g1, g2], 24));
    const side = -16 / unit * (Math.sign(x1 * g1 + x2 * g2) || 1) / length;   // away from ȳ
    name('d', [d[0] / 2 + side * x1, d[1] / 2 + side * x2], unit * Math.hypot(...d) > 16);
    const off = 17 / unit / length;   // beside the ray
    name('y', [y[0] + off * x2, y[1] - off * x1], r > 0);
  }
  const keep = () => history.replaceState(null, '', STATE + SLIDERS.map((slider) => slider.value).join(','));
  form.addEventListener('input', update);
  form.addEventListener('change', keep);
  for (const key of 'xg') {
    const { grip } = arrows[key];
    let start;
    const where = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    grip.addEventListener('touchstart', (event) => event.preventDefault());   // the finger moves the tip, not the page
    grip.addEventListener('pointerdown', (event) => {
      grip.setPointerCapture(event.pointerId);
      const tip = [1, 2].map((axis) => Number(form[`${key}${axis}`].value));
      start = { from: where(event), tip, unit };   // of now: the picture may be rescaled on the way
    });
    grip.addEventListener('pointermove', (event) => {
      if (!grip.hasPointerCapture(event.pointerId)) return;
      const p = where(event), { from, tip } = start;
      form[`${key}1`].value = tip[0] + (p.x - from.x) / start.unit;   // a slider rounds to its steps and keeps to its range
      form[`${key}2`].value = tip[1] - (p.y - from.y) / start.unit;
      update();
    });
    grip.addEventListener('pointerup', keep);
  }
  function restore() {
    const values = location.hash.startsWith(STATE) && location.hash.slice(STATE.length).split(',');
    if (values?.length !== SLIDERS.length || values.some((value) => value === '' || Number.isNaN(Number(value)))) return;
    SLIDERS.forEach((slider, at) => { slider.value = values[at]; });
    figure.scrollIntoView({ block: 'center' });
    update();
  }
  addEventListener('hashchange', restore);
  update();
  restore();
}
