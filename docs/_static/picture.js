// The front page's picture, moved by sliders or by dragging x and ȳ. For n = 2 and gamma = 1, in the plane:
// r² = |x|²/2 + ε, J = I/r - x xᵀ/(2 r³). Tests compare every number with the derivation in Python.
{
  const form = document.querySelector('form.picture'), figure = form.previousElementSibling;
  const COLOURS = { x: '#3b82d6', g: '#d9601a', d: '#2f9e5f' }, NAMES = { x: 'x', g: 'ȳ', d: 'x̄' };
  const W = 499.2, H = 343.2, UNIT = W / 6.4;
  const at = ([u, v]) => [W / 2 + UNIT * u, H / 2 - UNIT * v];
  const element = (name, attributes, parent) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return parent.appendChild(made);
  };
  const old = figure.querySelector('svg'), svg = element('svg', {
    role: 'img', 'aria-label': old.getAttribute('aria-label'), viewBox: `0 0 ${W} ${H}`, width: W, height: H,
  }, figure);
  const across = element('line', { stroke: COLOURS.d, 'stroke-opacity': 0.5 }, svg);
  const lost = element('line', { stroke: COLOURS.g, 'stroke-width': 2, 'stroke-dasharray': '6 4' }, svg);
  const arrows = {};
  for (const key of 'xgd') {
    const style = { stroke: COLOURS[key], fill: COLOURS[key] };
    arrows[key] = {
      line: element('line', { ...style, 'stroke-width': 3 }, svg), head: element('path', { ...style, d: 'M0 0l-13-5v10z' }, svg),
      text: element('text', { fill: COLOURS[key], 'font-size': 19, 'font-style': 'italic', 'text-anchor': 'middle' }, svg),
    };
    arrows[key].text.textContent = NAMES[key];
    if (key !== 'd') arrows[key].grip = element('circle', { r: 22, fill: 'transparent', class: 'grip' }, svg);
  }
  old.remove();

  const set = (node, attributes) => { for (const key in attributes) node.setAttribute(key, attributes[key]); };
  const segment = (node, [x1, y1], [x2, y2]) => set(node, { x1, y1, x2, y2 });
  const point = (key, [u, v], beside) => {
    const [a, b] = at([u, v]), length = Math.hypot(u, v), { line, head, text, grip } = arrows[key];
    const back = Math.min(1, 10 / UNIT / (length || 1)), away = 1 + 0.28 / (length || 1);
    segment(line, at([0, 0]), at([u * (1 - back), v * (1 - back)]));
    set(head, { transform: `translate(${a} ${b}) rotate(${-Math.atan2(v, u) * 180 / Math.PI})`, visibility: length ? 'visible' : 'hidden' });
    const [c, d] = at(key === 'd' ? beside : length ? [u * away, v * away] : [0.2, 0.2]);
    const within = (value, size) => Math.max(14, Math.min(size - 14, value));   // what is drawn may leave the picture, its name may not
    set(text, { x: within(c, W), y: within(d, H) + 6, visibility: key !== 'd' || length > 0.2 ? 'visible' : 'hidden' });
    if (grip) set(grip, { cx: a, cy: b });
  };
  function update() {
    const [x1, x2, g1, g2, eps] = ['x1', 'x2', 'g1', 'g2', 'eps'].map((name) => Number(form[name].value));
    const r = Math.sqrt((x1 * x1 + x2 * x2) / 2 + eps), J = (i, j) => Number(i === j) / r - [x1, x2][i] * [x1, x2][j] / (2 * r ** 3);
    const numbers = { r, J11: J(0, 0), J12: J(0, 1), J21: J(1, 0), J22: J(1, 1), across: 1 / r, along: eps / r ** 3 };
    numbers.dx1 = numbers.J11 * g1 + numbers.J21 * g2;
    numbers.dx2 = numbers.J12 * g1 + numbers.J22 * g2;
    for (const name in numbers) form[name].value = r ? numbers[name].toFixed(3).replace(/^-(0\.0+)$/, '$1') : name === 'r' ? '0: no derivative' : '–';
    for (const slider of form.querySelectorAll('input')) slider.nextElementSibling.textContent = slider.value;
    const d = r ? [numbers.dx1, numbers.dx2] : [0, 0];
    point('x', [x1, x2]);
    point('g', [g1, g2]);
    const side = -0.22 * (Math.sign(x1 * g1 + x2 * g2) || 1) / (Math.hypot(x1, x2) || 1);
    point('d', d, [d[0] / 2 + side * x1, d[1] / 2 + side * x2]);   // its name stands away from ȳ
    segment(lost, at([g1, g2]), at([r * d[0], r * d[1]]));
    segment(across, at([-9 * x2, 9 * x1]), at([9 * x2, -9 * x1]));
  }
  form.addEventListener('input', update);
  for (const key of 'xg') {
    const { grip } = arrows[key];
    grip.addEventListener('touchstart', (event) => event.preventDefault());   // the finger moves the tip, not the page
    grip.addEventListener('pointerdown', (event) => grip.setPointerCapture(event.pointerId));
    grip.addEventListener('pointermove', (event) => {
      if (!grip.hasPointerCapture(event.pointerId)) return;
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      form[`${key}1`].value = (p.x - W / 2) / UNIT;   // a slider rounds to its steps and keeps to its range
      form[`${key}2`].value = (H / 2 - p.y) / UNIT;
      update();
    });
  }
  update();
}
