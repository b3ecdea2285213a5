// Called with Pyodide's folder and a target; reads {name in the zip file: path} and writes the zip
// file, each module compiled by Pyodide's own Python, so that nothing is compiled in a browser.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, target] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const python = await loadPyodide({ indexURL: folder });
python.globals.set('files', JSON.parse(readFileSync(0, 'utf-8')));
python.globals.set('read', (path) => new Uint8Array(readFileSync(path)));
const packed = python.runPython(`
import importlib._bootstrap_external, importlib.util, io, warnings, zipfile
warnings.simplefilter("ignore", SyntaxWarning)  # of the packages
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for name, path in sorted(files.to_py().items()):
        source = read(path).to_bytes()
        code = compile(source, name, "exec", dont_inherit=True)
        compiled = importlib._bootstrap_external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
        archive.writestr(zipfile.ZipInfo(name + "c"), bytes(compiled), zipfile.ZIP_DEFLATED, 9)
buffer.getvalue()
`);
writeFileSync(target, packed.toJs());
