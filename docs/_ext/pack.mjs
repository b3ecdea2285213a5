// Called with Pyodide's folder and a folder to write into; reads {name: path} of the packages.
// Writes python_stdlib.zip and packages.zip, with every module compiled by Pyodide's own Python, so
// that no browser has to.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, target] = process.argv.slice(2);
const files = JSON.parse(readFileSync(0, 'utf-8'));   // before Pyodide takes hold of it
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const python = await loadPyodide({ indexURL: folder, env: { PYTHONHASHSEED: '0' } });   // the same bytes each time
const read = (path) => new Uint8Array(readFileSync(path));
python.globals.set('read', (path) => python.toPy(read(path)));
python.runPython(`
import io, warnings, zipfile
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash

warnings.simplefilter("ignore", SyntaxWarning)  # of the packages

def pack(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            if name.endswith(".py"):
                code = compile(data, name, "exec", dont_inherit=True)
                name, data = name + "c", _code_to_hash_pyc(code, source_hash(data), False)
            archive.writestr(zipfile.ZipInfo(name), bytes(data), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()

def library(path):
    archive = zipfile.ZipFile(io.BytesIO(read(path)))
    return pack((name, archive.read(name)) for name in sorted(archive.namelist()))

def packages(files):
    return pack((name, bytes(read(path))) for name, path in sorted(files.to_py().items()))
`);
const [library, packages] = ['library', 'packages'].map((name) => python.globals.get(name));
writeFileSync(`${target}/python_stdlib.zip`, library(`${folder}/python_stdlib.zip`).toJs());
writeFileSync(`${target}/packages.zip`, packages(files).toJs());
