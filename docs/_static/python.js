// Python in a worker of its own, fetched from this site when it is first asked; run-worker.js says what it answers.
globalThis.pythonBeside = (script, project, { progress, ended = () => {} }) => {
  let worker, answer, ready = false;
  function stop(reason) {
    if (worker) worker.onmessage = worker.onerror = null;
    worker?.terminate();
    worker = null;
    ready = false;
    ended();
    answer?.({ broken: reason, outputs: [['error', reason]], failed: true });
  }
  function start() {
    worker = new Worker(new URL('run-worker.js', script.src), { type: 'module' });
    worker.onmessage = ({ data }) => {
      if (data.received) progress(data.received);
      else if (data.broken) stop(data.broken);
      else { ready = true; answer(data); }
    };
    worker.onerror = ({ message }) => stop(`Python could not be started (${message ?? 'not fetched'}). Press the button to try again.`);
  }
  return {
    started: () => Boolean(worker),
    ready: () => ready,
    stop,
    ask(question) {
      if (!worker) start();
      worker.postMessage({ project: new URL(project, location.href).href, ...question });
      return new Promise((resolve) => { answer = resolve; });
    },
  };
};
// What sets formulas, fetched when it is first needed
let katexHere;
globalThis.setFormula = async (script, text, displayMode) => {
  katexHere ??= new Promise((resolve, reject) => {
    const made = document.createElement('script');
    made.src = new URL('pyodide/katex.min.js', script.src);
    made.onload = () => resolve(window.katex);
    made.onerror = () => { katexHere = null; reject(new Error('What sets the formulas could not be fetched. Press the button to try again.')); };
    document.head.appendChild(made);
  });
  return (await katexHere).renderToString(text, { displayMode, throwOnError: false });
};
