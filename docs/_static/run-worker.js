// Python in a worker of its own: it answers {project, source, checked} with {outputs, failed}.
import { loadPyodide } from './pyodide/pyodide.mjs';

const plain = self.fetch;
let received = 0;
self.fetch = async (...request) => {   // Pyodide's own requests, too
  const response = await plain(...request);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}: ${response.url}`);
  const count = new TransformStream({
    transform(chunk, controller) {
      postMessage({ received: received += chunk.length });
      controller.enqueue(chunk);
    },
  });
  const headers = response.url.endsWith('.wasm') ? { 'Content-Type': 'application/wasm' } : {};   // not every server knows
  return new Response(response.body.pipeThrough(count), { headers });
};
const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

async function start(project) {
  const files = ['./pyodide/packages.zip', './run_cell.py'].map((file) => new URL(file, import.meta.url));
  // What Pyodide cannot fetch or compile it only logs, and waits for ever
  const logged = new Promise((_, reject) => {
    console.warn = console.error = (error) => { if (error instanceof Error) reject(error); };
    self.onunhandledrejection = (event) => { event.preventDefault(); reject(event.reason); };
  });
  const all = Promise.all([loadPyodide(), ...[...files, project].map(bytes)]);
  const [python, packages, cell, beside] = await Promise.race([all, logged]);
  python.FS.writeFile('/lib/packages.zip', packages);
  python.unpackArchive(beside, 'zip');
  python.runPython('import sys; sys.path.append("/lib/packages.zip"); sys.path.insert(0, "")');
  python.runPython(new TextDecoder().decode(cell));
  return python.globals.get('run_cell');
}

let run;
self.onmessage = async ({ data }) => {
  try {
    run ??= await start(data.project);
  } catch (error) {
    return postMessage({ broken: `Python could not be started (${error.message}). Press Run to try again.` });
  }
  try {
    const result = run(data.source, data.checked);
    const [outputs, failed] = result.toJs();
    result.destroy();
    postMessage({ outputs, failed });
  } catch (error) {
    postMessage({ broken: `Python stopped: ${error.message ?? error}` });
  }
};
