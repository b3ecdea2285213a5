// Python in a worker of its own: it answers {project, source, checked} with
// {outputs, failed}, and {project, layer} with {found}: what docs/derive.py finds of a layer's text, as JSON.
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
  const derive = (text) => (deriver ??= python.pyimport('derive').answer)(text);
  return { run: python.globals.get('run_cell'), derive };
}

let here, deriver;
self.onmessage = async ({ data }) => {
  try {
    here ??= await start(data.project);
  } catch (error) {
    return postMessage({ broken: `Python could not be started (${error.message}). Press the button to try again.` });
  }
  try {
    if (data.layer !== undefined) return postMessage({ found: here.derive(data.layer) });
    const result = here.run(data.source, data.checked);
    const [outputs, failed] = result.toJs();
    result.destroy();
    postMessage({ outputs, failed });
  } catch (error) {
    postMessage({ broken: `Python stopped: ${error.message ?? error}` });
  }
};
