// What site.css leaves out of the first layout follows here, a little in each frame, so that no task is long.
{
  const boxes = [...document.querySelectorAll('div.math, .highlight[style], figure.plot')];
  requestAnimationFrame(function some() {
    const end = performance.now() + 3;   // ms
    while (boxes.length && performance.now() < end) {
      const box = boxes.shift();
      box.style.contentVisibility = 'visible';
      box.getBoundingClientRect();   // lays it out
    }
    if (boxes.length) requestAnimationFrame(some);
  });
}
