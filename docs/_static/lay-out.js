// What site.css leaves out of the first layout follows here, a little in each frame, so that no task is long.
{
  const boxes = [...document.querySelectorAll('div.math, .highlight[style], figure.plot')];
  function layOut(until) {
    while (boxes.length && performance.now() < until) {
      const box = boxes.shift();
      box.style.contentVisibility = 'visible';
      box.getBoundingClientRect();   // lays it out
    }
  }
  requestAnimationFrame(function some() {
    layOut(performance.now() + 3);   // ms
    if (boxes.length) requestAnimationFrame(some);
  });
  // A link to a section leads there, also when what is above it, or its letters, came later.
  let moved = !location.hash;
  for (const by of ['wheel', 'touchmove', 'keydown', 'pointerdown']) addEventListener(by, () => { moved = true; }, { once: true, passive: true });
  function lead() {
    if (moved) return;
    layOut(Infinity);
    document.querySelector(':target')?.scrollIntoView({ behavior: 'instant' });
  }
  lead();
  addEventListener('load', lead);
  document.fonts?.addEventListener('loadingdone', lead);
}
