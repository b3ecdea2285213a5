// Python in a worker of its own: it answers {id, source, checked} with {id, outputs, failed}.
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
  return new Response(response.body.pipeThrough(count), response);
};
const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

async function start({ project }) {
  const files = ['./pyodide/packages.zip', './run_cell.py'].map((file) => new URL(file, import.meta.url));
  const fetched = Promise.all([...files, project].map(bytes));
  const python = await loadPyodide();
  const [packages, cell, beside] = await fetched;
  python.FS.writeFile('/lib/packages.zip', packages);
  python.unpackArchive(beside, 'zip');
  python.runPython('import sys; sys.path.append("/lib/packages.zip"); sys.path.insert(0, "")');
  python.runPython(new TextDecoder().decode(cell));
  return python;
}

let python;
self.onmessage = async ({ data }) => {
  if (data.project) { python = start(data); return; }
  try {
    const run = (await python).globals.get('run_cell');
    const result = run(data.source, data.checked);
    const [outputs, failed] = result.toJs();
    result.destroy();
    postMessage({ id: data.id, outputs, failed });
  } catch (error) {
    postMessage({ broken: `Python stopped: ${error.message ?? error}` });
  }
};
